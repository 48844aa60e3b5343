"""Renderers, soundfonts, the room."""

import dataclasses

import numpy as np
import pytest

from data_pipeline.command import InputError
from data_pipeline.rendered import solo
from data_pipeline.rendered.sound import arrange, reverberation, soundfont, synthesise
from data_pipeline.rendered.sound.compose import Note
from data_pipeline.rendered.sound.instruments import CLASSES, INSTRUMENTS

ADDITIVE = synthesise.Renderer("additive", "1", None)
needs_midirenderer = pytest.mark.skipif(not synthesise.has_midirenderer(), reason="no wheel for this platform")
RENDERERS = ["additive", pytest.param("soundfont", marks=needs_midirenderer)]


def make(name, renderer, *, seed=0, index=0, seconds=3.0):
    chosen = synthesise.choose_renderer(renderer, None)
    return solo.make_sound(name, index=index, seed=seed, seconds=seconds, renderer=chosen).samples


@pytest.mark.parametrize("renderer", RENDERERS)
def test_same_seed_same_samples_and_another_seed_others(renderer):
    first = make("saxophone", renderer)
    assert first.dtype == np.float32 and first.shape == (3 * synthesise.RATE_HZ,)
    assert np.array_equal(first, make("saxophone", renderer))
    assert not np.array_equal(first, make("saxophone", renderer, seed=1))
    assert not np.array_equal(first, make("saxophone", renderer, index=1))


@pytest.mark.parametrize("renderer", RENDERERS)
@pytest.mark.parametrize("name", CLASSES)
def test_level_is_moderate(name, renderer):
    samples = make(name, renderer)
    level_dbfs = 20 * np.log10(np.sqrt(np.mean(samples**2)))
    assert -30 < level_dbfs < -14
    assert np.abs(samples).max() <= 10 ** (reverberation.PEAK_LIMIT_DBFS / 20) + 1e-6


@pytest.mark.parametrize("renderer", RENDERERS)
@pytest.mark.parametrize("cents", [-20.0, 0.0, 20.0])
def test_pitch_and_tuning_are_those_asked_for(renderer, cents):
    chosen = synthesise.choose_renderer(renderer, None)
    notes = [Note(0.1, 2.9, 69, 100)]
    sound = synthesise.synthesise(
        chosen, INSTRUMENTS["clarinet"], notes, np.random.default_rng(0), seconds=3.0, cents=cents
    )
    window = sound[22050:110250] * np.hanning(88200)
    spectrum = np.abs(np.fft.rfft(window, 1 << 20))
    freq_hz = np.fft.rfftfreq(1 << 20, 1 / synthesise.RATE_HZ)
    near = (freq_hz > 420) & (freq_hz < 460)
    found_hz = freq_hz[near][np.argmax(spectrum[near])]
    # Vibrato and the soundfont's own tuning may add a few cents.
    assert abs(1200 * np.log2(found_hz / 440) - cents) < 8


@pytest.mark.parametrize("renderer", RENDERERS)
def test_sound_follows_the_notes(renderer):
    chosen = synthesise.choose_renderer(renderer, None)
    notes = [Note(0.5, 1.0, 60, 90), Note(2.0, 2.5, 64, 90)]
    sound = synthesise.synthesise(
        chosen, INSTRUMENTS["trumpet"], notes, np.random.default_rng(0), seconds=3.0, cents=0.0
    )
    energy = (sound[: 30 * 4410].reshape(30, 4410) ** 2).mean(axis=1)
    assert energy[:5].max() < 1e-3 * energy[6:10].mean()
    assert energy[15:19].max() < 1e-2 * energy[6:10].mean()
    assert energy[21:24].min() > 0.05 * energy[6:10].mean()


@needs_midirenderer
def test_bundled_soundfont_has_every_note_that_is_composed():
    chosen = synthesise.choose_renderer("soundfont", None)
    for name, instrument in INSTRUMENTS.items():
        pitches = range(instrument.low, instrument.high + 1)
        notes = [Note(0.7 * k, 0.7 * k + 0.3, pitch, 100) for k, pitch in enumerate(pitches)]
        seconds = 0.7 * len(notes)
        sound = synthesise.synthesise(chosen, instrument, notes, np.random.default_rng(0), seconds=seconds, cents=0.0)
        first = [round(note.start_s * synthesise.RATE_HZ) for note in notes]
        level = np.array([np.sqrt(np.mean(sound[f : f + synthesise.RATE_HZ // 4] ** 2)) for f in first])
        assert level.min() > 0.2 * np.median(level), (name, pitches[int(level.argmin())])


@needs_midirenderer
def test_instrument_without_sound_is_refused():
    chosen = synthesise.choose_renderer("soundfont", None)
    alto = dataclasses.replace(INSTRUMENTS["saxophone"], gm_program=65)
    with pytest.raises(InputError, match="is silent for saxophone"):
        synthesise.synthesise(chosen, alto, [Note(0.0, 1.0, 64, 90)], np.random.default_rng(0), seconds=1.0, cents=0.0)


def test_additive_fallback_sounds_for_every_instrument():
    for name, instrument in INSTRUMENTS.items():
        notes, _ = arrange.compose_solo(instrument, np.random.default_rng(0), seconds=2.0)
        sound = synthesise.synthesise(ADDITIVE, instrument, notes, np.random.default_rng(0), seconds=2.0, cents=0.0)
        assert np.isfinite(sound).all() and np.sqrt(np.mean(sound**2)) > 0.01, name


def test_auto_falls_back_where_midirenderer_is_missing(monkeypatch):
    monkeypatch.setattr(synthesise, "has_midirenderer", lambda: False)
    assert synthesise.choose_renderer("auto", None).name == "additive"
    with pytest.raises(InputError, match="use --renderer=additive"):
        synthesise.choose_renderer("soundfont", None)
    with pytest.raises(InputError, match="use --renderer=additive"):
        synthesise.choose_renderer("auto", soundfont.bundled_path())


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.sf2", None, "is neither a file nor a folder"),
        ("text.sf2", b"hello", "begins with b'hello' instead of RIFF....sfbk"),
        ("sound.wav", b"RIFF\x10\x00\x00\x00WAVEfmt ", "so it is no SoundFont 2 file"),
    ],
)
def test_bad_soundfonts_are_refused(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        synthesise.choose_renderer("auto", tmp_path / name)


@needs_midirenderer
def test_soundfont_with_a_broken_body_is_refused(tmp_path):
    path = tmp_path / "broken.sf2"
    path.write_bytes(soundfont.bundled_path().read_bytes()[:2000])
    broken = synthesise.choose_renderer("auto", path)
    notes = [Note(0.0, 1.0, 60, 90)]
    with pytest.raises(InputError, match=r"broken\.sf2 cannot be played"):
        synthesise.synthesise(broken, INSTRUMENTS["flute"], notes, np.random.default_rng(0), seconds=1.0, cents=0.0)


def test_unknown_renderer_lists_the_choices():
    with pytest.raises(InputError, match="use one of auto, soundfont, additive"):
        synthesise.choose_renderer("organ", None)
    with pytest.raises(InputError, match="uses no soundfont"):
        synthesise.choose_renderer("additive", soundfont.bundled_path())


def test_bundled_soundfont_is_known():
    font = soundfont.describe_soundfont(soundfont.bundled_path())
    assert font.name == "TimGM6mb"
    assert font.licence.startswith("GPL-2.0")


def test_room_noise_is_faint_and_peaks_are_limited():
    sound = np.zeros(44100, dtype=np.float32)
    sound[10] = 1.0
    quiet = reverberation.Room(
        cents=0, tilt_db_per_octave=0, reverb_seconds=0.2, reverb_level=0.05, noise_dbfs=-60, level_dbfs=-16
    )
    heard = reverberation.record(sound, quiet, np.random.default_rng(0), rate_hz=44100)
    assert np.abs(heard).max() == pytest.approx(10 ** (reverberation.PEAK_LIMIT_DBFS / 20), rel=1e-3)
    noise_dbfs = 20 * np.log10(np.sqrt(np.mean(heard[22050:] ** 2)))
    assert noise_dbfs == pytest.approx(-60, abs=0.5)
