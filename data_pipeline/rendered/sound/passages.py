"""Composes solos in sections: melodies, scales, arpeggios, trills, repeated and long notes, with pauses and drones."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from data_pipeline.rendered.sound import arrange, compose
from data_pipeline.rendered.sound.compose import Note, Song
from data_pipeline.rendered.sound.instruments import Instrument
from data_pipeline.rendered.sound.playing import Playing
from data_pipeline.rendered.sound.technique import TECHNIQUES

# Kinds of sections and their probabilities.
_KINDS = {"melody": 0.5, "scale": 0.12, "arpeggio": 0.1, "repeated": 0.08, "trill": 0.06, "long": 0.14}
_SECTION_S = (3.0, 11.0)
_SHORTEST_S = 2.2
_PAUSE_S = (1.0, 2.5)
_BREAK_S = (0.0, 0.5)
_LEAD_S = (0.05, 0.7)
# Notes of a struck bar that are longer are played as rolls.
_LONGEST_STROKE_S = 0.45
_SHORTEST_NOTE_S = 0.07
_DOUBLED_FROM_S = 0.4


def compose_passages(
    instrument: Instrument,
    playing: Playing,
    rng: np.random.Generator,
    *,
    seconds: float,
    keys: Sequence[int] = range(12),
) -> tuple[list[Note], Song]:
    """Composes a solo in sections.

    Args:
        instrument: What the instrument can play.
        playing: Tempo, register, articulation, and how often pauses, drones and other voices occur.
        rng: Random generator of all choices.
        seconds: Length of the solo, at least `compose.MIN_SECONDS`.
        keys: See `compose.choose_song`.

    Returns:
        Notes in the order of their starts, within `seconds`; and the song of the first section.
    """
    slow, fast = instrument.beats_per_minute
    player = dataclasses.replace(
        instrument,
        low=playing.lowest,
        high=playing.highest,
        beats_per_minute=(slow * playing.tempo, fast * playing.tempo),
        liveliness=float(np.clip(instrument.liveliness + rng.uniform(-0.35, 0.3), 0, 1)),
        legato=float(np.clip(playing.length, 0.6, 1.0)),
    )
    first = compose.choose_song(player, rng, seconds=seconds, keys=keys)
    notes: list[Note] = []
    at_s = min(float(rng.uniform(*_LEAD_S)), 0.1 * seconds)
    while seconds - at_s >= _SHORTEST_S or not notes:
        length_s = min(float(rng.uniform(*_SECTION_S)), seconds - at_s)
        if seconds - at_s - length_s < _SHORTEST_S:
            length_s = seconds - at_s
        section = _compose_section(player, first, playing, rng, seconds=length_s)
        notes += [note._replace(start_s=note.start_s + at_s, end_s=note.end_s + at_s) for note in section]
        pause_s = _PAUSE_S if rng.random() < playing.pauses else _BREAK_S
        at_s += length_s + float(rng.uniform(*pause_s))
    notes = _articulate(player, notes, playing, rng)
    return _within(_keep_time(notes, playing, rng, seconds=seconds), player, seconds=seconds), first


def _compose_section(
    player: Instrument, song: Song, playing: Playing, rng: np.random.Generator, *, seconds: float
) -> list[Note]:
    makers: dict[str, Callable[..., list[Note]]] = {
        "scale": _scale,
        "arpeggio": _chord_tones,
        "repeated": _repeated,
        "trill": _trill,
        "long": _long,
    }
    kind = str(rng.choice(list(_KINDS), p=list(_KINDS.values())))
    if kind == "melody" or seconds < _SHORTEST_S:
        length_s = max(seconds, compose.MIN_SECONDS)
        notes, _ = arrange.compose_solo(player, rng, seconds=length_s, keys=(song.tonic % 12,))
    else:
        degrees = [d for d in range(-35, 36) if player.low <= song.pitch(d) <= player.high]
        notes = makers[kind](song, degrees, rng, seconds=seconds)
        if player.texture == "mallets":
            notes = [stroke for note in notes for stroke in _strike(note, rng)]
    notes += _other_voices(player, song, notes, playing, rng)
    if rng.random() < playing.drones and notes:
        low = TECHNIQUES[player.name].lowest
        pitch = low + (song.tonic + int(rng.choice([0, 7])) - low) % 12
        notes.append(Note(notes[0].start_s, max(note.end_s for note in notes), pitch, 58))
    return [note for note in notes if note.start_s < seconds - _SHORTEST_NOTE_S]


def _scale(_song: Song, degrees: list[int], rng: np.random.Generator, *, seconds: float) -> list[Note]:
    """Returns a scale up and down, perhaps in thirds."""
    leap = int(rng.choice([1, 1, 1, 2]))
    rising = [d for k in range(len(degrees)) for d in degrees[k : k + leap + (leap > 1) : max(leap, 1)]]
    order = rising + rising[::-1]
    if rng.random() < 0.4:
        order = rising[::-1] + rising
    return _even(_song, order, rng, seconds=seconds, note_s=(0.1, 0.6))


def _chord_tones(song: Song, degrees: list[int], rng: np.random.Generator, *, seconds: float) -> list[Note]:
    root = int(rng.choice([0, 3, 4, 5]))
    tones = [d for d in degrees if (d - root) % 7 in (0, 2, 4)] or degrees
    return _even(song, tones + tones[-2:0:-1], rng, seconds=seconds, note_s=(0.12, 0.6))


def _repeated(song: Song, degrees: list[int], rng: np.random.Generator, *, seconds: float) -> list[Note]:
    times = int(rng.integers(3, 9))
    middle = rng.integers(len(degrees), size=8)
    return _even(
        song, [degrees[int(k)] for k in middle for _ in range(times)], rng, seconds=seconds, note_s=(0.11, 0.45)
    )


def _even(
    song: Song, order: list[int], rng: np.random.Generator, *, seconds: float, note_s: tuple[float, float]
) -> list[Note]:
    step_s = float(np.exp(rng.uniform(*np.log(note_s))))
    count = max(int((seconds - 0.1) / step_s), 1)
    arc = 80 + 14 * np.sin(np.linspace(0, np.pi * float(rng.uniform(0.5, 4)), count)) + rng.normal(0, 4, count)
    return [
        Note(k * step_s, (k + 1) * step_s, song.pitch(order[k % len(order)]), int(np.clip(arc[k], 30, 120)))
        for k in range(count)
    ]


def _trill(song: Song, degrees: list[int], rng: np.random.Generator, *, seconds: float) -> list[Note]:
    notes: list[Note] = []
    at_s = 0.0
    while at_s < seconds - 0.5:
        low = int(rng.integers(max(len(degrees) - 1, 1)))
        pair = degrees[low : low + 2]
        step_s, length_s = float(rng.uniform(0.085, 0.18)), float(rng.uniform(0.6, 2.2))
        count = max(int(min(length_s, seconds - at_s - 0.3) / step_s), 2)
        notes += [
            Note(at_s + k * step_s, at_s + (k + 1) * step_s, song.pitch(pair[k % len(pair)]), 78) for k in range(count)
        ]
        at_s += count * step_s
        end_s = min(at_s + float(rng.uniform(0.3, 1.2)), seconds)
        notes.append(Note(at_s, end_s, song.pitch(pair[0]), 84))
        at_s = end_s + float(rng.uniform(0.0, 0.4))
    return notes


def _long(song: Song, degrees: list[int], rng: np.random.Generator, *, seconds: float) -> list[Note]:
    notes: list[Note] = []
    at_s = 0.0
    while at_s < seconds - 0.4:
        length_s = min(float(rng.uniform(1.0, 5.0)), seconds - at_s)
        degree = degrees[int(rng.integers(len(degrees)))]
        notes.append(Note(at_s, at_s + length_s, song.pitch(degree), int(rng.integers(50, 110))))
        at_s += length_s + float(rng.choice([0.0, rng.uniform(0.1, 0.8)]))
    return notes


def _strike(note: Note, rng: np.random.Generator) -> list[Note]:
    return arrange.roll(note, rng) if note.end_s - note.start_s > _LONGEST_STROKE_S else [note]


def _other_voices(
    player: Instrument, song: Song, notes: list[Note], playing: Playing, rng: np.random.Generator
) -> list[Note]:
    """Returns notes below some long ones: one for bowed strings and mallets, up to three for other instruments."""
    most = min(TECHNIQUES[player.name].voices, 4) - 1
    scale = {(song.tonic + step) % 12 for step in song.steps}
    added = []
    for note in notes:
        if note.end_s - note.start_s < _DOUBLED_FROM_S or rng.random() >= playing.doubles:
            continue
        for interval in rng.permutation([3, 5, 7, 8, 12])[: int(rng.integers(1, most + 1))]:
            pitch = note.pitch - int(interval)
            pitch -= pitch % 12 not in scale
            if pitch >= player.low:
                added.append(note._replace(pitch=pitch, velocity=max(note.velocity - 10, 25)))
    return added


def _articulate(player: Instrument, notes: list[Note], playing: Playing, rng: np.random.Generator) -> list[Note]:
    """Shortens or lengthens the notes, and spreads their velocities."""
    # Wind instruments play one note at a time; strings, keys and bars ring into the next note.
    share = min(playing.length, 1.0) if player.texture == "wind" else playing.length
    made = []
    for note in notes:
        length_s = note.end_s - note.start_s
        factor = float(np.clip(rng.normal(share, 0.05), 0.25, 1.3))
        if length_s > 1.0:
            factor = max(factor, 0.85)  # long notes stay long in staccato, too
        loudness = 78 + (note.velocity - 78) * playing.dynamics + playing.loudness + rng.normal(0, 4)
        end_s = note.start_s + max(length_s * factor, _SHORTEST_NOTE_S)
        made.append(note._replace(end_s=end_s, velocity=int(np.clip(loudness, 22, 127))))
    made.sort()
    if player.texture == "wind":
        after = [note.start_s for note in made[1:]] + [np.inf]
        made = [note._replace(end_s=min(note.end_s, start_s)) for note, start_s in zip(made, after, strict=True)]
    return made


def _keep_time(notes: list[Note], playing: Playing, rng: np.random.Generator, *, seconds: float) -> list[Note]:
    """Changes the tempo slowly, and each start a little."""
    grid_s = np.linspace(0, seconds, 65)
    waves = sum(
        rng.normal() / k * np.sin(2 * np.pi * k * grid_s / seconds + rng.uniform(0, 2 * np.pi)) for k in range(1, 7)
    )
    pace = np.exp(playing.rubato * waves / (np.abs(waves).max() + 1e-9))
    warped_s = np.concatenate([[0.0], np.cumsum((pace[1:] + pace[:-1]) / 2)])
    warped_s *= seconds / warped_s[-1]
    made = []
    for note in notes:
        start_s, end_s = np.interp([note.start_s, note.end_s], grid_s, warped_s)
        start_s = max(start_s + float(rng.normal(0, playing.jitter_s)), 0.0)
        made.append(note._replace(start_s=float(start_s), end_s=float(max(end_s, start_s + _SHORTEST_NOTE_S))))
    return made


def _within(notes: list[Note], player: Instrument, *, seconds: float) -> list[Note]:
    technique = TECHNIQUES[player.name]
    last_s = seconds - 0.05
    kept = (n for n in notes if technique.lowest <= n.pitch <= technique.highest and n.start_s < last_s - 0.1)
    made = sorted(note._replace(end_s=min(note.end_s, last_s)) for note in kept)
    if player.texture == "wind":
        after = [note.start_s for note in made[1:]] + [np.inf]
        made = [n._replace(end_s=min(n.end_s, s)) for n, s in zip(made, after, strict=True) if s - n.start_s > 0.03]
    return made
