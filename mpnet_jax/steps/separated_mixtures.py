"""Separates a fixed list of mixtures, batch by batch on the devices, and hands them out one by one."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, UInt8

from mpnet_jax.metrics.si_sdr import si_sdr
from mpnet_jax.parallel import all_processes
from mpnet_jax.steps.device_pass import HostBatch, Separator

SCORE_BOUND_DB = 30.0


class Sounds(NamedTuple):
    """What a method wrote out of one mixture: waveforms and linear-frequency magnitudes."""

    waveform: Float[np.ndarray, "source samples"]
    magnitude: Float[np.ndarray, "source freq time"]


NO_OTHERS: Mapping[str, Separator] = MappingProxyType({})


@dataclasses.dataclass(frozen=True)
class SeparatedMixture:
    """One mixture, its truth and what came out of it; sounds in the order of the visible clips.

    Attributes:
        index: place in the list.
        mixture: waveform.
        truth: waveforms of the sources as mixed.
        separated: the model's.
        oracle: by the true binary masks, the best that such masks can do.
        swapped: the model's with the pictures moved on by one source: what separates when the eyes are wrong.
        mixture_magnitude, true_magnitude, separated_magnitude, oracle_magnitude: linear-frequency spectrograms.
        mask, before, true_mask: on the network's axis; `before` is what the mask acted on.
        step: when each clip's sound was taken, from 0.
        frames: the first picture of each clip.
        others: what the methods beside the main one made of it, by their names.
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


# What is seen: pictures, and for a method that is told them, the classes of what is in these.
SEEN = ("frames", "source_label")
DEVICE_INPUTS = ("mixture_magnitude", "mixture_phase", "source_magnitude", *SEEN)


def separate_mixtures(
    main: Separator, batches: Iterable[HostBatch], others: Mapping[str, Separator] = NO_OTHERS
) -> Iterator[SeparatedMixture]:
    """Runs the evaluation pass over batches, with right and with swapped pictures.

    Args:
        main: the method that everything is reported of.
        batches: of `data_pipeline.loader.evaluation_batches`.
        others: methods whose sounds are wanted beside it.

    Yields:
        Every valid mixture once, in the order of the batches.
    """
    for batch in batches:
        inputs = {name: batch[name] for name in DEVICE_INPUTS}
        # All passes are under way on the devices before any is waited for.
        right_pending = main.start(inputs)
        swapped_pending = main.start(inputs | {name: np.roll(batch[name], 1, axis=1) for name in SEEN})
        others_pending = {name: other.start(inputs) for name, other in others.items()}
        right, swapped = right_pending(), swapped_pending()
        beside = {name: pending() for name, pending in others_pending.items()}
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
    """Mean improvement in scale-invariant SDR over the untouched mixture, in dB; cheap enough to watch in training.

    Args:
        separator: the method.
        batches: fixed evaluation batches; of several processes, this one's share.

    Returns:
        Mean over sources and mixtures of all processes, the same in each. Each source counts within +-30 dB, and a
        silent estimate as -30 dB, so that one source cannot hide all others.
    """
    gains, places = [], []
    for batch in batches:
        out = separator({name: batch[name] for name in DEVICE_INPUTS})
        truth = batch["source_waveform"].astype(np.float64)
        mixture = np.broadcast_to(truth.sum(1, keepdims=True), truth.shape)
        gain = si_sdr(truth, out["waveform"].astype(np.float64)) - si_sdr(truth, mixture)
        gains.append(gain.astype(np.float32))  # as it travels from process to process
        places.append(np.where(batch["valid"], batch["index"], -1).astype(np.int32))
    # In the order of the list, so that the sum is rounded alike for any number of processes.
    place, gain = (all_processes(np.concatenate(parts)) for parts in (places, gains))
    values = gain[np.argsort(place, kind="stable")][np.count_nonzero(place < 0) :]
    bounded = np.clip(np.nan_to_num(values, nan=-SCORE_BOUND_DB), -SCORE_BOUND_DB, SCORE_BOUND_DB)
    return float(np.mean(bounded, dtype=np.float64))
