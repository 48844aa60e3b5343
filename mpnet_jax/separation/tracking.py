"""The same sound keeps its number from window to window.

Two windows share half their columns, so a sound that goes on is heard twice there: its two masks keep the same part of
the mixture. What was seen is the second clue: the place and the visual vector there; the mean spectrum is the third. A
sound that pauses has no mask to compare, so for one that comes back the other clues count. Each likeness lies between 0
and 1, and the sounds of a window are given the numbers that make the sum of likenesses greatest (optimal assignment). A
sound that is like none of those known becomes a new one, as long as there are fewer than `most`.
"""

import dataclasses

import numpy as np
import scipy.optimize
from jaxtyping import Float

from mpnet_jax.separation.network import Heard

# What each clue weighs, where it is there; chosen on scenes of the validation split.
WEIGHTS = {"overlap": 1.0, "place": 1.0, "vector": 0.5, "spectrum": 1.0}
# A sound this unlike all known ones is new: with less patience, validation scenes of two have three.
NEW_BELOW = 0.3
# Distance, in shares of the picture's side, at which the likeness of two places is exp(-1/2).
_NEAR = 0.3
_FORGET = 0.1  # what a window changes of what is known of a sound


@dataclasses.dataclass
class Known:
    """What is known of one sound.

    Attributes:
        place: from the top and from the left, in shares of the picture.
        vector: what is seen there, of length 1 or 0.
        spectrum: mean over time of the square root of its magnitude, of length 1 or 0.
        late: magnitude in the columns that the next window hears too; None while it pauses.
    """

    place: Float[np.ndarray, "2"]
    vector: Float[np.ndarray, " k"]
    spectrum: Float[np.ndarray, " freq"]
    late: Float[np.ndarray, "freq time"] | None


class Tracker:
    """Numbers the sounds of one window after another.

    Args:
        most: numbers that there are at most.

    Attributes:
        known: of each number, from 1, in the order in which they were first heard.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.known: dict[int, Known] = {}

    def number(self, heard: Heard) -> dict[int, int]:
        """Numbers the sounds of the next window.

        Args:
            heard: the window; its steps are in descending order of energy.

        Returns:
            {number: step} of the sounds that were heard, no two of one number. Where there are more sounds than
            numbers, those that are least like any known one have none.
        """
        steps = np.flatnonzero(heard.active).tolist()
        columns = heard.magnitude.shape[1] // 2
        found = {step: _seen(heard, step, columns) for step in steps}
        numbers = self._assign(found)
        for number, known in self.known.items():
            if number not in numbers:
                known.late = None
        for number, step in numbers.items():
            self._remember(number, found[step])
            self.known[number].late = (heard.share[step] * heard.magnitude)[:, columns:]
        return numbers

    def _assign(self, found: "dict[int, Known]") -> dict[int, int]:
        steps, known = list(found), list(self.known)
        likeness = np.array([[like(self.known[n], found[s]) for n in known] for s in steps]).reshape(
            len(steps), len(known)
        )
        new = self._most - len(known)
        # A column a number, and one a new number: taken where no known sound is as like as that.
        table = np.concatenate([likeness, np.full((len(steps), new), NEW_BELOW)], axis=1)
        rows, columns = scipy.optimize.linear_sum_assignment(-table)
        numbers: dict[int, int] = {}
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
            if column < len(known):
                numbers[known[column]] = steps[row]
        fresh = [row for row, column in zip(rows.tolist(), columns.tolist(), strict=True) if column >= len(known)]
        for row in sorted(fresh):
            numbers[max(numbers.keys() | self.known.keys(), default=0) + 1] = steps[row]
        return numbers

    def _remember(self, number: int, seen: Known) -> None:
        if number not in self.known:
            self.known[number] = seen
            return
        known = self.known[number]
        known.place = known.place + _FORGET * (seen.place - known.place)
        known.vector = _unit(known.vector + _FORGET * (seen.vector - known.vector))
        known.spectrum = _unit(known.spectrum + _FORGET * (seen.spectrum - known.spectrum))


def _seen(heard: Heard, step: int, columns: int) -> Known:
    """A sound of a window as what would be known of it; `late` is of the columns shared with the window before."""
    magnitude = heard.share[step] * heard.magnitude
    return Known(
        place=heard.place[step].astype(np.float64),
        vector=_unit(heard.vector[step].astype(np.float64)),
        spectrum=_unit(np.sqrt(magnitude).mean(axis=1).astype(np.float64)),
        late=magnitude[:, :columns],
    )


def like(known: Known, seen: Known) -> float:
    """How likely a sound of a window is one that is known, in [0, 1]; see the module."""
    distance = np.linalg.norm(known.place - seen.place)
    clues = {
        "place": float(np.exp(-0.5 * (distance / _NEAR) ** 2)),
        "vector": max(0.0, float(known.vector @ seen.vector)),
        # Mean spectra of any two sounds are much alike: the power tells them apart.
        "spectrum": max(0.0, float(known.spectrum @ seen.spectrum)) ** 4,
    }
    if known.late is not None and seen.late is not None:
        union = float(np.maximum(known.late, seen.late).sum())
        if union > 0:
            clues["overlap"] = float(np.minimum(known.late, seen.late).sum()) / union
    weights = [WEIGHTS[name] for name in clues]
    return float(np.dot(weights, list(clues.values())) / sum(weights))


def _unit(vector: np.ndarray) -> np.ndarray:
    length = float(np.linalg.norm(vector))
    return vector / length if length > 0 else vector
