"""Notes with curves of pitch and level: what a player plays, and what soundfonts and recorded notes can render."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from data_pipeline.rendered.sound.compose import Note

# Points of the curves in a second.
CURVE_HZ = 100


class Played(NamedTuple):
    """A note as it is played.

    Attributes:
        note: Start, end, pitch and velocity.
        cents: (points,) deviation from the pitch in hundredths of a semitone, at `CURVE_HZ` from the note's start; the
            last value holds for the release.
        gain: (points,) factor of the level, greater than 0 and at most 1, at the same times.
        slurred: Whether the note continues the one before it without a new attack.
    """

    note: Note
    cents: np.ndarray
    gain: np.ndarray
    slurred: bool = False


def play_plainly(notes: Sequence[Note]) -> list[Played]:
    """Returns notes that keep their pitch and level."""
    return [Played(note, np.zeros(1, np.float32), np.ones(1, np.float32)) for note in notes]
