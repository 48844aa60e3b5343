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

# What each clue weighs, where it is there; chosen on scenes of the validation split.
WEIGHTS = {"overlap": 1.0, "place": 1.0, "vector": 0.5, "spectrum": 1.0}
# A sound this unlike all known ones is new: with less patience, validation scenes of two have three.
NEW_BELOW = 0.3
# Distance, in shares of the picture's side, at which the similarity of two places is exp(-1/2).
_PLACE_SCALE = 0.3
_UPDATE_RATE = 0.1  # what a window changes of what is known of a sound


@dataclasses.dataclass
class KnownSound:
    """What is known of one sound.

    Attributes:
        place: from the top and from the left, in shares of the picture.
        vector: what is seen there, of length 1 or 0.
        spectrum: mean over time of the square root of its magnitude, of length 1 or 0.
        overlap: magnitude in the columns that the next window hears too; None while it pauses.
    """

    place: Float[np.ndarray, "2"]
    vector: Float[np.ndarray, " k"]
    spectrum: Float[np.ndarray, " freq"]
    overlap: Float[np.ndarray, "freq time"] | None


class Tracker:
    """Numbers the sounds of one window after another.

    Args:
        most: numbers that there are at most.

    Attributes:
        known: of each number, from 1, in the order in which they were first heard.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.known: dict[int, KnownSound] = {}

    def number(self, sounds: WindowSounds) -> dict[int, int]:
        """Numbers the sounds of the next window.

        Args:
            sounds: the window; its steps are in descending order of energy.

        Returns:
            {number: step} of the sounds that were heard, no two of one number. Where there are more sounds than
            numbers, those that are least like any known one have none.
        """
        steps = np.flatnonzero(sounds.active).tolist()
        columns = sounds.magnitude.shape[1] // 2
        found = {step: _described(sounds, step, columns) for step in steps}
        numbers = self._assign(found)
        for number, known in self.known.items():
            if number not in numbers:
                known.overlap = None
        for number, step in numbers.items():
            self._remember(number, found[step])
            self.known[number].overlap = (sounds.share[step] * sounds.magnitude)[:, columns:]
        return numbers

    def _assign(self, found: "dict[int, KnownSound]") -> dict[int, int]:
        steps, known = list(found), list(self.known)
        similarities = np.array([[similarity(self.known[n], found[s]) for n in known] for s in steps]).reshape(
            len(steps), len(known)
        )
        new = self._most - len(known)
        # A column a number, and one a new number: taken where no known sound is as like as that.
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

    def _remember(self, number: int, seen: KnownSound) -> None:
        if number not in self.known:
            self.known[number] = seen
            return
        known = self.known[number]
        known.place = known.place + _UPDATE_RATE * (seen.place - known.place)
        known.vector = _unit(known.vector + _UPDATE_RATE * (seen.vector - known.vector))
        known.spectrum = _unit(known.spectrum + _UPDATE_RATE * (seen.spectrum - known.spectrum))


def _described(sounds: WindowSounds, step: int, columns: int) -> KnownSound:
    """A sound of a window as what would be known of it; `late` is of the columns shared with the window before."""
    magnitude = sounds.share[step] * sounds.magnitude
    return KnownSound(
        place=sounds.place[step].astype(np.float64),
        vector=_unit(sounds.vector[step].astype(np.float64)),
        spectrum=_unit(np.sqrt(magnitude).mean(axis=1).astype(np.float64)),
        overlap=magnitude[:, :columns],
    )


def similarity(known: KnownSound, seen: KnownSound) -> float:
    """How likely a sound of a window is one that is known, in [0, 1]; see the module."""
    distance = np.linalg.norm(known.place - seen.place)
    clues = {
        "place": float(np.exp(-0.5 * (distance / _PLACE_SCALE) ** 2)),
        "vector": max(0.0, float(known.vector @ seen.vector)),
        # Mean spectra of any two sounds are much alike: the power tells them apart.
        "spectrum": max(0.0, float(known.spectrum @ seen.spectrum)) ** 4,
    }
    if known.overlap is not None and seen.overlap is not None:
        union = float(np.maximum(known.overlap, seen.overlap).sum())
        if union > 0:
            clues["overlap"] = float(np.minimum(known.overlap, seen.overlap).sum()) / union
    weights = [WEIGHTS[name] for name in clues]
    return float(np.dot(weights, list(clues.values())) / sum(weights))


def _unit(vector: np.ndarray) -> np.ndarray:
    length = float(np.linalg.norm(vector))
    return vector / length if length > 0 else vector
