"""A stand-in for the networks that knows the frequencies and places of two players and separates them exactly."""

from collections.abc import Callable

import numpy as np

from data_pipeline.spec import AudioSpec
from mpnet_jax.spectrogram.frequency import FrequencyAxis

BORDER_HZ = 1000.0
PLACES = ((3, 1), (3, 6))  # Row and column of the low and the high player in a map of 6 x 8 places.
SHAPE = (6, 8)
LOGIT = 20.0  # Size of the logits of the players' masks.


class Oracle:
    """Replaces a `Separator`; it finds the low sound first in even windows and the high sound first in odd ones.

    Args:
        audio: The network's transform.
        swaps: Whether the order changes from window to window.
        heard: Function of window and player that returns whether the player sounds in it.
        axis: The networks' frequency axis, of the feature maps; None gives no feature maps.
    """

    def __init__(
        self,
        audio: AudioSpec,
        *,
        swaps: bool = True,
        heard: Callable[[int, int], bool] = lambda window, player: True,
        axis: FrequencyAxis | None = None,
    ) -> None:
        self._axis = axis
        self._audio, self._swaps, self._heard, self._window = audio, swaps, heard, 0
        self.frames: list[tuple[int, ...]] = []

    def start(self, inputs: dict[str, np.ndarray]) -> Callable[[], dict[str, np.ndarray]]:
        magnitude = inputs["mixture_magnitude"]
        self.frames.append(inputs["frames"].shape)
        found = [self._of(m) for m in magnitude]
        return lambda: {name: np.stack([one[name] for one in found]) for name in found[0]}

    def _kept(self, magnitude: np.ndarray, masks: np.ndarray, order: list[int]) -> dict[str, np.ndarray]:
        """Returns feature maps whose masks are nearly those of the oracle at the places of the players, else 1/2."""
        if self._axis is None:
            return {}
        vectors = np.zeros((*SHAPE, 2), np.float32)
        for player, place in enumerate(PLACES):
            vectors[place][player] = 1.0
        logits = LOGIT * (2.0 * (self._axis.forth @ masks) - 1.0)
        first, both = (self._axis.forth @ (magnitude * part) for part in (masks[order[0]], masks.sum(axis=0)))
        return {
            "features": logits.transpose(1, 2, 0).astype(np.float16),
            "vectors": vectors,
            "remainders": np.stack([both, both - first, 0.0 * both]).astype(np.float16),
        }

    def _of(self, magnitude: np.ndarray) -> dict[str, np.ndarray]:
        low = np.arange(self._audio.freq_bins) * self._audio.rate_hz / self._audio.fft_samples < BORDER_HZ
        masks = np.stack([low, ~low]).astype(np.float32)[:, :, None] * np.ones_like(magnitude)
        order = [1, 0] if self._swaps and self._window % 2 else [0, 1]
        active = np.array([self._heard(self._window, player) for player in order]) & bool(magnitude.any())
        energy = np.zeros((2, *SHAPE), np.float32)
        for step, player in enumerate(order):
            energy[step][PLACES[player]] = 1.0
        self._window += 1
        kept = active[:, None, None]
        return {
            "active": active,
            "place": np.where(active[:, None], np.array(PLACES)[order], -1),
            "vector": np.where(active[:, None], np.eye(2, dtype=np.float32)[order], 0),
            "energy": np.where(kept, energy, 0),
            "share": np.where(kept, masks[order], 0).astype(np.float32),
        } | self._kept(magnitude, masks, order)
