"""Whether the recursion ends after the right number of sounds, where more can be seen than heard."""

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
    "Count: the number of steps before which more than max(epsilon_relative * mean(S_0), silence) of the mixture was "
    "left. Several clips are seen, some of them are heard, the others are silent. epsilon_relative is the one that "
    "counts best on the validation split, among mixtures of at most as many sounds as in training; silence is the mean "
    "magnitude of white noise at a stated level."
)

# Levels at which noise without any instrument is counted, in dB of full scale.
NOISE_DBFS = (-20.0, -40.0, -60.0, -80.0)
_EPSILONS = np.geomspace(1e-3, 1.0, 601)

Left = Float[np.ndarray, "mixture steps"]


def with_silent_clips(spec: MixtureListSpec, *, count: int, visible: int) -> MixtureListSpec:
    """How mixtures for counting are drawn: `visible` clips, of which 0, 1, ... visible - 1 sound in turn."""
    return dataclasses.replace(spec, count=count, sources=visible, sounding=tuple(range(visible)))


def magnitude_of_noise(level_dbfs: float, audio: AudioSpec) -> float:
    """Mean linear magnitude of the transform of white noise at a level: of a Rayleigh distribution."""
    n = np.arange(audio.fft_samples)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * n / audio.fft_samples)
    return 10 ** (level_dbfs / 20) * math.sqrt(float(np.sum(window**2)) * math.pi / 4)


def what_is_left(separator: Separator, batches: Iterable[HostBatch]) -> Left:
    """Runs a pass of `count_step` over mixtures: what is left before each step and after the last."""
    found = []
    for batch in batches:
        inputs = {name: batch[name] for name in ("mixture_magnitude", "frames")}
        found.append(separator(inputs)["left"][batch["valid"]])
    return np.concatenate(found).astype(np.float64)


def counted(left: Left, *, epsilon_relative: float, epsilon_absolute: float) -> Int[np.ndarray, " mixture"]:
    """How many sounds the recursion takes before it ends. Source: Sec. 3.2.

    Args:
        left: mean linear magnitude before each step, and after the last.
        epsilon_relative: share of the whole mixture's.
        epsilon_absolute: linear magnitude.
    """
    threshold = np.maximum(epsilon_relative * left[:, :1], epsilon_absolute)
    return np.cumprod(left[:, :-1] > threshold, axis=1).sum(axis=1)


def choose_epsilon(
    left: Left, sounding: Int[np.ndarray, " mixture"], *, epsilon_absolute: float, most: int
) -> tuple[float, list[list[float]]]:
    """The relative epsilon that counts best, on the validation split.

    Args:
        left: see `counted`.
        sounding: the true numbers.
        epsilon_absolute: see `counted`.
        most: mixtures of more sounds do not count: where a network that was trained on two cannot tell four from five,
            an epsilon for those would spoil what it can tell.

    Returns:
        Epsilon, the middle of the widest stretch of best ones; and (epsilon, accuracy) for a chart.
    """
    known = sounding <= most
    accuracy = np.array(
        [
            np.mean((counted(left, epsilon_relative=epsilon, epsilon_absolute=epsilon_absolute) == sounding)[known])
            for epsilon in _EPSILONS.tolist()
        ]
    )
    best = np.flatnonzero(accuracy == accuracy.max())
    stretch = max(np.split(best, np.flatnonzero(np.diff(best) > 1) + 1), key=len)
    epsilon = float(_EPSILONS[stretch[len(stretch) // 2]])
    curve = [
        [float(f"{e:.4g}"), round(a, 4)] for e, a in zip(_EPSILONS[::6].tolist(), accuracy[::6].tolist(), strict=True)
    ]
    return epsilon, curve


def count_results(
    left: Left,
    sounding: Int[np.ndarray, " mixture"],
    video_ids: Sequence[Sequence[str]],
    *,
    epsilon_relative: float,
    epsilon_absolute: float,
    most: int,
) -> dict[str, Any]:
    """Accuracy, beside the best that a constant guess can do, by true number, and who was taken for what.

    Args:
        left: see `counted`.
        sounding: the true numbers.
        video_ids: of the clips that were seen.
        epsilon_relative: see `counted`.
        epsilon_absolute: see `counted`.
        most: number of sounds in training.

    Returns:
        JSON-ready dict: `epsilon_relative`, `accuracy`, `constant` (`guess`, `accuracy`), `by_count`, `as_trained` (the
        same two of mixtures of 1 to `most` sounds alone), `confusion` (rows: true number, columns: counted), `counted`
        (of each mixture).
    """
    found = counted(left, epsilon_relative=epsilon_relative, epsilon_absolute=epsilon_absolute)
    steps = left.shape[1] - 1
    confusion = np.zeros((int(sounding.max()) + 1, steps + 1), int)
    np.add.at(confusion, (sounding, found), 1)

    def accuracy(answers: np.ndarray, of: np.ndarray) -> dict[str, Any]:
        return summarise(
            (answers == sounding)[of].astype(float), [video_ids[index] for index in np.flatnonzero(of).tolist()]
        )

    def beside_constant(of: np.ndarray) -> dict[str, Any]:
        guess = int(np.argmax(np.bincount(sounding[of], minlength=steps + 1)))
        rival = accuracy(np.full_like(found, guess), of)
        return {"accuracy": accuracy(found, of), "constant": {"guess": guess, "accuracy": rival}}

    return {
        "epsilon_relative": epsilon_relative,
        **beside_constant(np.ones(len(sounding), bool)),
        "as_trained": {"most": most, **beside_constant((sounding >= 1) & (sounding <= most))},
        "by_count": [
            {"sounding": number, "accuracy": accuracy(found, sounding == number)}
            for number in sorted(set(sounding.tolist()))
        ],
        "confusion": confusion.tolist(),
        "counted": found.tolist(),
    }


def noise_batches(
    batches: Iterable[HostBatch], audio: AudioSpec, *, level_dbfs: float, seed: int
) -> Iterable[HostBatch]:
    """The pictures of mixtures with white noise in place of their sounds."""
    from data_pipeline.spectrogram import stft

    gain = np.float32(10 ** (level_dbfs / 20))
    for batch in batches:
        streams = [np.random.default_rng([seed, index]) for index in batch["index"].tolist()]
        noise = np.stack([stream.standard_normal(audio.clip_samples, np.float32) for stream in streams])
        yield batch | {"mixture_magnitude": np.abs(stft(gain * noise, audio))}
