"""Solos of the variety broad: composition, expression, silent pitches, determinism."""

import dataclasses
import itertools

import numpy as np
import pytest

from data_pipeline.rendered import solo
from data_pipeline.rendered.sound import expression, passages, playable, playing, soundfont_player, synthesise
from data_pipeline.rendered.sound.compose import Note
from data_pipeline.rendered.sound.instruments import CLASSES, INSTRUMENTS
from data_pipeline.rendered.sound.performance import CURVE_HZ
from data_pipeline.rendered.sound.playing import PlayingRanges
from data_pipeline.rendered.sound.technique import TECHNIQUES
from data_pipeline.rendered.variety import VARIETIES

BROAD = VARIETIES["broad"]
needs_midirenderer = pytest.mark.skipif(not synthesise.has_midirenderer(), reason="no wheel for this platform")


def compose(name: str, seed: int, *, seconds: float = 24.0) -> tuple[playing.Playing, list[Note]]:
    rng = np.random.default_rng([seed, 5])
    manner = playing.choose_playing(INSTRUMENTS[name], rng, PlayingRanges())
    return manner, passages.compose_passages(INSTRUMENTS[name], manner, rng, seconds=seconds)[0]


def make(name: str, *, index: int = 0, seed: int = 0, seconds: float = 3.0) -> solo.SoloSound:
    renderer = synthesise.choose_renderer("auto", None)
    return solo.make_sound(name, index=index, seed=seed, seconds=seconds, renderer=renderer, kinds=BROAD)


@pytest.mark.parametrize("name", CLASSES)
def test_notes_stay_within_instrument_and_solo(name):
    technique = TECHNIQUES[name]
    for seed in range(12):
        for seconds in (2.0, 24.0):
            _, notes = compose(name, seed, seconds=seconds)
            assert notes and notes == sorted(notes)
            assert all(technique.lowest <= n.pitch <= technique.highest for n in notes)
            assert all(0 <= n.start_s < n.end_s <= seconds and 1 <= n.velocity <= 127 for n in notes)


def test_wind_instruments_play_one_note_at_a_time_and_others_more():
    for seed in range(8):
        _, notes = compose("flute", seed)
        assert all(a.end_s <= b.start_s + 1e-9 for a, b in itertools.pairwise(notes))
    overlaps = [a.end_s > b.start_s for seed in range(8) for a, b in _pairs(compose("violin", seed)[1])]
    assert any(overlaps)


def _pairs(notes: list[Note]) -> list[tuple[Note, Note]]:
    return list(itertools.pairwise(notes))


def test_solos_differ_in_density_length_register_and_pauses():
    made = [compose("violin", seed) for seed in range(24)]
    counts = [len(notes) for _, notes in made]
    assert max(counts) > 3 * min(counts)
    lengths = [np.median([n.end_s - n.start_s for n in notes]) for _, notes in made]
    assert max(lengths) > 3 * min(lengths)
    registers = [np.median([n.pitch for n in notes]) for _, notes in made]
    assert max(registers) - min(registers) > 12
    gaps = [max(b.start_s - a.end_s for a, b in _pairs(notes)) for _, notes in made]
    assert 0.1 < np.mean([gap > 1.0 for gap in gaps]) < 0.95


def test_curves_have_vibrato_slides_and_swells_of_the_asked_size():
    rng = np.random.default_rng(0)
    manner, _ = compose("violin", 0)
    manner = dataclasses.replace(
        manner, vibrato_cents=30.0, vibrato_hz=6.0, vibrato_delay_s=0.0, detune_cents=0.0, slides=1.0, scoops=0.0
    )
    notes = [Note(2.0 * k, 2.0 * k + 2.0, 69 + 2 * (k % 2), 90) for k in range(12)]
    played = expression.perform(notes, dataclasses.replace(manner, swell_db=10.0, tremolo_db=0.0), rng)
    assert [one.slurred for one in played] == [False] + [True] * 11
    for one in played[1:]:
        assert abs(one.cents[0]) == pytest.approx(200, abs=60)  # from the note before
    late = np.concatenate([one.cents[CURVE_HZ : 2 * CURVE_HZ] for one in played])
    assert 10 < np.sqrt(2) * np.std(late) < 45
    rates = [
        np.argmax(np.abs(np.fft.rfft(one.cents[100:200]))[1:]) + 1 for one in played if np.std(one.cents[100:200]) > 1
    ]
    assert np.median(rates) == pytest.approx(6, abs=1)
    depth_db = -20 * np.log10([one.gain.min() for one in played])
    assert depth_db.max() <= 10.01 and np.mean(depth_db > 2) > 0.4
    assert max(one.gain.max() for one in played) <= 1.0


@needs_midirenderer
def test_notes_at_silent_pitches_get_another_program_or_octave():
    renderer = synthesise.choose_renderer("soundfont", None)
    alto = dataclasses.replace(INSTRUMENTS["saxophone"], gm_program=65)  # silent at pitch 64 in TimGM6mb
    notes = [Note(0.0, 0.5, 64, 90), Note(0.5, 1.0, 66, 90)]
    chosen, kept, _ = playable.make_playable(renderer, alto, notes, programs=(65, 66))
    assert chosen.gm_program == 66 and kept == notes
    chosen, kept, _ = playable.make_playable(renderer, alto, notes)
    assert chosen.gm_program == 65 and [note.pitch for note in kept] == [52, 66]
    # Without a note at the silent pitch the program stays; a shift onto it is given up.
    chosen, kept, shift = playable.make_playable(renderer, alto, notes[1:], programs=(66,), shift=-2)
    assert (chosen.gm_program, kept, shift) == (65, notes[1:], 0)


@needs_midirenderer
def test_no_note_of_a_broad_solo_is_silent():
    path = synthesise.choose_renderer("soundfont", None).font
    assert path is not None
    for name in CLASSES:
        for index in range(2):
            made = make(name, index=index, seconds=2.0)
            assert made.playing is not None
            silent = soundfont_player.silent_pitches(path.path, made.instrument.gm_program)
            assert not {note.pitch + made.playing.shift for note in made.notes} & silent


def test_broad_solos_depend_on_the_seed_and_differ():
    first = make("violin")
    assert np.array_equal(first.samples, make("violin").samples)
    assert first.samples.shape == (3 * synthesise.RATE_HZ,) and first.samples.dtype == np.float32
    others = [make("violin", index=1), make("violin", seed=1)]
    for other in others:
        assert first.playing != other.playing and first.recording != other.recording and first.room != other.room
        assert not np.array_equal(first.samples, other.samples)


def test_broad_never_uses_the_programs_of_far():
    for name in CLASSES:
        broad = set(BROAD.programs.get(name, ())) | {INSTRUMENTS[name].gm_program}
        assert not broad & set(VARIETIES["far"].programs.get(name, ()))


def test_tuning_is_430_to_450_hz():
    low, high = (440 * 2 ** (cents / 1200) for cents in BROAD.room.cents)
    assert low == pytest.approx(430, abs=0.1) and high == pytest.approx(450, abs=0.1)


@needs_midirenderer
@pytest.mark.parametrize("shift", [-3, 0, 3])
def test_performance_keeps_pitch_and_time_whatever_the_shift(shift):
    renderer = synthesise.choose_renderer("soundfont", None)
    notes = [Note(0.5, 1.5, 69, 90), Note(2.0, 2.9, 74, 90)]
    manner = dataclasses.replace(
        compose("clarinet", 0)[0], vibrato_cents=0.0, detune_cents=0.0, slides=0.0, scoops=0.0, swell_db=0.0
    )
    played = expression.perform(notes, manner, np.random.default_rng(0))
    sound = synthesise.synthesise_performance(
        renderer, INSTRUMENTS["clarinet"], played, np.random.default_rng(0), seconds=3.0, cents=25.0, shift=shift
    )
    energy = (sound[: 30 * 4410].reshape(30, 4410) ** 2).mean(axis=1)
    assert energy[:4].max() < 1e-3 * energy[6:14].mean() and energy[6:14].min() > 0.05 * energy[6:14].mean()
    part = sound[round(0.7 * 44_100) : round(1.4 * 44_100)]
    spectrum = np.abs(np.fft.rfft(part * np.hanning(part.size), 1 << 20))
    freq_hz = np.fft.rfftfreq(1 << 20, 1 / 44_100)
    near = (freq_hz > 420) & (freq_hz < 470)
    found_hz = freq_hz[near][np.argmax(spectrum[near])]
    assert abs(1200 * np.log2(found_hz / 440) - 25) < 8
