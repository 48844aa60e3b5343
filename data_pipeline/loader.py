"""Batches of mixtures: plan, read, decode, mix, transform, each by one thread straight into its place in the batch.

A batch is a dict of arrays, the whole contract between the pipeline and the model; docs/DATA.md describes it.
"""

import dataclasses
import functools
import itertools
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait

import numpy as np

from data_pipeline.mixing import ClipTable, MixingSpec, SourcePlan, draw_mixture, frame_indices
from data_pipeline.pictures import cut, cut_box, decode
from data_pipeline.records import RecordStore
from data_pipeline.spec import AudioSpec, FrameSpec
from data_pipeline.spectrogram import stft_pieces

Batch = dict[str, np.ndarray]

PREFETCH_BATCHES = 2  # made ahead of the one that is asked for
LARGEST_LIFT = 100.0  # of a quiet window towards its video's level: 40 dB, so that silence stays silence


@dataclasses.dataclass(frozen=True)
class Sharding:
    """Which slots of the global batch this process makes: the slots are divided, never the files.

    Attributes:
        process_index: this process, from 0.
        process_count: processes that share a global batch.
    """

    process_index: int = 0
    process_count: int = 1

    def slots(self, batch_size: int) -> range:
        """The process's slots of a global batch.

        Raises:
            ValueError: a batch that does not divide by the processes.
        """
        if batch_size % self.process_count:
            raise ValueError(f"batch_size={batch_size} must divide by {self.process_count} processes")
        share = batch_size // self.process_count
        return range(self.process_index * share, (self.process_index + 1) * share)


def training_batches(
    store: RecordStore,
    *,
    audio: AudioSpec,
    frames: FrameSpec,
    mixing: MixingSpec,
    batch_size: int,
    seed: int,
    first_step: int = 0,
    sharding: Sharding = Sharding(),
) -> Iterator[Batch]:
    """Endless training batches; batch number i is a pure function of (seed, first_step + i).

    Args:
        store: the training split.
        audio: window and transform.
        frames: pictures a source.
        mixing: the rules of a mixture.
        batch_size: size of the global batch.
        seed: the pipeline's seed.
        first_step: step of the first batch.
        sharding: this process's share.

    Yields:
        `mixture_magnitude` (batch, freq_linear, time) float32, `source_magnitude` (batch, source, freq_linear, time)
        float32, `frames` (batch, source, frame, height, width, 3) uint8, `valid` (batch,) bool; batch is this
        process's share.
    """
    table = ClipTable(store.clips, audio, sources=mixing.sources, same_class=mixing.same_class)
    slots = sharding.slots(batch_size)

    def plan(step: int, place: int) -> list[SourcePlan]:
        return draw_mixture(table, mixing, seed=seed, step=step, slot=slots[place])

    maker = MixtureMaker(store, audio, frames)
    empty = functools.partial(maker.empty_batch, len(slots), mixing.sources)
    for _, batch in _prefetched(itertools.count(first_step), plan, maker, empty):
        yield batch


def evaluation_batches(
    store: RecordStore,
    mixtures: Sequence[Sequence[SourcePlan]],
    *,
    audio: AudioSpec,
    frames: FrameSpec,
    batch_size: int,
    sharding: Sharding = Sharding(),
) -> Iterator[Batch]:
    """One pass over a fixed list of mixtures, every one of them once; the last batch is padded.

    Args:
        store: the split that the list was drawn from.
        mixtures: the list; all of one number of sources.
        audio: window and transform.
        frames: pictures a source.
        batch_size: size of the global batch.
        sharding: this process's share.

    Yields:
        The arrays of `training_batches` (`valid` False where padded, by repeating the last mixture), and
        `mixture_phase` (batch, freq_linear, time) float32 in radians, `source_waveform` (batch, source, samples)
        float32, `boxes` (batch, source, frame, 4) float32 of the players in the pictures as they are cut (top, left,
        bottom, right, 0 to 1; NaN where unknown), `index` (batch,) int64 into the list.
    """
    slots = np.asarray(sharding.slots(batch_size))

    def plan(number: int, place: int) -> Sequence[SourcePlan]:
        return mixtures[min(number * batch_size + slots[place], len(mixtures) - 1)]

    maker = MixtureMaker(store, audio, frames)
    empty = functools.partial(maker.empty_batch, len(slots), len(mixtures[0]), for_rebuilding=True)
    for number, batch in _prefetched(range(-(-len(mixtures) // batch_size)), plan, maker, empty):
        index = number * batch_size + slots
        yield batch | {"index": index, "valid": index < len(mixtures)}


class MixtureMaker:
    """Makes the arrays of mixtures by their plans.

    Args:
        store: the records.
        audio: window and transform.
        frames: pictures a source.
    """

    def __init__(self, store: RecordStore, audio: AudioSpec, frames: FrameSpec) -> None:
        self._store = store
        self._audio = audio
        self._frames = frames
        self._local = threading.local()

    def empty_batch(self, size: int, sources: int, *, for_rebuilding: bool = False) -> Batch:
        """Arrays for a batch, not yet filled; with `for_rebuilding` those of evaluation too."""
        audio, frames = self._audio, self._frames
        spectrum = (audio.freq_bins, audio.time_frames)
        batch = {
            "mixture_magnitude": np.empty((size, *spectrum), np.float32),
            "source_magnitude": np.empty((size, sources, *spectrum), np.float32),
            "frames": np.empty((size, sources, frames.count, frames.crop_px, frames.crop_px, 3), np.uint8),
            "valid": np.ones(size, np.bool_),
        }
        if not for_rebuilding:
            return batch
        return batch | {
            "mixture_phase": np.empty((size, *spectrum), np.float32),
            "source_waveform": np.empty((size, sources, audio.clip_samples), np.float32),
            "boxes": np.empty((size, sources, frames.count, 4), np.float32),
        }

    def listen(self, plans: Sequence[SourcePlan], batch: Batch, place: int) -> None:
        """Writes the sounds of one mixture to its place in a batch; what the batch does not have is not made."""
        waveforms = np.stack([self._sound(plan) for plan in plans])
        magnitudes = self._workspace(len(plans))
        for columns, spectra in stft_pieces(waveforms, self._audio):
            mixture = spectra.sum(0)  # the transform is linear: the sources' spectra sum to the mixture's
            np.abs(spectra, out=magnitudes[:-1, columns])
            np.abs(mixture, out=magnitudes[-1, columns])
            if "mixture_phase" in batch:
                batch["mixture_phase"][place, :, columns] = np.angle(mixture).T
        # Turned over as a whole: piece by piece takes twice as long.
        batch["source_magnitude"][place] = magnitudes[:-1].swapaxes(1, 2)
        batch["mixture_magnitude"][place] = magnitudes[-1].T
        if "source_waveform" in batch:
            batch["source_waveform"][place] = waveforms

    def look(self, plans: Sequence[SourcePlan], batch: Batch, place: int) -> None:
        """Writes the pictures of one mixture to its place in a batch, and the boxes where the batch has them."""
        store, frames = self._store, self._frames
        for source, plan in enumerate(plans):
            clip = store.clips[plan.clip]
            numbers = frame_indices(plan, clip, audio=self._audio, frames=frames, fps=store.spec.fps).tolist()
            boxes = store.read_boxes(plan.clip)[numbers] if "boxes" in batch else None
            squares = batch["frames"][place, source]
            for n, picture in enumerate(self._pictures(plan.clip, numbers)):
                corner = cut(picture, squares[n], crop=plan.crop, flip=plan.flip)
                if boxes is not None:
                    size = picture.shape[:2]
                    batch["boxes"][place, source, n] = cut_box(
                        boxes[n], corner=corner, size=size, side=frames.crop_px, flip=plan.flip
                    )

    def _workspace(self, sources: int) -> np.ndarray:
        """Float32 (source and mixture, time, freq) of this thread, because fresh memory costs as much as its use."""
        if not hasattr(self._local, "magnitudes"):
            shape = (sources + 1, self._audio.time_frames, self._audio.freq_bins)
            self._local.magnitudes = np.empty(shape, np.float32)
        return self._local.magnitudes

    def _sound(self, plan: SourcePlan) -> np.ndarray:
        samples = self._store.read_sound(plan.clip, plan.start, self._audio.clip_samples)
        window = samples.astype(np.float32) / np.float32(32768)
        lift = _lift(window, self._store.clips[plan.clip].video_rms) if plan.lift else 1.0
        return window * np.float32(plan.gain * lift)

    def _pictures(self, clip: int, numbers: list[int]) -> list[np.ndarray]:
        cache = self._store.decoded
        found = {number: cache.get((clip, number)) for number in numbers}
        missing = [number for number, picture in found.items() if picture is None]
        for number, picture in zip(missing, decode(self._store.read_pictures(clip, missing)), strict=True):
            cache.put((clip, number), picture)
            found[number] = picture
        return [picture for number in numbers if (picture := found[number]) is not None]


def _lift(window: np.ndarray, level: float) -> float:
    """Factor that brings a window to a root-mean-square level, at most `LARGEST_LIFT`."""
    loudest = max(float(np.sqrt(np.mean(np.square(window)))), level / LARGEST_LIFT)
    return level / loudest if loudest > 0 else 0.0


def _prefetched(
    numbers: Iterable[int],
    plan: Callable[[int, int], Sequence[SourcePlan]],
    maker: MixtureMaker,
    empty: Callable[[], Batch],
) -> Iterator[tuple[int, Batch]]:
    """Batches with their numbers, in the order of those, a few of them in work at once, one thread a core.

    Args:
        numbers: of the batches.
        plan: the mixture of a batch's number and a place in it.
        maker: of its arrays.
        empty: a new batch to fill.
    """
    plan = functools.lru_cache(maxsize=1 << 12)(plan)  # drawn by whichever half of a mixture comes first
    pool = ThreadPoolExecutor(_usable_cores(), thread_name_prefix="mixtures")
    ahead: deque[tuple[int, Batch, list[Future[None]]]] = deque()

    def send(number: int) -> None:
        batch = empty()
        # All pictures, then all sounds: a core that stays at one of the two takes a tenth less time.
        work = [
            pool.submit(lambda half, place: half(plan(number, place), batch, place), half, place)
            for half in (maker.look, maker.listen)
            for place in range(len(batch["valid"]))
        ]
        ahead.append((number, batch, work))

    def receive() -> tuple[int, Batch]:
        number, batch, work = ahead.popleft()
        # One waking when all is done, or something failed, instead of one for each.
        for done in wait(work, return_when=FIRST_EXCEPTION).done:
            done.result()
        return number, batch

    try:
        for number in numbers:
            send(number)
            if len(ahead) > PREFETCH_BATCHES:
                yield receive()
        while ahead:
            yield receive()
    finally:
        pool.shutdown(cancel_futures=True)


def _usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
