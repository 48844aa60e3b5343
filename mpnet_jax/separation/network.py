"""Applies the networks to batches of windows."""

import functools
import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Float16, UInt8

from data_pipeline.mixing import LARGEST_LIFT
from data_pipeline.spectrogram import stft
from mpnet_jax.evaluation import counting
from mpnet_jax.methods.registry import Method
from mpnet_jax.separation.sound_windows import SoundWindow
from mpnet_jax.steps.device_pass import HostBatch, Separator
from mpnet_jax.weights.trained import Model

# The frames of a window, or the features that a frozen trunk makes of frames.
Seen = UInt8[np.ndarray, "frame height width 3"] | Float[np.ndarray, "frame rows columns channel"]
# A window below the loudest one so far divided by this (20 dB) counts as a pause, and its gain is limited accordingly.
_PAUSE = 10.0
# Frames that a device passes through a frozen trunk at a time; at the end of a video up to as many are not needed.
FRAMES_TOGETHER = 4
# Starts the computation of a batch, and returns a function that waits for its results.
Start = Callable[[HostBatch], Callable[[], dict[str, np.ndarray]]]
_WANTED = ("active", "place", "vector", "energy", "share")
_KEPT = ("features", "vectors", "remainders")


class WindowFeatures(NamedTuple):
    """What the sounds of all places of a window, and the steps of the recursion, are computed from.

    Attributes:
        features: Feature maps of the Minus-Net for the whole mixture.
        vectors: Visual vector of each place.
        remainders: Linear magnitudes of the mixture before each step of the recursion and after the last one, on the
            networks' frequency axis and at the level of the training mixtures.
    """

    features: Float16[np.ndarray, "freq time k"]
    vectors: Float[np.ndarray, "rows columns k"]
    remainders: Float16[np.ndarray, "steps freq time"]


class WindowSounds(NamedTuple):
    """The sounds of a window, one for each step of the recursion.

    Attributes:
        active: Whether the step separated a sound; the other fields are only valid if it did.
        place: Place of the sound, from the top and from the left, in fractions of the frame.
        vector: Visual vector of that place.
        energy: Energy map: the energy that each place, as the candidate, would have separated.
        share: Mask of the sound: its fraction of the mixture's magnitude, in [0, 1].
        magnitude: Magnitude of the mixture.
        kept: What sounds of all places and the steps of the recursion are computed from; None unless it was asked for.
    """

    active: Bool[np.ndarray, " step"]
    place: Float[np.ndarray, "step 2"]
    vector: Float[np.ndarray, "step k"]
    energy: Float[np.ndarray, "step rows columns"]
    share: Float[np.ndarray, "step freq time"]
    magnitude: Float[np.ndarray, "freq time"]
    kept: WindowFeatures | None = None


@functools.lru_cache(maxsize=4)  # Several videos are separated by the same compiled function.
def make_separator(model: Model, *, sounds: int | None, most: int, keep_places: bool = False) -> Separator:
    """Returns the compiled function that separates a batch of windows.

    Args:
        model: The networks.
        sounds: Number of sounds in a window; None lets the recursion end by itself.
        most: Greatest number of sounds that the recursion may find then.
        keep_places: Whether the results hold the fields of `WindowFeatures`.
    """
    method = model.method
    step = method.place_step(
        model.about["method"],
        steps=most if sounds is None else sounds,
        # Masks are not thresholded: on the validation split, thresholding costs half a decibel.
        mask="ratio",
        epsilon_relative=model.epsilon_relative if sounds is None else 0.0,
        epsilon_absolute=counting.amount_of_noise(
            method.evaluation.silence_dbfs, method.audio, method.config.recursion.remainder
        ),
        with_features=keep_places,
    )

    def run(variables: Any, batch: Any) -> Any:
        out = step(variables, batch)
        found = {name: out[name] for name in _WANTED}  # The compiler drops unused outputs.
        if keep_places:
            found["vectors"] = out["vectors"]
            found |= {name: out[name].astype(jnp.float16) for name in ("features", "remainders")}
        return found

    return model.separator(run)


@functools.lru_cache(maxsize=4)
def make_trunk(model: Model) -> Separator | None:
    """Returns the compiled function that makes features of frames; None where the model's trunk learns."""
    return model.features(FRAMES_TOGETHER)


class Leveller:
    """Scales windows to the level of the training mixtures.

    Args:
        level_dbfs: Level of one source in training.
        sources: Number of sources in training.
    """

    def __init__(self, level_dbfs: float, sources: int) -> None:
        self._level = 10 ** (level_dbfs / 20) * math.sqrt(sources)
        self._loudest = self._level / LARGEST_LIFT

    def gain(self, mono: Float[np.ndarray, " samples"]) -> float:
        """Returns the gain of the next window."""
        level = float(np.sqrt(np.mean(np.square(mono))))
        self._loudest = max(self._loudest, level)
        return self._level / max(level, self._loudest / _PAUSE)


def separated_windows(
    start: Start,
    windows: Iterable[SoundWindow],
    pictures: Iterable[Seen],
    *,
    method: Method,
    batch: int,
) -> Iterator[tuple[SoundWindow, WindowSounds]]:
    """Yields every window with its sounds; the next batch is computed while the caller uses the current one.

    Args:
        start: Starts the computation of a batch; see `Separator.start`.
        windows: The windows in their order.
        pictures: The frames of each window, or features of them.
        method: The method of the run.
        batch: Number of windows in a batch.
    """
    audio, drawn = method.audio, method.evaluation.drawn
    leveller = Leveller(drawn.level_dbfs, drawn.sources)
    pending: Iterator[tuple[SoundWindow, WindowSounds]] = iter(())
    for group in _batched(zip(windows, pictures, strict=False), batch):
        group_windows = [window for window, _ in group]
        # (window, samples) -> (window, freq, time)
        levelled = np.stack([window.mono * np.float32(leveller.gain(window.mono)) for window in group_windows])
        magnitude = np.abs(stft(levelled, audio))
        seen = np.stack([of_window for _, of_window in group])
        kind = "frames" if seen.dtype == np.uint8 else "features"
        started = start({"mixture_magnitude": magnitude, kind: seen})
        yield from pending
        pending = _results(group_windows, magnitude, started)
    yield from pending


def _results(
    windows: list[SoundWindow], magnitude: np.ndarray, wait: Callable[[], dict[str, np.ndarray]]
) -> Iterator[tuple[SoundWindow, WindowSounds]]:
    out = wait()
    size = np.array(out["energy"].shape[-2:])  # Rows and columns of the visual map.
    for i, window in enumerate(windows):
        place = (out["place"][i] + 0.5) / size
        kept = WindowFeatures(*(out[name][i] for name in _KEPT)) if "features" in out else None
        yield (
            window,
            WindowSounds(
                out["active"][i], place, out["vector"][i], out["energy"][i], out["share"][i], magnitude[i], kept
            ),
        )


def _batched(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    iterator = iter(items)
    while group := list(itertools.islice(iterator, size)):
        yield group
