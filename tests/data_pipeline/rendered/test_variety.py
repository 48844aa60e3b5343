"""Timbres, keys, rooms and styles of solos."""

import dataclasses
import pathlib

import numpy as np
import pytest
from PIL import Image

from data_pipeline.command import InputError
from data_pipeline.rendered import solo, variety
from data_pipeline.rendered.drawing import style
from data_pipeline.rendered.sound import reverberation, synthesise
from data_pipeline.rendered.sound.instruments import CLASSES, INSTRUMENTS
from data_pipeline.rendered.sound.soundfont import SoundFont
from data_pipeline.rendered.variety import VARIETIES

ADDITIVE = synthesise.additive_renderer()
BUNDLED = synthesise.Renderer("soundfont", "1", SoundFont(pathlib.Path("a.sf2"), "a", "", "", bundled=True))
OTHER = synthesise.Renderer("soundfont", "1", SoundFont(pathlib.Path("b.sf2"), "b", "", ""))


def timbres(name: str, renderer: synthesise.Renderer, *, instrument: str, draws: int = 60) -> set[tuple[str, int]]:
    """(renderer, program) that solos of a class may have."""
    found = set()
    for seed in range(draws):
        chosen = variety.choose_timbre(
            VARIETIES[name], INSTRUMENTS[instrument], renderer, np.random.default_rng([seed, 7])
        )
        found.add((chosen[1].name, chosen[0].gm_program))
    return found


@pytest.mark.parametrize("instrument", CLASSES)
def test_far_timbres_and_styles_are_never_those_of_training(instrument):
    own = INSTRUMENTS[instrument].gm_program
    assert timbres("plain", BUNDLED, instrument=instrument) == {("soundfont", own)}
    wide, far = (timbres(name, BUNDLED, instrument=instrument) for name in ("wide", "far"))
    assert ("soundfont", own) in wide and not wide & far
    assert not set(VARIETIES["far"].styles) & set(VARIETIES["wide"].styles)
    assert {name for name, _ in far} <= {"soundfont", "additive"} and ("additive", own) in far


def test_another_soundfont_is_far_by_itself_and_the_additive_synthesiser_stays():
    assert timbres("far", OTHER, instrument="clarinet") == {("soundfont", 71)}
    assert timbres("far", OTHER, instrument="violin") == {("soundfont", 40), ("soundfont", 41)}
    for name in VARIETIES:
        assert timbres(name, ADDITIVE, instrument="flute") == {("additive", 73)}


def test_solos_of_a_wide_set_share_their_notes():
    def classes_of_pitches(name: str, index: int) -> set[int]:
        made = solo.make_sound(
            name, index=index, seed=0, seconds=4.0, renderer=ADDITIVE, kinds=dataclasses.replace(VARIETIES["wide"])
        )
        return {note.pitch % 12 for note in made.notes}

    tonics = {
        solo.make_sound("flute", index=k, seed=0, seconds=2.0, renderer=ADDITIVE, kinds=VARIETIES["wide"]).song.tonic
        % 12
        for k in range(6)
    }
    assert tonics <= {0, 7}
    pairs = [(classes_of_pitches("violin", k), classes_of_pitches("trumpet", k)) for k in range(4)]
    assert np.mean([len(a & b) / min(len(a), len(b)) for a, b in pairs]) > 0.6


def test_plain_rooms_are_as_they_were_and_wide_ones_have_an_equaliser():
    plain = reverberation.choose_room(np.random.default_rng(0))
    assert plain.peaks == () and abs(plain.cents) <= 20
    wide = reverberation.choose_room(np.random.default_rng(0), VARIETIES["wide"].room)
    assert len(wide.peaks) == 3 and all(abs(peak.decibels) <= 9 for peak in wide.peaks)
    peak = reverberation.Peak(1000.0, 12.0, 0.3)
    rate_hz = 16_000
    quiet = dataclasses.replace(plain, reverb_level=1e-9, noise_dbfs=-120.0, tilt_db_per_octave=0.0, level_dbfs=-30.0)
    time_s = np.arange(rate_hz) / rate_hz
    tones = (np.sin(2 * np.pi * 1000 * time_s) + np.sin(2 * np.pi * 4000 * time_s)).astype(np.float32)

    def level_db(situation: reverberation.Room, hz: int) -> float:
        made = reverberation.record(tones, situation, np.random.default_rng(0), rate_hz=rate_hz)
        return 20 * np.log10(np.abs(np.fft.rfft(made)[hz]))

    raised = dataclasses.replace(quiet, peaks=(peak,))
    gained = [level_db(raised, hz) - level_db(quiet, hz) for hz in (1000, 4000)]
    assert gained[0] - gained[1] == pytest.approx(12.0, abs=0.1)


@pytest.mark.parametrize("name", style.STYLES)
def test_a_style_is_one_for_all_pictures_and_keeps_their_size(name):
    ramp = np.linspace(0, 255, 48 * 64 * 3).reshape(48, 64, 3).astype(np.uint8)
    picture = Image.fromarray(np.random.default_rng(0).permutation(ramp.reshape(-1, 3)).reshape(48, 64, 3))
    chosen, draw = style.choose_style((name,), np.random.default_rng(1))
    first, again = np.asarray(draw(picture)), np.asarray(draw(picture))
    assert chosen == name and first.shape == (48, 64, 3) and first.dtype == np.uint8
    assert np.array_equal(first, again)
    assert np.array_equal(first, np.asarray(picture)) == (name == "plain")


def test_an_unknown_variety_is_refused():
    with pytest.raises(InputError, match="variety='wild' is unknown; use one of plain, wide, broad, far"):
        variety.choose_variety("wild")
