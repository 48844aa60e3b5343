"""Composes a melody in phrases: repeated motives, steps with some leaps, breaths, and a cadence.

Each bar has a chord. The first note of a bar and the notes on strong beats are chord tones, the others move by scale
steps. Four bars make a phrase (motive, answer, contrast, cadence), and two themes alternate.
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from data_pipeline.rendered.sound.instruments import Instrument

MIN_SECONDS = 2.0
_MODES = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "minor": (0, 2, 3, 5, 7, 8, 10),
}
# A pentatonic melody omits two degrees of its parent scale; the chords use the parent.
_PENTATONIC = {"major_pentatonic": ("major", (3, 6)), "minor_pentatonic": ("minor", (1, 5))}
_PROGRESSIONS = (
    (0, 3, 4, 0),
    (0, 5, 3, 4),
    (0, 4, 5, 3),
    (0, 2, 3, 4),
    (0, 3, 0, 4),
    (5, 3, 0, 4),
    (0, 1, 4, 0),
)
# Rhythms of a bar in eighths, calm and lively, by the number of eighths in a bar.
_CALM = {
    8: ((4, 4), (2, 2, 4), (4, 2, 2), (6, 2), (3, 1, 4), (2, 2, 2, 2)),
    6: ((4, 2), (2, 2, 2), (3, 3), (3, 1, 2), (2, 4)),
}
_LIVELY = {
    8: (
        (1, 1, 2, 1, 1, 2),
        (2, 1, 1, 2, 2),
        (1, 1, 1, 1, 1, 1, 1, 1),
        (3, 1, 2, 2),
        (1, 1, 1, 1, 2, 2),
        (1.5, 0.5, 1, 1, 1.5, 0.5, 2),
        (2, 0.5, 0.5, 1, 2, 1, 1),
    ),
    6: ((1, 1, 2, 2), (1, 1, 1, 1, 1, 1), (2, 1, 1, 1, 1), (2, 1, 2, 1), (1.5, 0.5, 1, 1.5, 0.5, 1)),
}
_STEPS = (-4, -3, -2, -1, 0, 1, 2, 3, 4)
_STEP_CHANCES = (0.02, 0.04, 0.12, 0.28, 0.08, 0.28, 0.12, 0.04, 0.02)
_LONGEST_REST_SECONDS = 0.45


class Note(NamedTuple):
    """A note that sounds: seconds from the start of the solo, MIDI pitch, velocity 1 to 127."""

    start_s: float
    end_s: float
    pitch: int
    velocity: int


@dataclasses.dataclass(frozen=True)
class Song:
    """Metre, tempo, key and chords of a solo.

    Attributes:
        bars: Number of bars.
        bar_eighths: Eighths in a bar.
        eighth_s: Seconds of an eighth.
        lead_s: Silence before the first bar in seconds.
        tonic: MIDI pitch of scale degree 0.
        steps: Semitones of the seven degrees above the tonic.
        left_out: Degrees, 0 to 6, that the melody avoids.
        chords: Scale degree of each bar's root.
        mode: Name of the scale.
    """

    bars: int
    bar_eighths: int
    eighth_s: float
    lead_s: float
    tonic: int
    steps: tuple[int, ...]
    left_out: tuple[int, ...]
    chords: tuple[int, ...]
    mode: str

    def pitch(self, degree: int) -> int:
        """Returns the MIDI pitch of a scale degree; 7 is the octave, -1 the step below the tonic."""
        return self.tonic + 12 * (degree // 7) + self.steps[degree % 7]

    def is_chord_tone(self, degree: int, bar: int) -> bool:
        """Returns whether a degree is the root, third or fifth of a bar's chord."""
        return (degree - self.chords[bar]) % 7 in (0, 2, 4)

    def start_s(self, bar: int) -> float:
        """Returns the seconds from the start of the solo to a bar line."""
        return self.lead_s + bar * self.bar_eighths * self.eighth_s


class MelodyNote(NamedTuple):
    """A note before articulation: bar, eighths from the bar line, length in eighths, degree, velocity."""

    bar: int
    offset: float
    eighths: float
    degree: int
    velocity: float


def choose_song(
    instrument: Instrument, rng: np.random.Generator, *, seconds: float, keys: Sequence[int] = range(12)
) -> Song:
    """Chooses metre, tempo, key and chords; the tempo is adjusted slightly to fill the solo with complete bars.

    Args:
        instrument: Gives range, tempo and scales.
        rng: Random generator of all choices.
        seconds: Length of the solo.
        keys: Pitch classes that the tonic may have (0 is C); the one nearest to the drawn tonic is used.
    """
    lead_s = float(rng.uniform(0.02, 0.2))
    bar_eighths = int(rng.choice([8, 8, 6]))
    eighth_s = 30.0 / float(rng.uniform(*instrument.beats_per_minute))
    usable_s = seconds - lead_s - min(0.3, 0.1 * seconds)
    bars = max(1, round(usable_s / (bar_eighths * eighth_s)))
    mode = str(rng.choice(instrument.modes))
    parent, left_out = _PENTATONIC.get(mode, (mode, ()))
    middle = (instrument.low + instrument.high) // 2
    progression = _PROGRESSIONS[int(rng.integers(len(_PROGRESSIONS)))]
    chords = [progression[bar % 4] for bar in range(bars)]
    chords[-1] = 0
    return Song(
        bars=bars,
        bar_eighths=bar_eighths,
        eighth_s=usable_s / (bars * bar_eighths),
        lead_s=lead_s,
        tonic=_nearest_key(middle - 6 + int(rng.integers(12)), keys),
        steps=_MODES[parent],
        left_out=left_out,
        chords=tuple(chords),
        mode=mode,
    )


def _nearest_key(tonic: int, keys: Sequence[int]) -> int:
    return tonic + min(((key - tonic + 6) % 12 - 6 for key in keys), key=abs)


def compose_melody(
    instrument: Instrument, song: Song, rng: np.random.Generator, *, lowest: int | None = None
) -> list[MelodyNote]:
    """Composes the upper voice.

    Args:
        instrument: Gives range and liveliness.
        song: Key, metre and chords.
        rng: Random generator of all choices.
        lowest: Lowest MIDI pitch of the melody when other voices are below it.

    Returns:
        Notes in the order of time, one at a time.
    """
    low = instrument.low if lowest is None else lowest
    degrees = [d for d in range(-35, 36) if low <= song.pitch(d) <= instrument.high and d % 7 not in song.left_out]
    rhythms = [_choose_rhythm(instrument, song, rng) for _ in range(4)]
    contours = [rng.choice(_STEPS, size=16, p=_STEP_CHANCES) for _ in range(4)]
    melody: list[MelodyNote] = []
    window = _window(degrees, rng)
    degree = window[len(window) // 2]
    for bar in range(song.bars):
        phrase, place = divmod(bar, 4)
        if place == 0:
            window = _window(degrees, rng)
        last = bar == song.bars - 1
        theme = 2 * (phrase % 2)
        motive = theme if place in (0, 1) or rng.random() < 0.3 else theme + 1
        rhythm = _cadence(song, rhythms[motive], final=last) if last or place == 3 else rhythms[motive]
        arc = np.sin(np.pi * (place + 0.5) / 4)
        offset = 0.0
        for k, eighths in enumerate(rhythm):
            if k:
                degree = _move(window, degree, int(contours[motive][k % 16]))
            closing = last and k == len(rhythm) - 1
            if closing or k == 0 or (offset % 2 == 0 and eighths >= 2):
                degree = _nearest_chord_tone(song, bar, degree, window, root_only=closing)
            accent = 9.0 if offset == 0 else 4.0 if offset % 4 == 0 else 0.0
            velocity = 70 + 22 * arc + accent + rng.normal(0, 4)
            melody.append(MelodyNote(bar, offset, float(eighths), degree, float(velocity)))
            offset += eighths
    return melody


def articulate(instrument: Instrument, song: Song, melody: list[MelodyNote], rng: np.random.Generator) -> list[Note]:
    """Turns a melody into notes: legato or staccato, a breath after each phrase, occasional short rests."""
    style = float(np.clip(instrument.legato + rng.normal(0, 0.05), 0.6, 1.0))
    notes: list[Note] = []
    rested = False
    for k, note in enumerate(melody):
        start_s = song.start_s(note.bar) + note.offset * song.eighth_s
        length_s = note.eighths * song.eighth_s
        ends_phrase = note.offset + note.eighths >= song.bar_eighths and note.bar % 4 == 3
        rest_here = 0 < k < len(melody) - 1 and note.offset > 0 and length_s < _LONGEST_REST_SECONDS
        rested = not rested and rest_here and rng.random() < 0.04
        if rested:
            continue
        sounding_s = length_s * style
        if rng.random() < 0.1 and note.eighths <= 1:
            sounding_s = length_s * 0.6
        if k == len(melody) - 1:
            sounding_s = length_s
        elif ends_phrase:
            sounding_s = length_s - min(0.35 * length_s, float(rng.uniform(0.15, 0.5)))
        jitter_s = float(rng.normal(0, 0.006))
        start_s = max(start_s + jitter_s, 0.0)
        velocity = int(np.clip(round(note.velocity), 30, 120))
        notes.append(Note(start_s, start_s + max(sounding_s, 0.06), song.pitch(note.degree), velocity))
    following = [note.start_s for note in notes[1:]] + [np.inf]
    return [note._replace(end_s=min(note.end_s, next_s)) for note, next_s in zip(notes, following, strict=True)]


def _choose_rhythm(instrument: Instrument, song: Song, rng: np.random.Generator) -> tuple[float, ...]:
    table = _LIVELY if rng.random() < instrument.liveliness else _CALM
    choices = table[song.bar_eighths]
    return choices[int(rng.integers(len(choices)))]


def _cadence(song: Song, rhythm: tuple[float, ...], *, final: bool) -> tuple[float, ...]:
    """Returns the beginning of a rhythm followed by one long note to the bar line."""
    keep = 2 if final else 4
    head: list[float] = []
    while sum(head) + rhythm[len(head)] <= keep:
        head.append(rhythm[len(head)])
    return (*head, song.bar_eighths - sum(head))


def _window(degrees: list[int], rng: np.random.Generator) -> list[int]:
    """Returns neighbouring degrees of about an octave and a half, to which a phrase is confined."""
    size = min(11, len(degrees))
    # The average of two draws favours the middle of the range, as players do.
    first = int((rng.random() + rng.random()) / 2 * (len(degrees) - size + 1))
    return degrees[first : first + size]


def _move(window: list[int], degree: int, step: int) -> int:
    """Moves by scale steps and turns back at the edge of the window."""
    place = min(range(len(window)), key=lambda i: abs(window[i] - degree)) + step
    if place < 0:
        place = -place
    if place >= len(window):
        place = 2 * (len(window) - 1) - place
    return window[int(np.clip(place, 0, len(window) - 1))]


def _nearest_chord_tone(song: Song, bar: int, degree: int, window: list[int], *, root_only: bool = False) -> int:
    tones = [d for d in window if song.is_chord_tone(d, bar)]
    if root_only:
        tones = [d for d in window if d % 7 == 0] or tones
    return min(tones or window, key=lambda d: abs(d - degree))
