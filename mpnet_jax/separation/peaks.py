"""Computes the outline of a waveform while its samples arrive, in constant memory."""

import numpy as np
from jaxtyping import Float

_MOST = 400  # A long sound has from this many to twice as many peaks.
_FIRST_STEP = 64


class Peaks:
    """The largest absolute values of equal parts of a sound; the parts double in length as the sound grows."""

    def __init__(self) -> None:
        self._step = _FIRST_STEP
        self._values = np.zeros(0, np.float32)
        self._rest = np.zeros(0, np.float32)  # Absolute values of the samples after the last complete part.

    def add(self, sound: Float[np.ndarray, "channels samples"]) -> None:
        """Appends samples."""
        loud = np.concatenate([self._rest, np.abs(sound).max(axis=0)])
        whole = len(loud) // self._step * self._step
        parts = loud[:whole].reshape(-1, self._step).max(axis=1)
        self._values, self._rest = np.concatenate([self._values, parts]), loud[whole:]
        while len(self._values) >= 2 * _MOST:
            self._halve()

    def _halve(self) -> None:
        """Joins the parts in pairs; the last one of an odd number returns to the rest."""
        pairs = len(self._values) // 2
        left = np.repeat(self._values[2 * pairs :], self._step)
        self._rest = np.concatenate([left, self._rest])
        self._values = self._values[: 2 * pairs].reshape(-1, 2).max(axis=1)
        self._step *= 2

    def values(self) -> list[float]:
        """Returns the peaks so far, rounded; fewer than `2 * _MOST` + 1."""
        last = [self._rest.max()] if len(self._rest) else []
        return [round(float(value), 5) for value in (*self._values, *last)]
