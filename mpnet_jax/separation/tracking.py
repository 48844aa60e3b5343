"""Gives the same sound the same number in every window.

Each sound of a window is compared with the sounds that are already known, by four clues between 0 and 1:

* Overlap: consecutive windows share half their columns, so a continuing sound's two masks select the same part of the
  mixture there. A sound that paused in the window before has no overlap; the other clues decide alone.
* Place: the distance between the two places in the picture.
* Vector: the cosine of the visual vectors at these places.
* Spectrum: the cosine of the mean spectra.

The Hungarian method assigns the numbers that maximise the sum of similarities. A sound that resembles no known sound
gets a new number, as long as fewer than `most` are in use.
"""

import dataclasses

import numpy as np
import scipy.optimize
from jaxtyping import Float

from mpnet_jax.separation.network import WindowSounds

# Weights of the clues, chosen on videos of the validation split.
WEIGHTS = {"overlap": 1.0, "place": 1.0, "vector": 0.5, "spectrum": 1.0}
# A sound whose similarity to all known sounds is below this is new. With a higher value, validation videos of two
# sounds get three.
NEW_BELOW = 0.3
# Distance, in fractions of the frame's sides, at which the similarity of two places is exp(-1/2).
_PLACE_SCALE = 0.3
_UPDATE_RATE = 0.1  # Weight of a new window in the running description of a sound.


@dataclasses.dataclass
class KnownSound:
    """The running description of a sound.

    Attributes:
        place: From the top and from the left, in fractions of the frame.
        vector: Visual vector of the place, normalised to length 1 (or zero).
        spectrum: Mean over time of the square root of the magnitude, normalised to length 1 (or zero).
        overlap: Magnitude in the columns shared with the next window; None if the sound paused.
    """

    place: Float[np.ndarray, "2"]
    vector: Float[np.ndarray, " k"]
    spectrum: Float[np.ndarray, " freq"]
    overlap: Float[np.ndarray, "freq time"] | None


class Tracker:
    """Numbers the sounds of one window after another.

    Args:
        most: Maximum number of sounds.

    Attributes:
        known: The known sounds by number, from 1, in the order of their first windows.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.known: dict[int, KnownSound] = {}

    def number(self, sounds: WindowSounds) -> dict[int, int]:
        """Numbers the sounds of the next window.

        Args:
            sounds: The sounds of the window; the steps are in descending order of energy.

        Returns:
            Steps by number. If there are more sounds than numbers, the sounds that are least similar to the known ones
            get none.
        """
        steps = np.flatnonzero(sounds.active).tolist()
        columns = sounds.magnitude.shape[1] // 2
        candidates = {step: _described(sounds, step, columns) for step in steps}
        numbers = self._assign(candidates)
        for number, known in self.known.items():
            if number not in numbers:
                known.overlap = None
        for number, step in numbers.items():
            self._remember(number, candidates[step])
            self.known[number].overlap = (sounds.share[step] * sounds.magnitude)[:, columns:]
        return numbers

    def _assign(self, candidates: "dict[int, KnownSound]") -> dict[int, int]:
        steps, known = list(candidates), list(self.known)
        similarities = np.array([[similarity(self.known[n], candidates[s]) for n in known] for s in steps]).reshape(
            len(steps), len(known)
        )
        new = self._most - len(known)
        # One column for each known number, (step, number), and one for each number that is still free. A free one is
        # assigned where no known sound is similar enough.
        table = np.concatenate([similarities, np.full((len(steps), new), NEW_BELOW)], axis=1)
        rows, columns = scipy.optimize.linear_sum_assignment(-table)
        numbers: dict[int, int] = {}
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
            if column < len(known):
                numbers[known[column]] = steps[row]
        fresh = [row for row, column in zip(rows.tolist(), columns.tolist(), strict=True) if column >= len(known)]
        for row in sorted(fresh):
            numbers[max(numbers.keys() | self.known.keys(), default=0) + 1] = steps[row]
        return numbers

    def _remember(self, number: int, candidate: KnownSound) -> None:
        if number not in self.known:
            self.known[number] = candidate
            return
        known = self.known[number]
        known.place = known.place + _UPDATE_RATE * (candidate.place - known.place)
        known.vector = _unit(known.vector + _UPDATE_RATE * (candidate.vector - known.vector))
        known.spectrum = _unit(known.spectrum + _UPDATE_RATE * (candidate.spectrum - known.spectrum))


def _described(sounds: WindowSounds, step: int, columns: int) -> KnownSound:
    """Describes a sound of a window; `overlap` is in the columns shared with the previous window."""
    magnitude = sounds.share[step] * sounds.magnitude
    return KnownSound(
        place=sounds.place[step].astype(np.float64),
        vector=_unit(sounds.vector[step].astype(np.float64)),
        spectrum=_unit(np.sqrt(magnitude).mean(axis=1).astype(np.float64)),
        overlap=magnitude[:, :columns],
    )


def similarity(known: KnownSound, candidate: KnownSound) -> float:
    """Returns the similarity of a known sound and a sound of a window, in [0, 1]; see the module."""
    distance = np.linalg.norm(known.place - candidate.place)
    clues = {
        "place": float(np.exp(-0.5 * (distance / _PLACE_SCALE) ** 2)),
        "vector": max(0.0, float(known.vector @ candidate.vector)),
        # The mean spectra of any two sounds are similar; the power enlarges their differences.
        "spectrum": max(0.0, float(known.spectrum @ candidate.spectrum)) ** 4,
    }
    if known.overlap is not None and candidate.overlap is not None:
        union = float(np.maximum(known.overlap, candidate.overlap).sum())
        if union > 0:
            clues["overlap"] = float(np.minimum(known.overlap, candidate.overlap).sum()) / union
    weights = [WEIGHTS[name] for name in clues]
    return float(np.dot(weights, list(clues.values())) / sum(weights))


def _unit(vector: np.ndarray) -> np.ndarray:
    length = float(np.linalg.norm(vector))
    return vector / length if length > 0 else vector
