"""Runs one loader in its own process; see `worker.Worker`."""

import importlib
import itertools
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.harness.worker import answer
from mpnet_jax.config import specs
from mpnet_jax.config.specs import Config
from mpnet_jax.configs import music_mix2
from mpnet_jax.run.data import open_splits

BURN_IN_BATCHES = 4  # more than either loader prefetches, so that a turn ends with as many in progress as it began with


def paper_config(fields: dict[str, Any]) -> Config:
    """Returns the shipped config for MUSIC with some fields changed ({"group.field": value})."""
    config: Any = music_mix2.get_config()
    config.update_from_flattened_dict(fields)
    return config


class _Ours:
    """Our loader on a prepared set."""

    def open(self, fields: dict[str, Any]) -> None:
        """Opens the training split as a run with `paper_config(fields)` does."""
        from data_pipeline.mixing import ClipTable

        config = paper_config(fields)
        data = specs.data_spec(config)
        self._store = open_splits(data, ("train",), keep_pictures=True)["train"]
        self._audio, self._frames = data.audio, data.frames
        self._batch_size = config.batch_size
        self._mixing = mixing = data.mixing
        self._table = ClipTable(self._store.clips, self._audio, sources=mixing.sources, same_class=mixing.same_class)
        self._first_step = 0

    def fill(self) -> dict[str, float]:
        """Caches every picture, as the first pass of training does; returns counts and CPU time."""
        from data_pipeline.records.pictures import decode

        pictures, seconds = 0, 0.0
        for index, clip in enumerate(self._store.clips):
            for number in range(clip.frames):
                (picture,) = decode(self._store.read_pictures(index, [number]))
                started = time.process_time()
                self._store.decoded.put((index, number), picture)
                seconds += time.process_time() - started
            pictures += clip.frames
        return {"pictures": pictures, "kept": len(self._store.decoded), "cpu_seconds_a_picture": seconds / pictures}

    def time(self, batches: int) -> dict[str, float]:
        """Returns wall-clock and CPU seconds for batches of new mixtures."""
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
        """Times each stage alone on the same mixtures; returns CPU milliseconds per mixture."""
        from data_pipeline.loader import MixtureMaker
        from data_pipeline.mixing import draw_mixture, frame_indices

        store, maker = self._store, MixtureMaker(self._store, self._audio, self._frames, sources=self._mixing.sources)
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
        """Returns CPU seconds to read the sounds and pictures of some mixtures."""
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
    """The PyTorch peer on wav and jpg files."""

    def __init__(self, *, as_bytes: bool) -> None:
        self._as_bytes = as_bytes

    def open(self, folder: str, fields: dict[str, Any], workers: int) -> None:
        """Opens the files for the arrays of `paper_config(fields)`; 0 workers means this process."""
        torch_loader = importlib.import_module("benchmarks.harness.torch_loader")
        importlib.import_module("torch").set_num_threads(1)
        config = paper_config(fields)
        audio, frames = specs.audio_spec(config), specs.frame_spec(config)
        self._mixtures = torch_loader.Mixtures(Path(folder), audio, frames, as_bytes=self._as_bytes)
        self._batches = lambda: torch_loader.endless_batches(
            self._mixtures, batch_size=config.batch_size, workers=workers
        )
        self._batch_size = config.batch_size

    def time(self, batches: int) -> dict[str, Any]:
        """Returns wall-clock and CPU seconds for batches, and CPU milliseconds per mixture by stage."""
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
