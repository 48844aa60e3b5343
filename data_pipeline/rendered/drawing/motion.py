"""Computes how a player moves: a function of notes and time, with one pose per frame."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from data_pipeline.rendered.sound.compose import Note

# Notes that start within this time are one movement of the hand (a chord, a double stop).
_ONE_MOVEMENT_SECONDS = 0.05
_GLOW_SECONDS = 0.18
_GLIDE_SECONDS = 0.12
_BELLOWS_SECONDS = 1.7
_SWAY_SECONDS = 2.4
_LIFT_SECONDS = 0.16


@dataclasses.dataclass(frozen=True)
class Pose:
    """The player at one moment.

    Attributes:
        sounding: Whether a note sounds.
        glow: 1 at the start of a loud note, falling to 0; 0 in rests.
        pitch: Position of the hand between the lowest (0) and the highest (1) note of the solo.
        stroke: Position of the bow or of the strumming hand, -1 to 1; changes direction with every note.
        bellows: How far the accordion is open, 0 to 1; moves only while a note sounds.
        sway: Lean of the body, -1 to 1; moves only while a note sounds.
        lifts: Height of the left and of the right mallet, 0 (on the bar) to 1.
        movement: Number of movements begun so far; decides which fingers are down.
    """

    sounding: bool
    glow: float
    pitch: float
    stroke: float
    bellows: float
    sway: float
    lifts: tuple[float, float]
    movement: int


@dataclasses.dataclass(frozen=True)
class _Movements:
    start_s: np.ndarray
    end_s: np.ndarray
    pitch: np.ndarray
    loudness: np.ndarray


def choreograph(notes: Sequence[Note], *, frames: int, fps: float) -> list[Pose]:
    """Converts notes to one pose per frame.

    Args:
        notes: At least one note, in the order of their starts.
        frames: Number of frames.
        fps: Frames per second; frame k shows the time k / fps.

    Returns:
        `frames` poses. During a rest only the mallets move, down to the next note.
    """
    time_s = np.arange(frames) / fps
    moves = _movements(notes)
    current = np.searchsorted(moves.start_s, time_s, side="right") - 1
    begun = current >= 0
    index = np.maximum(current, 0)
    starts, ends = np.array([n.start_s for n in notes]), np.array([n.end_s for n in notes])
    sounding = np.any((starts <= time_s[:, None]) & (time_s[:, None] < ends), axis=1)
    since_s = np.where(begun, time_s - moves.start_s[index], np.inf)
    glow = np.where(sounding, np.exp(-since_s / _GLOW_SECONDS) * moves.loudness[index], 0.0)
    played_s = np.cumsum(sounding) / fps
    lifts = _lifts(moves, time_s)
    columns = zip(
        sounding.tolist(),
        glow.tolist(),
        _pitch(moves, index, since_s).tolist(),
        _stroke(moves, index, since_s).tolist(),
        (1 - np.abs(1 - np.mod(played_s / _BELLOWS_SECONDS, 2))).tolist(),
        np.sin(2 * np.pi * played_s / _SWAY_SECONDS).tolist(),
        [(float(left), float(right)) for left, right in lifts],
        current.tolist(),
        strict=True,
    )
    return [Pose(*column) for column in columns]


def _movements(notes: Sequence[Note]) -> _Movements:
    groups: list[list[Note]] = []
    for note in notes:
        if groups and note.start_s - groups[-1][0].start_s < _ONE_MOVEMENT_SECONDS:
            groups[-1].append(note)
        else:
            groups.append([note])
    pitch = np.array([max(n.pitch for n in group) for group in groups], dtype=float)
    spread = max(float(np.ptp(pitch)), 1.0)
    return _Movements(
        start_s=np.array([group[0].start_s for group in groups]),
        end_s=np.array([max(n.end_s for n in group) for group in groups]),
        pitch=(pitch - pitch.min()) / spread,
        loudness=np.array([max(n.velocity for n in group) / 127 for group in groups]),
    )


def _pitch(moves: _Movements, index: np.ndarray, since_s: np.ndarray) -> np.ndarray:
    """Returns the position of the hand, which glides to a note's position at the beginning of the note."""
    before = moves.pitch[np.maximum(index - 1, 0)]
    share = np.clip(np.where(np.isfinite(since_s), since_s, 0) / _GLIDE_SECONDS, 0, 1)
    return before + share * (moves.pitch[index] - before)


def _stroke(moves: _Movements, index: np.ndarray, since_s: np.ndarray) -> np.ndarray:
    """Returns the position of the bow, which every note moves to the other side, further for a longer note."""
    length_s = np.maximum(moves.end_s - moves.start_s, 0.05)
    to_next_s = np.append(np.diff(moves.start_s), length_s[-1])
    length_s = np.minimum(length_s, to_next_s)
    reach = np.clip(1.4 * length_s, 0.35, 1.0) * np.where(np.arange(length_s.size) % 2, 1, -1)
    origin = np.concatenate([[-reach[0]], reach[:-1]])
    share = np.clip(np.where(np.isfinite(since_s), since_s, 0) / length_s[index], 0, 1)
    return origin[index] + share * (reach - origin)[index]


def _lifts(moves: _Movements, time_s: np.ndarray) -> np.ndarray:
    """Returns (frames, 2) heights of two mallets that strike in turn."""
    heights = []
    for hand in (0, 1):
        hits_s = moves.start_s[hand::2]
        if hits_s.size == 0:
            heights.append(np.ones_like(time_s))
            continue
        distance_s = np.abs(time_s[:, None] - hits_s).min(axis=1)
        heights.append(np.clip(distance_s / _LIFT_SECONDS, 0, 1))
    return np.stack(heights, axis=1)
