"""Separates a fixed list of mixtures, batch by batch on the devices, and yields them one by one."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, UInt8

from mpnet_jax.metrics.si_sdr import si_sdr
from mpnet_jax.parallel import all_processes
from mpnet_jax.steps.device_pass import HostBatch, Separator

SCORE_BOUND_DB = 30.0
# Waits for the results of a pass.
Results = Callable[[], dict[str, np.ndarray]]


class Sounds(NamedTuple):
    """The separated sounds of one mixture: waveforms and linear-frequency magnitudes."""

    waveform: Float[np.ndarray, "source samples"]
    magnitude: Float[np.ndarray, "source freq time"]


NO_OTHERS: Mapping[str, Separator] = MappingProxyType({})


@dataclasses.dataclass(frozen=True)
class SeparatedMixture:
    """One mixture with its true and its separated sounds, in the order of the clips.

    Attributes:
        index: Position in the list of mixtures.
        mixture: Waveform of the mixture.
        truth: Waveforms of the sources as they were mixed.
        separated: Waveforms that the main method separated.
        oracle: Waveforms of the true masks, the best that such masks can do.
        swapped: Waveforms that the main method separated with each source's frames replaced by the next source's.
        mixture_magnitude, true_magnitude, separated_magnitude, oracle_magnitude: Linear-frequency spectrograms.
        mask, before, true_mask: On the networks' axis; `before` is the spectrogram that the mask acted on.
        step: Step of the recursion in which each clip's sound was separated, from 0.
        frames: First frame of each clip.
        others: Sounds that other methods separated from the same mixture, by their names.
    """

    index: int
    mixture: Float[np.ndarray, " samples"]
    truth: Float[np.ndarray, "source samples"]
    separated: Float[np.ndarray, "source samples"]
    oracle: Float[np.ndarray, "source samples"]
    swapped: Float[np.ndarray, "source samples"]
    mixture_magnitude: Float[np.ndarray, "freq time"]
    true_magnitude: Float[np.ndarray, "source freq time"]
    separated_magnitude: Float[np.ndarray, "source freq time"]
    oracle_magnitude: Float[np.ndarray, "source freq time"]
    mask: Float[np.ndarray, "source rows time"]
    before: Float[np.ndarray, "source rows time"]
    true_mask: Float[np.ndarray, "source rows time"]
    step: Int[np.ndarray, " source"]
    frames: UInt8[np.ndarray, "source height width 3"]
    others: Mapping[str, Sounds]


# Visual inputs: frames, features of them where they are kept, and, for a method that is given the classes, the classes
# of the sources.
SEEN = ("frames", "features", "source_label")
DEVICE_INPUTS = ("mixture_magnitude", "mixture_phase", "source_magnitude", *SEEN)


def device_inputs(batch: HostBatch) -> HostBatch:
    """Returns the arrays of a batch that an evaluation pass takes: the frames only where there are no features."""
    unused = {"frames"} if "features" in batch else set()
    return {name: batch[name] for name in DEVICE_INPUTS if name in batch and name not in unused}


def separate_mixtures(
    main: Separator,
    batches: Iterable[HostBatch],
    others: Mapping[str, Separator] = NO_OTHERS,
    *,
    features: Separator | None = None,
) -> Iterator[SeparatedMixture]:
    """Runs the evaluation pass over batches, with the right and with swapped frames.

    Args:
        main: Pass of the method that is reported.
        batches: Batches of `data_pipeline.loader.evaluation_batches`.
        others: Passes of further methods, by their names.
        features: Pass from `frames` to the `features` that all passes then share; None lets each look at the frames.

    Yields:
        Every valid mixture once, in the order of the batches.
    """
    pending: Iterator[SeparatedMixture] = iter(())
    for batch in batches:
        seen = batch if features is None else batch | features({"frames": batch["frames"]})
        inputs = device_inputs(seen)
        # All passes of a batch are started on the devices before the mixtures of the previous one are used.
        next_seen = {name: np.roll(inputs[name], 1, axis=1) for name in SEEN if name in inputs}
        started = _Started(
            main.start(inputs),
            main.start(inputs | next_seen),
            {name: other.start(inputs) for name, other in others.items()},
        )
        yield from pending
        pending = _mixtures(batch, started)
    yield from pending


class _Started(NamedTuple):
    """Functions that wait for the results of the passes of one batch."""

    right: Results
    swapped: Results
    others: Mapping[str, Results]


def _mixtures(batch: HostBatch, started: _Started) -> Iterator[SeparatedMixture]:
    """Waits for the passes of a batch, and yields its valid mixtures."""
    right, swapped = started.right(), started.swapped()
    beside = {name: wait() for name, wait in started.others.items()}
    for i in np.flatnonzero(batch["valid"]):
        yield SeparatedMixture(
            index=int(batch["index"][i]),
            mixture=batch["source_waveform"][i].sum(0),
            truth=batch["source_waveform"][i],
            separated=right["waveform"][i],
            oracle=right["oracle_waveform"][i],
            swapped=swapped["waveform"][i],
            mixture_magnitude=batch["mixture_magnitude"][i],
            true_magnitude=batch["source_magnitude"][i],
            separated_magnitude=right["magnitude"][i],
            oracle_magnitude=right["oracle_magnitude"][i],
            mask=right["mask"][i],
            before=right["before"][i],
            true_mask=right["true_mask"][i],
            step=right["step"][i],
            frames=batch["frames"][i, :, 0],
            others={name: Sounds(out["waveform"][i], out["magnitude"][i]) for name, out in beside.items()},
        )


def validation_score(separator: Separator, batches: Iterable[HostBatch]) -> float:
    """Returns the mean improvement in SI-SDR over the mixture itself, in dB; cheap enough to run during training.

    Args:
        separator: Evaluation pass of the method.
        batches: Fixed evaluation batches; of several processes, this one's share.

    Returns:
        Mean over sources and mixtures of all processes, equal in each process. Each source is clipped to +-30 dB, and a
        silent estimate counts as -30 dB, so that one source cannot dominate the mean.
    """
    gains, places = [], []
    for batch in batches:
        out = separator(device_inputs(batch))
        truth = batch["source_waveform"].astype(np.float64)
        mixture = np.broadcast_to(truth.sum(1, keepdims=True), truth.shape)
        gain = si_sdr(truth, out["waveform"].astype(np.float64)) - si_sdr(truth, mixture)
        gains.append(gain.astype(np.float32))  # the type in which processes exchange it
        places.append(np.where(batch["valid"], batch["index"], -1).astype(np.int32))
    # In the order of the list, so that the sum is rounded equally for any number of processes.
    place, gain = (all_processes(np.concatenate(parts)) for parts in (places, gains))
    values = gain[np.argsort(place, kind="stable")][np.count_nonzero(place < 0) :]
    bounded = np.clip(np.nan_to_num(values, nan=-SCORE_BOUND_DB), -SCORE_BOUND_DB, SCORE_BOUND_DB)
    return float(np.mean(bounded, dtype=np.float64))
