"""Draws the curves of pitch and level of every note: vibrato, slides, scoops, swells, tremolo."""

from collections.abc import Sequence

import numpy as np

from data_pipeline.rendered.sound.compose import Note
from data_pipeline.rendered.sound.performance import CURVE_HZ, Played
from data_pipeline.rendered.sound.playing import Playing

# The curves go on for this long after the end of a note.
_RELEASE_S = 0.1
_STRAIGHT_NOTES = 0.15
_SLIDE_FROM_S = 0.1
_WIDEST_SLIDE = 7
_SHAPES = ("even", "louder", "softer", "swell", "accent")


def perform(notes: Sequence[Note], playing: Playing, rng: np.random.Generator) -> list[Played]:
    """Gives every note its curves.

    Args:
        notes: Notes in the order of their starts.
        playing: Manner of playing.
        rng: Random generator of the differences between notes.
    """
    played = []
    before: Note | None = None
    for note in notes:
        time_s = np.arange(int((note.end_s - note.start_s + _RELEASE_S) * CURVE_HZ) + 2) / CURVE_HZ
        held_s = note.end_s - note.start_s
        vibrato, tremolo = _vibrato(playing, rng, time_s, held_s)
        cents = vibrato + rng.normal(0, playing.detune_cents) * np.ones_like(time_s)
        slides = (
            before is not None
            and abs(note.start_s - before.end_s) < _SLIDE_FROM_S
            and 0 < abs(note.pitch - before.pitch) <= _WIDEST_SLIDE
            and rng.random() < playing.slides
        )
        if slides and before is not None:
            pace = np.clip(time_s / rng.uniform(0.05, min(0.22, 0.6 * held_s + 0.05)), 0, 1)
            cents += 100 * (before.pitch - note.pitch) * (1 - pace * pace * (3 - 2 * pace))
        elif rng.random() < playing.scoops:
            cents -= rng.uniform(25, 150) * np.exp(-time_s / rng.uniform(0.02, 0.09))
        if held_s > 0.25 and rng.random() < 0.15 * playing.scoops:
            cents -= rng.uniform(50, 200) * np.clip((time_s - held_s + 0.12) / 0.12, 0, 1)
        gain = 10 ** ((_swell(playing, rng, time_s, held_s) + tremolo) / 20)
        played.append(Played(note, cents.astype(np.float32), gain.astype(np.float32), bool(slides)))
        before = note
    return played


def _vibrato(
    playing: Playing, rng: np.random.Generator, time_s: np.ndarray, held_s: float
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the vibrato in cents, and the changes of level that go with it in decibels, never above 0."""
    depth = float(np.exp(rng.normal(0, 0.35))) * (rng.random() > _STRAIGHT_NOTES) * min(held_s / 0.4, 1.0)
    rate_hz = playing.vibrato_hz * np.exp(rng.normal(0, 0.07))
    delay_s = playing.vibrato_delay_s * rng.uniform(0.3, 1.3)
    grown = np.clip((time_s - delay_s) / rng.uniform(0.15, 0.8), 0, 1)
    # The rate and the depth wander within the note.
    wander = 1 + 0.08 * np.sin(2 * np.pi * rng.uniform(0.2, 0.7) * time_s + rng.uniform(0, 2 * np.pi))
    phase = 2 * np.pi * np.cumsum(rate_hz * wander) / CURVE_HZ + rng.uniform(0, 2 * np.pi)
    wave = depth * grown * np.sin(phase)
    return playing.vibrato_cents * wave, 0.5 * playing.tremolo_db * (wave - depth * grown)


def _swell(playing: Playing, rng: np.random.Generator, time_s: np.ndarray, held_s: float) -> np.ndarray:
    """Returns the level within a note in decibels, never above 0."""
    depth_db = playing.swell_db * rng.uniform(0.2, 1) * min(held_s / 0.3, 1.0)
    place = np.clip(time_s / max(held_s, 0.05), 0, 1)
    shape = _SHAPES[int(rng.integers(len(_SHAPES)))]
    top = rng.uniform(0.3, 0.8)
    curves = {
        "even": np.zeros_like(place),
        "louder": place - 1,
        "softer": -place,
        "swell": -np.abs(place - top) / max(top, 1 - top),
        "accent": np.exp(-time_s / rng.uniform(0.05, 0.25)) - 1,
    }
    return depth_db * curves[shape]
