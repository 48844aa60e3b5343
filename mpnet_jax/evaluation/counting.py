"""Measures how often the recursion finds the number of sounds in mixtures where some visible clips are silent."""

import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from data_pipeline.mixture_list import MixtureListSpec
from data_pipeline.spec import AudioSpec
from mpnet_jax.metrics.aggregate import summarise
from mpnet_jax.steps.device_pass import HostBatch, Separator

DEFINITION = (
    "Count: the number of steps before the remaining mixture falls to max(epsilon_relative * amount(S_0), silence), "
    "where the amount is the mean or the root mean square of the magnitudes (recursion.remainder). Several clips are "
    "visible; some of them sound, the others are silent. epsilon_relative is chosen for the best accuracy on mixtures "
    "of the validation split with at most as many sounds as in training; silence is the amount of white noise at a "
    "stated level."
)

# Levels of the noise whose sounds are counted as a control, in dBFS.
NOISE_DBFS = (-20.0, -40.0, -60.0, -80.0)
_EPSILONS = np.geomspace(1e-3, 1.0, 601)

Remaining = Float[np.ndarray, "mixture steps"]


def with_silent_clips(spec: MixtureListSpec, *, count: int, visible: int, most: int) -> MixtureListSpec:
    """Returns how mixtures for counting are drawn: of `visible` clips, 0, 1, ..., `most` sound in turn."""
    return dataclasses.replace(spec, count=count, sources=visible, sounding=tuple(range(most + 1)))


def amount_of_noise(level_dbfs: float, audio: AudioSpec, remainder: str) -> float:
    """Returns the amount of white noise at a level, a linear STFT magnitude.

    Args:
        level_dbfs: Root mean square of the noise.
        audio: The transform.
        remainder: "rms" for the root mean square of the magnitudes, or "mean" for their mean, which is that of a
            Rayleigh distribution (see `Rules.amount`).
    """
    n = np.arange(audio.fft_samples)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * n / audio.fft_samples)
    rms = 10 ** (level_dbfs / 20) * math.sqrt(float(np.sum(window**2)))
    return rms if remainder == "rms" else rms * math.sqrt(math.pi / 4)


def remaining_amounts(separator: Separator, batches: Iterable[HostBatch]) -> Remaining:
    """Returns the amount of the remaining mixture before each step and after the last; runs a `count_step`."""
    amounts = []
    for batch in batches:
        inputs = {name: batch[name] for name in ("mixture_magnitude", "frames")}
        amounts.append(separator(inputs)["left"][batch["valid"]])
    return np.concatenate(amounts).astype(np.float64)


def counted(remaining: Remaining, *, epsilon_relative: float, epsilon_absolute: float) -> Int[np.ndarray, " mixture"]:
    """Returns the number of sounds that the recursion separates before it ends. Source: Sec. 3.2.

    Args:
        remaining: Amount of the remaining mixture before each step and after the last, a linear magnitude.
        epsilon_relative: Threshold as a share of the mixture's magnitude.
        epsilon_absolute: Least threshold, a linear magnitude.
    """
    threshold = np.maximum(epsilon_relative * remaining[:, :1], epsilon_absolute)
    return np.cumprod(remaining[:, :-1] > threshold, axis=1).sum(axis=1)


def choose_epsilon(
    remaining: Remaining, sounding: Int[np.ndarray, " mixture"], *, epsilon_absolute: float
) -> tuple[float, list[list[float]]]:
    """Returns the relative epsilon with the best accuracy; used on the validation split.

    Args:
        remaining: See `counted`.
        sounding: True numbers of sounds.
        epsilon_absolute: See `counted`.

    Returns:
        The middle of the widest interval of best epsilons, and pairs of (epsilon, accuracy) for a chart.
    """
    accuracy = np.array(
        [
            np.mean(counted(remaining, epsilon_relative=epsilon, epsilon_absolute=epsilon_absolute) == sounding)
            for epsilon in _EPSILONS.tolist()
        ]
    )
    best = np.flatnonzero(accuracy == accuracy.max())
    interval = max(np.split(best, np.flatnonzero(np.diff(best) > 1) + 1), key=len)
    epsilon = float(_EPSILONS[interval[len(interval) // 2]])
    curve = [
        [float(f"{e:.4g}"), round(a, 4)] for e, a in zip(_EPSILONS[::6].tolist(), accuracy[::6].tolist(), strict=True)
    ]
    return epsilon, curve


def count_results(
    remaining: Remaining,
    sounding: Int[np.ndarray, " mixture"],
    video_ids: Sequence[Sequence[str]],
    *,
    epsilon_relative: float,
    epsilon_absolute: float,
    most: int,
) -> dict[str, Any]:
    """Returns the accuracy of the counts and of the best constant guess, and the confusion matrix.

    Args:
        remaining: See `counted`.
        sounding: True numbers of sounds.
        video_ids: Videos of the visible clips of each mixture.
        epsilon_relative: See `counted`.
        epsilon_absolute: See `counted`.
        most: Number of sounds in training.

    Returns:
        JSON-ready dict: `epsilon_relative`, `accuracy`, `constant` (`guess`, `accuracy`), `as_trained` (`accuracy` and
        `constant` over mixtures of 1 to `most` sounds), `by_count` (accuracy by true number), `confusion` (rows: true
        number, columns: count), `counted` (count of each mixture).
    """
    counts = counted(remaining, epsilon_relative=epsilon_relative, epsilon_absolute=epsilon_absolute)
    steps = remaining.shape[1] - 1
    confusion = np.zeros((int(sounding.max()) + 1, steps + 1), int)
    np.add.at(confusion, (sounding, counts), 1)

    def accuracy(answers: np.ndarray, chosen: np.ndarray) -> dict[str, Any]:
        return summarise(
            (answers == sounding)[chosen].astype(float), [video_ids[index] for index in np.flatnonzero(chosen).tolist()]
        )

    def with_constant(chosen: np.ndarray) -> dict[str, Any]:
        guess = int(np.argmax(np.bincount(sounding[chosen], minlength=steps + 1)))
        constant = accuracy(np.full_like(counts, guess), chosen)
        return {"accuracy": accuracy(counts, chosen), "constant": {"guess": guess, "accuracy": constant}}

    return {
        "epsilon_relative": epsilon_relative,
        **with_constant(np.ones(len(sounding), bool)),
        "as_trained": {"most": most, **with_constant((sounding >= 1) & (sounding <= most))},
        "by_count": [
            {"sounding": number, "accuracy": accuracy(counts, sounding == number)}
            for number in sorted(set(sounding.tolist()))
        ],
        "confusion": confusion.tolist(),
        "counted": counts.tolist(),
    }


def noise_batches(
    batches: Iterable[HostBatch], audio: AudioSpec, *, level_dbfs: float, seed: int
) -> Iterable[HostBatch]:
    """Yields batches of mixtures whose sounds are replaced by white noise."""
    from data_pipeline.spectrogram import stft

    gain = np.float32(10 ** (level_dbfs / 20))
    for batch in batches:
        streams = [np.random.default_rng([seed, index]) for index in batch["index"].tolist()]
        noise = np.stack([stream.standard_normal(audio.clip_samples, np.float32) for stream in streams])
        yield batch | {"mixture_magnitude": np.abs(stft(gain * noise, audio))}
