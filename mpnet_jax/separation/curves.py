"""Sums up the windows of a separation for its page: the energy over time, and the moments of the posters."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from mpnet_jax.separation.stems import RESIDUAL

_MOST_POINTS = 300


class Curves:
    """The energy of each sound over time, in at most twice `_MOST_POINTS` points for any length of the video."""

    def __init__(self) -> None:
        self._times: list[float] = []
        self._values: dict[int, list[float]] = {}
        self._every, self._seen = 1, 0

    def add(self, window: Mapping[str, Any]) -> None:
        """Adds a window of `journal.read_windows`."""
        self._seen += 1
        if self._seen % self._every:
            return
        shares = {sound["number"]: sound["energy"] for sound in window["sounds"]}
        self._times.append(0.5 * (window["start_s"] + window["end_s"]))
        for number in shares.keys() - self._values.keys():
            self._values[number] = [0.0] * (len(self._times) - 1)
        for number, values in self._values.items():
            values.append(shares.get(number, 0.0))
        # Every second point is dropped when there are too many, and then every second window is skipped.
        if len(self._times) >= 2 * _MOST_POINTS:
            self._every *= 2
            self._times = self._times[1::2]
            self._values = {number: values[1::2] for number, values in self._values.items()}

    def of(self, number: int) -> list[list[float]]:
        """Returns the points (seconds, fraction of the mixture) of a sound."""
        return np.stack([self._times, self._values.get(number, [0.0] * len(self._times))], axis=1).tolist()


class Moments:
    """The time at which each sound is the greatest fraction of the mixture, and a time at which most sounds are heard.

    Attributes:
        seconds: The times by number of the sound; `RESIDUAL` is the number of the time for all sounds together.
    """

    def __init__(self) -> None:
        self.seconds: dict[int, float] = {}
        self._best: dict[int, tuple[int, float]] = {}

    def add(self, window: Mapping[str, Any]) -> None:
        """Adds a window of `journal.read_windows`."""
        energies = {sound["number"]: sound["energy"] for sound in window["sounds"]}
        values = {number: (1, energy) for number, energy in energies.items()}
        values[RESIDUAL] = (len(energies), min(energies.values(), default=0.0))
        for number, value in values.items():
            if number not in self._best or value > self._best[number]:
                self._best[number] = value
                self.seconds[number] = 0.5 * (window["start_s"] + window["end_s"])
