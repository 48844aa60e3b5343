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
from mpnet_jax.config import specs
from mpnet_jax.config.specs import Config
from mpnet_jax.evaluation import counting
from mpnet_jax.methods import registry
from mpnet_jax.separation.sound_windows import SoundWindow
from mpnet_jax.steps.device_pass import HostBatch, Separator
from mpnet_jax.weights.trained import Model

Pictures = UInt8[np.ndarray, "frame height width 3"]
# A window that is quieter than the loudest so far by more than this is taken for a pause and lifted by no more.
_PAUSE = 10.0
# Takes a batch, gives what waits for its results.
Start = Callable[[HostBatch], Callable[[], dict[str, np.ndarray]]]
_WANTED = ("active", "place", "vector", "energy", "share")


class Heard(NamedTuple):
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
def make_separator(model: Model, *, sounds: int | None, most: int, silence_dbfs: float) -> Separator:
    """The pass that windows go through.

    Args:
        model: the networks.
        sounds: how many a window has; None lets the recursion end by itself.
        most: greatest number that it may find then.
        silence_dbfs: what is left is silence when it is under white noise of this level.
    """
    silence = counting.magnitude_of_noise(silence_dbfs, specs.audio_spec(model.config))
    return model.separator(
        _place_step,
        steps=most if sounds is None else sounds,
        epsilon_relative=model.epsilon_relative if sounds is None else 0.0,
        epsilon_absolute=silence,
    )


def _place_step(config: Config, **options: Any) -> Callable[..., Any]:
    """Gives back what is wanted here alone: the rest is not computed."""
    # Masks stay soft: on the validation split, thresholded ones lose half a decibel.
    step = registry.place_step(config, place_side=config.recursion.place_side, mask="ratio", **options)

    def run(variables: Any, batch: Any) -> Any:
        out = step(variables, batch)
        return {name: out[name] for name in _WANTED}

    return run


class Leveller:
    """Brings windows to the level of the mixtures in training, whatever the video's.

    Args:
        config: of the run.
    """

    def __init__(self, config: Config) -> None:
        self._level = 10 ** (config.mixing.level_dbfs / 20) * math.sqrt(config.mixing.sources)
        self._loudest = self._level / LARGEST_LIFT

    def gain(self, mono: Float[np.ndarray, " samples"]) -> float:
        """Factor of the next window."""
        level = float(np.sqrt(np.mean(np.square(mono))))
        self._loudest = max(self._loudest, level)
        return self._level / max(level, self._loudest / _PAUSE)


def heard_windows(
    start: Start,
    windows: Iterable[SoundWindow],
    pictures: Iterable[Pictures],
    *,
    config: Config,
    batch: int,
) -> Iterator[tuple[SoundWindow, Heard]]:
    """Runs windows through the networks; the next batch is under way while one is used.

    Args:
        start: sends a batch on its way, as `Separator.start` does.
        windows: in their order.
        pictures: of each.
        config: of the run.
        batch: windows at a time.
    """
    audio, leveller = specs.audio_spec(config), Leveller(config)
    pending: Iterator[tuple[SoundWindow, Heard]] = iter(())
    for group in _batched(zip(windows, pictures, strict=False), batch):
        listened = [window for window, _ in group]
        levelled = np.stack([window.mono * np.float32(leveller.gain(window.mono)) for window in listened])
        magnitude = np.abs(stft(levelled, audio))
        frames = np.stack([seen for _, seen in group])
        started = start({"mixture_magnitude": magnitude, "frames": frames})
        yield from pending
        pending = _results(listened, magnitude, started)
    yield from pending


def _results(
    windows: list[SoundWindow], magnitude: np.ndarray, wait: Callable[[], dict[str, np.ndarray]]
) -> Iterator[tuple[SoundWindow, Heard]]:
    out = wait()
    size = np.array(out["energy"].shape[-2:])
    for i, window in enumerate(windows):
        place = (out["place"][i] + 0.5) / size
        yield (
            window,
            Heard(out["active"][i], place, out["vector"][i], out["energy"][i], out["share"][i], magnitude[i]),
        )


def _batched(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    iterator = iter(items)
    while group := list(itertools.islice(iterator, size)):
        yield group
