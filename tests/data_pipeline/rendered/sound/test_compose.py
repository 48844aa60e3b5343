"""Melodies: range, rests, endings, reproducibility."""

import numpy as np
import pytest

from data_pipeline.rendered.sound import arrange
from data_pipeline.rendered.sound.instruments import CLASSES, INSTRUMENTS


def compose(name, seed, seconds=24.0):
    return arrange.compose_solo(INSTRUMENTS[name], np.random.default_rng(seed), seconds=seconds)


def sounding(notes, seconds=24.0):
    """(time,) bool at 100 Hz."""
    grid = np.zeros(round(seconds * 100), dtype=bool)
    for note in notes:
        grid[int(note.start_s * 100) : int(np.ceil(note.end_s * 100))] = True
    return grid


@pytest.mark.parametrize("name", CLASSES)
def test_notes_are_in_range_in_time_and_in_order(name):
    instrument = INSTRUMENTS[name]
    for seed in range(30):
        notes, _ = compose(name, seed)
        assert all(instrument.low <= note.pitch <= instrument.high for note in notes)
        assert all(1 <= note.velocity <= 127 for note in notes)
        assert all(0 <= note.start_s < note.end_s <= 24.0 for note in notes)
        assert notes == sorted(notes)


@pytest.mark.parametrize("name", CLASSES)
def test_rests_are_short(name):
    for seed in range(30):
        grid = np.concatenate([[True], sounding(compose(name, seed)[0]), [True]])
        assert np.diff(np.flatnonzero(grid)).max() <= 100
        assert grid.mean() > 0.65


@pytest.mark.parametrize("name", CLASSES)
def test_melodies_move_and_vary(name):
    notes, _ = compose(name, 0)
    other, _ = compose(name, 1)
    assert len({note.pitch for note in notes}) >= 5
    assert len({note.velocity for note in notes}) >= 5
    assert [note.pitch for note in notes] != [note.pitch for note in other]


@pytest.mark.parametrize("name", ["clarinet", "trumpet", "erhu"])
def test_last_note_is_the_tonic(name):
    for seed in range(10):
        notes, song = compose(name, seed)
        assert (notes[-1].pitch - song.tonic) % 12 == 0


def test_same_seed_gives_the_same_notes():
    assert compose("violin", [1, 2]) == compose("violin", [1, 2])


def test_chords_where_the_instrument_plays_them():
    def voices(name):
        notes, _ = compose(name, 5)
        times = np.arange(0, 24, 0.05)
        return max(sum(note.start_s <= t < note.end_s for note in notes) for t in times)

    assert voices("accordion") >= 3
    assert voices("acoustic_guitar") >= 3
    assert voices("erhu") == voices("flute") == 1


def test_too_short_a_solo_is_refused():
    with pytest.raises(ValueError, match=r"seconds=1\.5 is too short"):
        compose("tuba", 0, seconds=1.5)
