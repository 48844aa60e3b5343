"""Windows through the networks, a batch of one size at a time."""

import functools
import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, UInt8

from data_pipeline.mixing import LARGEST_LIFT
from data_pipeline.spectrogram import stft
from mpnet_jax.evaluation import counting
from mpnet_jax.methods.registry import Method
from mpnet_jax.separation.sound_windows import SoundWindow
from mpnet_jax.steps.device_pass import HostBatch, Separator
from mpnet_jax.weights.trained import Model

Pictures = UInt8[np.ndarray, "frame height width 3"]
# A window that is quieter than the loudest so far by more than this is taken for a pause and lifted by no more.
_PAUSE = 10.0
# Takes a batch, gives what waits for its results.
Start = Callable[[HostBatch], Callable[[], dict[str, np.ndarray]]]
_WANTED = ("active", "place", "vector", "energy", "share")


class WindowSounds(NamedTuple):
    """What the networks found in a window, step by step of the recursion.

    Attributes:
        active: whether the step found a sound.
        place: where: from the top and from the left, in shares of the picture; meaningless where inactive.
        vector: what was seen there.
        energy: of the sound that each place of the picture would have taken.
        share: of the mixture's magnitude, in [0, 1].
        magnitude: of the mixture.
    """

    active: Bool[np.ndarray, " step"]
    place: Float[np.ndarray, "step 2"]
    vector: Float[np.ndarray, "step k"]
    energy: Float[np.ndarray, "step rows columns"]
    share: Float[np.ndarray, "step freq time"]
    magnitude: Float[np.ndarray, "freq time"]


@functools.lru_cache(maxsize=4)  # several videos one after another compile once
def make_separator(model: Model, *, sounds: int | None, most: int) -> Separator:
    """Returns the pass that windows go through.

    Args:
        model: The networks.
        sounds: Number of sounds in a window; None lets the recursion end by itself.
        most: Greatest number of sounds that the recursion may find then.
    """
    method = model.method
    step = method.place_step(
        model.about["method"],
        steps=most if sounds is None else sounds,
        # Masks stay soft: on the validation split, thresholded ones lose half a decibel.
        mask="ratio",
        epsilon_relative=model.epsilon_relative if sounds is None else 0.0,
        epsilon_absolute=counting.magnitude_of_noise(method.evaluation.silence_dbfs, method.audio),
    )

    def run(variables: Any, batch: Any) -> Any:
        out = step(variables, batch)
        return {name: out[name] for name in _WANTED}  # the compiler leaves out what no output needs

    return model.separator(run)


class Leveller:
    """Brings windows to the level of the mixtures in training, whatever the video's.

    Args:
        level_dbfs: Level of one source in training.
        sources: Number of sources in training.
    """

    def __init__(self, level_dbfs: float, sources: int) -> None:
        self._level = 10 ** (level_dbfs / 20) * math.sqrt(sources)
        self._loudest = self._level / LARGEST_LIFT

    def gain(self, mono: Float[np.ndarray, " samples"]) -> float:
        """Factor of the next window."""
        level = float(np.sqrt(np.mean(np.square(mono))))
        self._loudest = max(self._loudest, level)
        return self._level / max(level, self._loudest / _PAUSE)


def separated_windows(
    start: Start,
    windows: Iterable[SoundWindow],
    pictures: Iterable[Pictures],
    *,
    method: Method,
    batch: int,
) -> Iterator[tuple[SoundWindow, WindowSounds]]:
    """Runs windows through the networks; the next batch is under way while one is used.

    Args:
        start: sends a batch on its way, as `Separator.start` does.
        windows: in their order.
        pictures: of each.
        method: The method of the run.
        batch: windows at a time.
    """
    audio, drawn = method.audio, method.evaluation.drawn
    leveller = Leveller(drawn.level_dbfs, drawn.sources)
    pending: Iterator[tuple[SoundWindow, WindowSounds]] = iter(())
    for group in _batched(zip(windows, pictures, strict=False), batch):
        group_windows = [window for window, _ in group]
        levelled = np.stack([window.mono * np.float32(leveller.gain(window.mono)) for window in group_windows])
        magnitude = np.abs(stft(levelled, audio))
        frames = np.stack([seen for _, seen in group])
        started = start({"mixture_magnitude": magnitude, "frames": frames})
        yield from pending
        pending = _results(group_windows, magnitude, started)
    yield from pending


def _results(
    windows: list[SoundWindow], magnitude: np.ndarray, wait: Callable[[], dict[str, np.ndarray]]
) -> Iterator[tuple[SoundWindow, WindowSounds]]:
    out = wait()
    size = np.array(out["energy"].shape[-2:])
    for i, window in enumerate(windows):
        place = (out["place"][i] + 0.5) / size
        yield (
            window,
            WindowSounds(out["active"][i], place, out["vector"][i], out["energy"][i], out["share"][i], magnitude[i]),
        )


def _batched(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    iterator = iter(items)
    while group := list(itertools.islice(iterator, size)):
        yield group
