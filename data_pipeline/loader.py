"""Batches of mixtures: plan, read, decode, mix, transform, batch, prefetch (tf.data).

A batch is a dict of arrays, the whole contract between the pipeline and the model; docs/DATA.md describes it.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import cast

import numpy as np

from data_pipeline.command import InputError
from data_pipeline.mixing import ClipTable, MixingSpec, SourcePlan, draw_mixture, frame_indices
from data_pipeline.records import RecordStore
from data_pipeline.spec import AudioSpec, FrameSpec
from data_pipeline.spectrogram import stft
from data_pipeline.tf_cpu import tf

Batch = dict[str, np.ndarray]

PREFETCH_BATCHES = 2
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

    def plan(number: int) -> list[SourcePlan]:
        step, place = divmod(int(number), len(slots))
        return draw_mixture(table, mixing, seed=seed, step=step, slot=slots[place])

    numbers = tf.data.Dataset.range(first_step * len(slots), np.iinfo(np.int64).max)
    failures: list[InputError] = []
    examples = _examples(
        numbers,
        plan,
        store,
        failures,
        audio=audio,
        frames=frames,
        sources=mixing.sources,
        for_rebuilding=False,
    )
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
    slots = sharding.slots(batch_size)
    batches = -(-len(mixtures) // batch_size)
    order = np.arange(batches * batch_size).reshape(batches, batch_size)[:, slots.start : slots.stop].reshape(-1)

    def plan(number: int) -> Sequence[SourcePlan]:
        return mixtures[min(int(number), len(mixtures) - 1)]

    numbers = tf.data.Dataset.from_tensor_slices(order)
    failures: list[InputError] = []
    examples = _examples(numbers, plan, store, failures, audio=audio, frames=frames, sources=len(mixtures[0]))
    examples = examples.map(lambda example: example | {"valid": example["index"] < len(mixtures)})
    return _prefetched(examples.batch(len(slots)), failures)


def _examples(
    numbers: tf.data.Dataset,
    plan: Callable[[int], Sequence[SourcePlan]],
    store: RecordStore,
    failures: list[InputError],
    *,
    audio: AudioSpec,
    frames: FrameSpec,
    sources: int,
    for_rebuilding: bool = True,
) -> tf.data.Dataset:
    """Turns mixture numbers into unbatched examples: the reading in Python, all else in TensorFlow's own threads.

    `for_rebuilding` adds what evaluation needs to make waveforms and to compare them; in training it would be thrown
    away, and the phase is dear.
    TensorFlow passes on only the text of an exception; what could not be read is noted in `failures`.
    """

    def read(number: np.ndarray) -> tuple[np.ndarray, ...]:
        try:
            return read_plans(plan(int(number)))
        except InputError as error:
            failures.append(error)
            raise

    def read_plans(plans: Sequence[SourcePlan]) -> tuple[np.ndarray, ...]:
        clips = [store.clips[p.clip] for p in plans]
        return (
            np.array([store.read(p.clip) for p in plans], dtype=object),
            np.array([p.start for p in plans], np.int64),
            np.array([p.gain for p in plans], np.float32),
            np.array([p.lift for p in plans], np.bool_),
            np.stack(
                [
                    frame_indices(p, clip, audio=audio, frames=frames, fps=store.spec.fps)
                    for p, clip in zip(plans, clips, strict=True)
                ]
            ),
            np.array([p.crop for p in plans], np.float32),
            np.array([p.flip for p in plans], np.bool_),
        )

    def build(number: tf.Tensor) -> dict[str, tf.Tensor]:
        kinds = (tf.string, tf.int64, tf.float32, tf.bool, tf.int64, tf.float32, tf.bool)
        records, starts, gains, lifts, pictures, crops, flips = tf.numpy_function(read, [number], kinds)
        waveforms, frame_stacks, boxes = [], [], []
        for n in range(sources):
            parsed = store.parse(records[n])
            window = _window(parsed["audio"], starts[n], audio)
            lift = tf.where(lifts[n], _lift(window, parsed["video_rms"]), 1.0)
            waveforms.append(tf.ensure_shape(window * gains[n] * lift, (audio.clip_samples,)))
            stack, cut = _pictures(parsed["frames"], pictures[n], crops[n], flips[n], frames)
            frame_stacks.append(stack)
            boxes.append(_cut_boxes(tf.gather(parsed["boxes"], pictures[n]), cut, flips[n], frames.crop_px))
        waveform = tf.stack(waveforms)
        spectra = stft(waveform, audio)
        mixture = tf.reduce_sum(spectra, 0)  # the transform is linear: the sources' spectra sum to the mixture's
        example = {
            "mixture_magnitude": tf.abs(mixture),
            "source_magnitude": tf.abs(spectra),
            "frames": tf.stack(frame_stacks),
            "valid": tf.constant(True),
        }
        if not for_rebuilding:
            return example
        return example | {
            "mixture_phase": tf.math.angle(mixture),
            "source_waveform": waveform,
            "boxes": tf.ensure_shape(tf.stack(boxes), (sources, frames.count, 4)),
            "index": number,
        }

    return numbers.map(build, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)


def _window(samples: tf.Tensor, start: tf.Tensor, audio: AudioSpec) -> tf.Tensor:
    return tf.cast(samples[start : start + audio.clip_samples], tf.float32) / 32768.0


def _lift(window: tf.Tensor, level: tf.Tensor) -> tf.Tensor:
    """Factor that brings a window to a root-mean-square level, at most `LARGEST_LIFT`."""
    own = tf.sqrt(tf.reduce_mean(tf.square(window)))
    return tf.math.divide_no_nan(level, tf.maximum(own, level / LARGEST_LIFT))


def _pictures(
    encoded: tf.Tensor, indices: tf.Tensor, crop: tf.Tensor, flip: tf.Tensor, frames: FrameSpec
) -> tuple[tf.Tensor, tf.Tensor]:
    """Decodes only the pictures that are used, cuts one square out of all of them, mirrors them together.

    Returns:
        The pictures; and where the last one was cut: corner (down, right) and the whole picture's size, (2, 2) float32.
    """
    side = frames.crop_px
    cut, place = [], tf.zeros((2, 2))
    for t in range(frames.count):
        picture = tf.io.decode_jpeg(encoded[indices[t]], channels=3)
        room = tf.cast(tf.shape(picture)[:2] - side, tf.float32)
        corner = tf.cast(tf.floor(crop * (room + 0.999)), tf.int32)
        place = tf.stack([tf.cast(corner, tf.float32), room + side])
        cut.append(picture[corner[0] : corner[0] + side, corner[1] : corner[1] + side])
    stack = tf.stack(cut)
    stack = tf.cond(flip, lambda: tf.reverse(stack, [2]), lambda: stack)
    return tf.ensure_shape(stack, (frames.count, side, side, 3)), place


def _cut_boxes(boxes: tf.Tensor, place: tf.Tensor, flip: tf.Tensor, side: int) -> tf.Tensor:
    """Boxes in shares of whole pictures, (frame, 4), to shares of what was cut out of those and mirrored.

    A box of which nothing is left is NaN.
    """
    corner, size = tf.tile(place[0], [2]), tf.tile(place[1], [2])
    cut = tf.clip_by_value((boxes * size - corner) / side, 0.0, 1.0)
    top, left, bottom, right = tf.unstack(cut, num=4, axis=1)
    gone = (bottom <= top) | (right <= left)
    cut = tf.where(gone[:, None], np.float32(np.nan), cut)
    return tf.where(flip, tf.stack([top, 1.0 - right, bottom, 1.0 - left], axis=1), cut)


def _prefetched(batches: tf.data.Dataset, failures: list[InputError]) -> Iterator[Batch]:
    options = tf.data.Options()
    options.deterministic = True
    options.autotune.enabled = True
    try:
        yield from cast(Iterator[Batch], batches.with_options(options).prefetch(PREFETCH_BATCHES).as_numpy_iterator())
    except tf.errors.OpError:
        if failures:
            raise failures[0] from None
        raise
