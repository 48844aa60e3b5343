"""Builds batches of mixtures with tf.data: plan, read, decode, mix, transform, batch, prefetch.

A batch is a dict of arrays and the only interface between pipeline and model; docs/DATA.md describes it.
"""

import atexit
import contextlib
import dataclasses
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import numpy as np

from data_pipeline.mixing import LARGEST_LIFT, ClipTable, MixingSpec, SourcePlan, draw_mixture, frame_indices
from data_pipeline.records.picture_cache import Picture
from data_pipeline.records.pictures import cut, cut_box, decode
from data_pipeline.records.store import RecordStore
from data_pipeline.spec import AudioSpec, FrameSpec
from data_pipeline.spectrogram import stft_pieces
from data_pipeline.tf_cpu import tf

Batch = dict[str, np.ndarray]

PREFETCH_BATCHES = 2


@dataclasses.dataclass(frozen=True)
class Sharding:
    """Which slots of the global batch this process makes; slots are divided among processes, never files.

    Attributes:
        process_index: Index of this process, from 0.
        process_count: Number of processes that share a global batch.
    """

    process_index: int = 0
    process_count: int = 1

    def slots(self, batch_size: int) -> range:
        """Returns this process's slots of a global batch.

        Raises:
            ValueError: The batch size is not divisible by the number of processes.
        """
        if batch_size % self.process_count:
            raise ValueError(f"batch_size={batch_size} must divide by {self.process_count} processes")
        share = batch_size // self.process_count
        return range(self.process_index * share, (self.process_index + 1) * share)

    def rounded_up(self, batch_size: int) -> int:
        """Returns the next batch size that is divisible by the number of processes."""
        return -(-batch_size // self.process_count) * self.process_count


def training_batches(
    store: RecordStore,
    *,
    audio: AudioSpec,
    frames: FrameSpec | None,
    mixing: MixingSpec,
    batch_size: int,
    seed: int,
    first_step: int = 0,
    sharding: Sharding = Sharding(),
) -> Iterator[Batch]:
    """Yields endless training batches; batch number i is a pure function of (seed, first_step + i).

    Args:
        store: The training split.
        audio: Sizes of window and transform.
        frames: Frames per source; None reads and returns none.
        mixing: How mixtures are made.
        batch_size: Size of the global batch.
        seed: Seed of the pipeline.
        first_step: Step of the first batch.
        sharding: Share of this process.

    Yields:
        `mixture_magnitude` (batch, freq_linear, time) float32, `source_magnitude` (batch, source, freq_linear, time)
        float32, `source_label` (batch, source) int32, `frames` (batch, source, frame, height, width, 3) uint8, `valid`
        (batch,) bool; batch is this process's share. Where features of the split's frames are kept, `features` (batch,
        source, frame, h, w, channel) float16 takes the place of `frames`. With `mixing.in_phase` also `source_in_phase`
        (batch, source, freq_linear, time) float32, the sources' parts in phase with the mixture, |S| cos(angle between
        S and X), also below 0.
    """
    table = ClipTable(store.clips, audio, sources=mixing.sources, same_class=mixing.same_class)
    slots = sharding.slots(batch_size)

    def plan(number: int) -> list[SourcePlan]:
        step, place = divmod(number, len(slots))
        return draw_mixture(table, mixing, seed=seed, step=step, slot=slots[place])

    numbers = tf.data.Dataset.range(first_step * len(slots), np.iinfo(np.int64).max)
    maker = MixtureMaker(store, audio, frames, sources=mixing.sources, truth=mixing.truth, in_phase=mixing.in_phase)
    failures: list[ValueError] = []
    examples = _examples(numbers, plan, maker, failures).map(lambda example: example | {"valid": True})
    return _prefetched(examples.batch(len(slots), drop_remainder=True), failures)


def evaluation_batches(
    store: RecordStore,
    mixtures: Sequence[Sequence[SourcePlan]],
    *,
    audio: AudioSpec,
    frames: FrameSpec,
    batch_size: int,
    sharding: Sharding = Sharding(),
) -> Iterator[Batch]:
    """Yields each mixture of a fixed list once; the last batch is padded.

    Args:
        store: The split that the list was drawn from.
        mixtures: The list; all mixtures have the same number of sources.
        audio: Sizes of window and transform.
        frames: Frames per source.
        batch_size: Size of the global batch.
        sharding: Share of this process.

    Yields:
        The arrays of `training_batches`, with `valid` False for padding, which repeats the last mixture. In addition
        `mixture_phase` (batch, freq_linear, time) float32 in radians, `source_waveform` (batch, source, samples)
        float32, `boxes` (batch, source, frame, 4) float32 of the players in the cropped frames (top, left, bottom,
        right, 0 to 1; NaN where unknown), and `index` (batch,) int64 into the list. `frames` are there even where
        features are kept.
    """
    slots = sharding.slots(batch_size)
    batches = -(-len(mixtures) // batch_size)
    order = np.arange(batches * batch_size).reshape(batches, batch_size)[:, slots.start : slots.stop].reshape(-1)

    def plan(number: int) -> Sequence[SourcePlan]:
        return mixtures[min(number, len(mixtures) - 1)]

    numbers = tf.data.Dataset.from_tensor_slices(order)
    maker = MixtureMaker(store, audio, frames, sources=len(mixtures[0]), for_rebuilding=True)
    failures: list[ValueError] = []
    examples = _examples(numbers, plan, maker, failures)
    numbered = tf.data.Dataset.zip(numbers, examples).map(
        lambda number, example: example | {"index": number, "valid": number < len(mixtures)}
    )
    return _prefetched(numbered.batch(len(slots)), failures)


class MixtureMaker:
    """Makes the arrays of mixtures from their plans; several threads may use it at the same time.

    Args:
        store: The records.
        audio: Sizes of window and transform.
        frames: Frames per source; None makes none.
        sources: Number of sources of a mixture.
        for_rebuilding: Whether to add phase, waveforms and boxes, which evaluation needs.
        truth: See `MixingSpec`.
        in_phase: See `MixingSpec`.

    Attributes:
        shapes: Shape and dtype of each array, in the order in which they are made.
    """

    def __init__(
        self,
        store: RecordStore,
        audio: AudioSpec,
        frames: FrameSpec | None,
        *,
        sources: int,
        for_rebuilding: bool = False,
        truth: str = "magnitude",
        in_phase: bool = False,
    ) -> None:
        self._store = store
        self._truth = truth
        self._audio = audio
        self._frames = frames
        self._local = threading.local()
        spectrum = (audio.freq_bins, audio.time_frames)
        self.shapes: dict[str, tuple[tuple[int, ...], type[np.generic]]] = {
            "mixture_magnitude": (spectrum, np.float32),
            "source_magnitude": ((sources, *spectrum), np.float32),
            "source_label": ((sources,), np.int32),
        }
        if in_phase:
            self.shapes["source_in_phase"] = (sources, *spectrum), np.float32
        if for_rebuilding:
            self.shapes |= {
                "mixture_phase": (spectrum, np.float32),
                "source_waveform": ((sources, audio.clip_samples), np.float32),
            }
        self._features = store.features if frames is not None else None
        if frames is not None and self._features is not None:
            self.shapes["features"] = (sources, frames.count, *self._features.shape()), np.float16
        # Training needs no frames where features are kept; evaluation shows them.
        self._looks = frames is not None and (self._features is None or for_rebuilding)
        if frames is not None and self._looks:
            self.shapes["frames"] = (sources, frames.count, frames.crop_px, frames.crop_px, 3), np.uint8
            if for_rebuilding:
                self.shapes["boxes"] = (sources, frames.count, 4), np.float32

    def make(self, plans: Sequence[SourcePlan]) -> Batch:
        """Returns the arrays of one mixture."""
        example = {name: np.empty(shape, kind) for name, (shape, kind) in self.shapes.items()}
        example["source_label"][...] = [self._store.clips[plan.clip].label for plan in plans]
        if self._features is not None:
            self.recall(plans, example)
        if self._looks:
            self.look(plans, example)
        self.listen(plans, example)
        return example

    def listen(self, plans: Sequence[SourcePlan], example: Batch) -> None:
        """Writes spectrograms and waveforms of a mixture into the arrays of `example` that exist."""
        waveforms = np.stack([self._sound(plan) for plan in plans])
        magnitudes = self._workspace(len(plans))
        for columns, spectra in stft_pieces(waveforms, self._audio):
            mixture = spectra.sum(0)  # the transform is linear: the sources' spectra sum to the mixture's
            np.abs(mixture, out=magnitudes[-1, columns])
            if self._truth == "phase_sensitive":
                own = magnitudes[:-1, columns]
                along_mixture(spectra, mixture, magnitudes[-1, columns], out=own)
                np.maximum(own, 0.0, out=own)
            else:
                np.abs(spectra, out=magnitudes[:-1, columns])
            if "source_in_phase" in example:
                parts = np.empty_like(magnitudes[:-1, columns])
                along_mixture(spectra, mixture, magnitudes[-1, columns], out=parts)
                example["source_in_phase"][:, :, columns] = parts.swapaxes(1, 2)
            if "mixture_phase" in example:
                example["mixture_phase"][:, columns] = np.angle(mixture).T
        # One transpose at the end is faster than one per group of columns.
        example["source_magnitude"][...] = magnitudes[:-1].swapaxes(1, 2)
        example["mixture_magnitude"][...] = magnitudes[-1].T
        if "source_waveform" in example:
            example["source_waveform"][...] = waveforms

    def look(self, plans: Sequence[SourcePlan], example: Batch) -> None:
        """Writes the frames of a mixture into `example`, and the boxes when it has an array for them."""
        store, frames = self._store, self._frames
        assert frames is not None
        for source, plan in enumerate(plans):
            numbers = self._numbers(plan).tolist()
            boxes = store.read_boxes(plan.clip)[numbers] if "boxes" in example else None
            squares = example["frames"][source]
            for n, picture in enumerate(self._pictures(plan.clip, numbers)):
                corner = cut(picture, squares[n], crop=plan.crop, flip=plan.flip)
                if boxes is not None:
                    size = picture.shape[:2]
                    example["boxes"][source, n] = cut_box(
                        boxes[n], corner=corner, size=size, side=frames.crop_px, flip=plan.flip
                    )

    def recall(self, plans: Sequence[SourcePlan], example: Batch) -> None:
        """Writes the kept features of a mixture's frames into `example`."""
        assert self._features is not None
        for source, plan in enumerate(plans):
            self._features.read(plan, self._numbers(plan), example["features"][source])

    def _numbers(self, plan: SourcePlan) -> np.ndarray:
        """Returns the indices of a window's frames in its record."""
        clip, frames = self._store.clips[plan.clip], self._frames
        assert frames is not None
        return frame_indices(plan, clip, audio=self._audio, frames=frames, fps=self._store.spec.fps)

    def _workspace(self, sources: int) -> np.ndarray:
        """Returns float32 (source and mixture, time, freq) memory of this thread, because allocation is expensive."""
        if not hasattr(self._local, "magnitudes"):
            shape = (sources + 1, self._audio.time_frames, self._audio.freq_bins)
            self._local.magnitudes = np.empty(shape, np.float32)
        return self._local.magnitudes

    def _sound(self, plan: SourcePlan) -> np.ndarray:
        samples = self._store.read_sound(plan.clip, plan.start, self._audio.clip_samples)
        window = samples.astype(np.float32) / np.float32(32768)
        lift = _lift(window, self._store.clips[plan.clip].video_rms) if plan.lift else 1.0
        return window * np.float32(plan.gain * lift)

    def _pictures(self, clip: int, numbers: list[int]) -> list[Picture]:
        cache = self._store.decoded
        found = {number: cache.get((clip, number)) for number in numbers}
        missing = [number for number, picture in found.items() if picture is None]
        for number, picture in zip(missing, decode(self._store.read_pictures(clip, missing)), strict=True):
            cache.put((clip, number), picture)
            found[number] = picture
        return [picture for number in numbers if (picture := found[number]) is not None]


def along_mixture(spectra: np.ndarray, mixture: np.ndarray, magnitude: np.ndarray, *, out: np.ndarray) -> None:
    """Computes the part of each source in phase with the mixture: |S| cos(angle between S and X).

    Where it is not below 0, it is the best magnitude for an estimate that uses the mixture's phase. Over all sources it
    sums to the mixture's magnitude. Source: Erdogan et al. 2015, "Phase-sensitive and recognition-boosted speech
    separation".

    Args:
        spectra: Spectra of the sources, complex64 (source, time, freq).
        mixture: Their sum.
        magnitude: Magnitude of the sum.
        out: Result, float32 with the shape of the sources.
    """
    np.multiply(np.real(spectra), np.real(mixture), out=out)
    out += np.imag(spectra) * np.imag(mixture)
    out /= np.maximum(magnitude, np.finfo(np.float32).tiny)


def _lift(window: np.ndarray, level: float) -> float:
    """Returns the factor that raises a window to a root-mean-square level, at most `LARGEST_LIFT`."""
    loudest = max(float(np.sqrt(np.mean(np.square(window)))), level / LARGEST_LIFT)
    return level / loudest if loudest > 0 else 0.0


def _examples(
    numbers: tf.data.Dataset,
    plan: Callable[[int], Sequence[SourcePlan]],
    maker: MixtureMaker,
    failures: list[ValueError],
) -> tf.data.Dataset:
    """Maps mixture numbers to examples, one per TensorFlow thread.

    NumPy and SciPy do the work and release Python's global lock; TensorFlow's own transform and mirroring are slower.
    TensorFlow keeps only the text of an exception, so the exceptions themselves are collected in `failures`.
    """
    kinds = [kind for _, kind in maker.shapes.values()]

    def make(number: np.ndarray) -> list[np.ndarray]:
        try:
            return list(maker.make(plan(int(number))).values())
        except ValueError as error:  # includes InputError
            failures.append(error)
            raise

    def example(number: tf.Tensor) -> dict[str, tf.Tensor]:
        arrays = tf.numpy_function(make, [number], kinds)
        return {
            name: tf.ensure_shape(array, shape)
            for array, (name, (shape, _)) in zip(arrays, maker.shapes.items(), strict=True)
        }

    return numbers.map(example, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)


def _prefetched(batches: tf.data.Dataset, failures: list[ValueError]) -> Iterator[Batch]:
    options = tf.data.Options()
    options.deterministic = True
    options.autotune.enabled = True
    made = _batches(batches.with_options(options).prefetch(PREFETCH_BATCHES), failures)
    _open.add(made)
    return made


def _batches(prefetched: tf.data.Dataset, failures: list[ValueError]) -> Iterator[Batch]:
    try:
        yield from cast(Iterator[Batch], prefetched.as_numpy_iterator())
    except tf.errors.OpError:
        if failures:
            raise failures[0] from None
        raise


_open: "weakref.WeakSet[Any]" = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    """Ends TensorFlow's threads while Python still runs; one that waits for Python's lock later may hang."""
    for made in list(_open):
        with contextlib.suppress(ValueError):  # another thread is using it
            made.close()
