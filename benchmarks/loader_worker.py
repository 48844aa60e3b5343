"""One loader in a process of its own; see `worker.Worker`."""

import importlib
import itertools
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.worker import answer
from data_pipeline.spec import AudioSpec, FrameSpec

BURN_IN_BATCHES = 4  # more than either loader makes ahead, so that as much is in work after a turn as before it


class _Ours:
    """Our loader on a prepared set."""

    def open(self, data: str, name: str, sizes: dict[str, Any], cache_bytes: int) -> None:
        """Opens the training split.

        Args:
            data: folder of sets.
            name: of the set.
            sizes: `audio` and `frames`, fields of their specs; `batch_size`.
            cache_bytes: of decoded pictures to keep.
        """
        from data_pipeline.mixing import ClipTable, MixingSpec
        from data_pipeline.records import RecordStore

        self._store = RecordStore.open(Path(data), name, "train", cache_bytes=cache_bytes)
        self._audio, self._frames = AudioSpec(**sizes["audio"]), FrameSpec(**sizes["frames"])
        self._batch_size = sizes["batch_size"]
        self._mixing = MixingSpec(sources=2)
        self._table = ClipTable(self._store.clips, self._audio, sources=2, same_class=False)
        self._first_step = 0

    def fill(self) -> int:
        """Looks at every picture, so that as many as may are kept; how many are."""
        from data_pipeline.pictures import decode

        for index, clip in enumerate(self._store.clips):
            for number in range(clip.frames):
                (picture,) = decode(self._store.read_pictures(index, [number]))
                self._store.decoded.put((index, number), picture)
        return len(self._store.decoded)

    def time(self, batches: int) -> dict[str, float]:
        """Wall-clock and CPU seconds of some batches of mixtures not seen before."""
        from data_pipeline.loader import training_batches

        self._first_step += BURN_IN_BATCHES + batches
        made = training_batches(
            self._store,
            audio=self._audio,
            frames=self._frames,
            mixing=self._mixing,
            batch_size=self._batch_size,
            seed=0,
            first_step=self._first_step,
        )
        timed = _time(made, batches)
        made.close()  # pyright: ignore[reportAttributeAccessIssue]
        return timed

    def stages(self, mixtures: int) -> dict[str, float]:
        """CPU milliseconds a mixture of each stage, done by itself on the same mixtures."""
        from data_pipeline.loader import MixtureMaker
        from data_pipeline.mixing import draw_mixture, frame_indices

        store, maker = self._store, MixtureMaker(self._store, self._audio, self._frames, sources=2)
        example = maker.make(draw_mixture(self._table, self._mixing, seed=1, step=self._first_step, slot=0))
        self._first_step += 1
        plans, seconds = [], {}

        def look_up(n: int) -> None:
            for plan in plans[n]:
                clip = store.clips[plan.clip]
                numbers = frame_indices(plan, clip, audio=self._audio, frames=self._frames, fps=store.spec.fps)
                kept = [store.decoded.get((plan.clip, number)) is not None for number in numbers.tolist()]
                store.read_pictures(
                    plan.clip, [n for n, is_kept in zip(numbers.tolist(), kept, strict=True) if not is_kept]
                )

        def read_sounds(n: int) -> None:
            for plan in plans[n]:
                store.read_sound(plan.clip, plan.start, self._audio.clip_samples)

        def plan(slot: int) -> None:
            plans.append(draw_mixture(self._table, self._mixing, seed=1, step=self._first_step, slot=slot))

        for name, run in (
            ("plan", plan),
            ("read sound", read_sounds),
            ("read pictures", look_up),
            ("look", lambda n: maker.look(plans[n], example)),
            ("listen", lambda n: maker.listen(plans[n], example)),
        ):
            seconds[name] = _cpu_milliseconds(run, mixtures)
        return {
            "plan": seconds["plan"],
            "read": seconds["read sound"] + seconds["read pictures"],
            "pictures": seconds["look"] - seconds["read pictures"],
            "stft": seconds["listen"] - seconds["read sound"],
        }

    def read_seconds(self, mixtures: int) -> float:
        """CPU seconds that reading the sounds and pictures of some mixtures takes."""
        self._first_step += 1
        store, audio = self._store, self._audio
        from data_pipeline.mixing import draw_mixture, frame_indices

        plans = []
        for slot in range(mixtures):
            plans += draw_mixture(self._table, self._mixing, seed=2, step=self._first_step, slot=slot)
        numbers = [
            frame_indices(plan, store.clips[plan.clip], audio=audio, frames=self._frames, fps=store.spec.fps).tolist()
            for plan in plans
        ]
        started = time.process_time()
        for plan, pictures in zip(plans, numbers, strict=True):
            store.read_sound(plan.clip, plan.start, audio.clip_samples)
            store.read_pictures(plan.clip, pictures)
        return time.process_time() - started


class _Theirs:
    """The peer on wav and jpg files."""

    def __init__(self, *, as_bytes: bool) -> None:
        self._as_bytes = as_bytes

    def open(self, folder: str, sizes: dict[str, Any], workers: int) -> None:
        """Opens the files; see `_Ours.open`. With 0 workers this process does the work."""
        torch_loader = importlib.import_module("benchmarks.torch_loader")
        importlib.import_module("torch").set_num_threads(1)
        audio, frames = AudioSpec(**sizes["audio"]), FrameSpec(**sizes["frames"])
        self._mixtures = torch_loader.Mixtures(Path(folder), audio, frames, as_bytes=self._as_bytes)
        self._batches = lambda: torch_loader.endless_batches(
            self._mixtures, batch_size=sizes["batch_size"], workers=workers
        )
        self._batch_size = sizes["batch_size"]

    def time(self, batches: int) -> dict[str, Any]:
        """Wall-clock and CPU seconds of some batches, and CPU milliseconds a mixture by stage."""
        made = self._batches()
        timed = _time(made, batches, self._mixtures.seconds.clear)
        made.close()
        share = 1e3 / (batches * self._batch_size)
        return timed | {"stages": {name: share * value for name, value in self._mixtures.seconds.items()}}


def _time(made: Iterator[Any], batches: int, begin: Callable[[], None] = lambda: None) -> dict[str, float]:
    for _ in itertools.islice(made, BURN_IN_BATCHES):
        pass
    begin()
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in itertools.islice(made, batches):
        pass
    return {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}


def _cpu_milliseconds(run: Callable[[int], None], count: int) -> float:
    started = time.process_time()
    for number in range(count):
        run(number)
    return 1e3 * (time.process_time() - started) / count


if __name__ == "__main__":
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-int(sys.argv[2]) :])
    answer(_Ours() if sys.argv[1] == "ours" else _Theirs(as_bytes=sys.argv[1] == "theirs_bytes"))
