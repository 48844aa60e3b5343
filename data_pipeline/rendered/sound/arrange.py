"""Adds other voices to a melody: double stops, bass and chords, arpeggios, mallet rolls."""

from collections.abc import Sequence

import numpy as np

from data_pipeline.rendered.sound import compose
from data_pipeline.rendered.sound.compose import MelodyNote, Note, Song
from data_pipeline.rendered.sound.instruments import Instrument

_ACCORDION_MELODY_LOWEST = 60
_GUITAR_MELODY_LOWEST = 57


def compose_solo(
    instrument: Instrument, rng: np.random.Generator, *, seconds: float, keys: Sequence[int] = range(12)
) -> tuple[list[Note], Song]:
    """Composes one solo.

    Args:
        instrument: What the instrument can play.
        rng: Random generator of all choices.
        seconds: Length of the solo, at least `compose.MIN_SECONDS`.
        keys: See `compose.choose_song`.

    Returns:
        Notes in the order of their starts, all between `instrument.low` and `instrument.high` and within `seconds`; and
        the song with key, tempo and metre.

    Raises:
        ValueError: The solo is too short for a bar.
    """
    if seconds < compose.MIN_SECONDS:
        raise ValueError(f"seconds={seconds} is too short for a melody; use at least {compose.MIN_SECONDS:g}")
    song = compose.choose_song(instrument, rng, seconds=seconds, keys=keys)
    arrangers = {
        "wind": _alone,
        "bowed": _bowed,
        "accordion": _accordion,
        "guitar": _guitar,
        "mallets": _mallets,
    }
    notes = arrangers[instrument.texture](instrument, song, rng)
    return _within(notes, instrument, seconds=seconds), song


def _within(notes: list[Note], instrument: Instrument, *, seconds: float) -> list[Note]:
    last_s = seconds - 0.05
    kept = (n for n in notes if instrument.low <= n.pitch <= instrument.high and n.start_s < last_s - 0.05)
    return sorted(note._replace(end_s=min(note.end_s, last_s)) for note in kept)


def _alone(instrument: Instrument, song: Song, rng: np.random.Generator) -> list[Note]:
    return compose.articulate(instrument, song, compose.compose_melody(instrument, song, rng), rng)


def _bowed(instrument: Instrument, song: Song, rng: np.random.Generator) -> list[Note]:
    notes = _alone(instrument, song, rng)
    second_voice = []
    for note in notes:
        if note.end_s - note.start_s >= 0.5 and rng.random() < instrument.double_stops:
            interval = int(rng.choice([7, 8, 9]))
            second_voice.append(note._replace(pitch=note.pitch - interval, velocity=max(note.velocity - 12, 30)))
    return notes + _in_key(song, second_voice)


def _in_key(song: Song, notes: list[Note]) -> list[Note]:
    scale = {(song.tonic + step) % 12 for step in song.steps}
    return [note if note.pitch % 12 in scale else note._replace(pitch=note.pitch + 1) for note in notes]


def _accordion(instrument: Instrument, song: Song, rng: np.random.Generator) -> list[Note]:
    melody = compose.compose_melody(instrument, song, rng, lowest=_ACCORDION_MELODY_LOWEST)
    notes = compose.articulate(instrument, song, melody, rng)
    if rng.random() < 0.5:
        thirds = [n._replace(velocity=max(n.velocity - 14, 30)) for n in _lower_thirds(instrument, song, melody, rng)]
        notes += thirds
    beat = 2 if song.bar_eighths == 8 or rng.random() < 0.7 else 3
    for bar in range(song.bars):
        root = _fold(song.pitch(song.chords[bar]), 36)
        chord = sorted(_fold(song.pitch(song.chords[bar] + third), 48) for third in (0, 2, 4))
        last = bar == song.bars - 1
        for k, offset in enumerate(range(0, 2 if last else song.bar_eighths, beat)):
            start_s = song.start_s(bar) + offset * song.eighth_s
            length_s = song.eighth_s * (song.bar_eighths * 0.9 if last else beat * 0.7)
            pitches = [root] if k == 0 and not last else [root, *chord] if last else chord
            notes += [Note(start_s, start_s + length_s, p, 52 + int(rng.integers(10))) for p in pitches]
    return notes


def _lower_thirds(instrument: Instrument, song: Song, melody: list[MelodyNote], rng: np.random.Generator) -> list[Note]:
    long_notes = [note._replace(degree=note.degree - 2) for note in melody if note.eighths >= 2]
    return compose.articulate(instrument, song, long_notes, rng)


def _guitar(instrument: Instrument, song: Song, rng: np.random.Generator) -> list[Note]:
    melody = compose.compose_melody(instrument, song, rng, lowest=_GUITAR_MELODY_LOWEST)
    notes: list[Note] = []
    styles = rng.choice(["arpeggio", "melody", "strum"], size=(song.bars + 3) // 4, p=[0.4, 0.45, 0.15])
    for bar in range(song.bars):
        style = str(styles[bar // 4])
        if bar == song.bars - 1:
            notes += _strum(song, bar, 0.0, float(song.bar_eighths), rng)
        elif style == "arpeggio":
            notes += _arpeggio(song, bar, rng)
        elif style == "strum":
            for offset in range(0, song.bar_eighths, 2):
                notes += _strum(song, bar, offset, 2.0, rng)
        else:
            in_bar = [note for note in melody if note.bar == bar]
            notes += compose.articulate(instrument, song, in_bar, rng)
            notes += _strum(song, bar, 0.0, song.bar_eighths * 0.9, rng, voices=2)
    return notes


def _voicing(song: Song, bar: int) -> list[int]:
    """Returns up to six chord tones from the lower strings upwards (MIDI pitches)."""
    root = _fold(song.pitch(song.chords[bar]), 40)
    classes = {song.pitch(song.chords[bar] + third) % 12 for third in (0, 2, 4)}
    upper = [pitch for pitch in range(root + 6, root + 28) if pitch % 12 in classes]
    return [root, *upper[:5]]


def _arpeggio(song: Song, bar: int, rng: np.random.Generator) -> list[Note]:
    voicing = _voicing(song, bar)
    order = (0, 2, 3, 4, 5, 4, 3, 2)
    bar_end_s = song.start_s(bar + 1)
    notes = []
    for k in range(song.bar_eighths):
        start_s = song.start_s(bar) + k * song.eighth_s + float(rng.normal(0, 0.005))
        velocity = 84 if k == 0 else 66 + int(rng.integers(12))
        notes.append(Note(max(start_s, 0.0), bar_end_s, voicing[order[k] % len(voicing)], velocity))
    return notes


def _strum(
    song: Song, bar: int, offset: float, eighths: float, rng: np.random.Generator, *, voices: int = 6
) -> list[Note]:
    start_s = song.start_s(bar) + offset * song.eighth_s
    end_s = start_s + eighths * song.eighth_s
    velocity = 62 + int(rng.integers(14))
    spread_s = float(rng.uniform(0.012, 0.022))
    pitches = _voicing(song, bar)[:voices]
    return [Note(start_s + k * spread_s, end_s, pitch, velocity) for k, pitch in enumerate(pitches)]


def _mallets(instrument: Instrument, song: Song, rng: np.random.Generator) -> list[Note]:
    notes = []
    for note in _alone(instrument, song, rng):
        length_s = note.end_s - note.start_s
        if length_s > 0.45:
            notes += roll(note, rng)
        else:
            notes.append(note)
            if rng.random() < 0.15:
                notes += _in_key(song, [note._replace(pitch=note.pitch - int(rng.choice([4, 9, 12])))])
    return notes


def roll(note: Note, rng: np.random.Generator) -> list[Note]:
    """Splits a long note into strokes, because a wooden bar rings only briefly."""
    length_s = note.end_s - note.start_s
    strokes = max(2, round(length_s / float(rng.uniform(0.09, 0.13))))
    times = note.start_s + length_s * np.arange(strokes) / strokes
    swell = 0.8 + 0.2 * np.sin(np.pi * np.arange(strokes) / strokes)
    return [
        Note(float(t), float(t) + length_s / strokes, note.pitch, int(np.clip(note.velocity * s, 30, 120)))
        for t, s in zip(times, swell, strict=True)
    ]


def _fold(pitch: int, lowest: int) -> int:
    """Returns the pitch moved by octaves into `lowest` to `lowest + 11`."""
    return lowest + (pitch - lowest) % 12
