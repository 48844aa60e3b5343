"""Rooms, microphones, noises, compressor, clipping, codecs."""

import dataclasses

import numpy as np
import pytest

from data_pipeline.rendered.sound import compressor, noises, recording, reverberation
from data_pipeline.rendered.sound.codec import Codec, encode_and_decode, has_codec
from data_pipeline.rendered.sound.compressor import Compression
from data_pipeline.rendered.sound.recording import Microphone, Recording, RecordingRanges
from data_pipeline.rendered.sound.room_response import Space, make_response

RATE_HZ = 44_100
CLEAN = Recording(
    space=None,
    microphone_kind="studio",
    microphone=Microphone(1.0, 1e6, 1, ()),
    noises=(),
    compression=None,
    clip_db=None,
    codec=None,
)
ROOM = reverberation.Room(
    cents=0, tilt_db_per_octave=0, reverb_seconds=0.2, reverb_level=0.1, noise_dbfs=-120, level_dbfs=-20
)


def bursts(seconds: float = 4.0) -> np.ndarray:
    """Returns tones of many frequencies with silence between them."""
    rng = np.random.default_rng(0)
    time_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    sound = np.zeros(time_s.size)
    for start_s in np.arange(0.1, seconds - 0.3, 0.35):
        inside = (time_s >= start_s) & (time_s < start_s + 0.2)
        sound += inside * np.sin(2 * np.pi * rng.uniform(300, 3000) * time_s) * 0.3
    return sound.astype(np.float32)


def level_db(sound: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(np.square(sound, dtype=np.float64)) + 1e-20))


@pytest.mark.parametrize(
    ("name", "kilobits", "rate_hz"),
    [
        (name, kilobits, rate_hz)
        for name, rates in RecordingRanges().bit_rates.items()
        for rate_hz, choices in rates.items()
        for kilobits in (choices[0], choices[-1])
    ],
)
def test_codec_changes_the_sound_but_not_its_time(name, kilobits, rate_hz):
    if not has_codec(name):
        pytest.skip("FFmpeg without this encoder")
    sound = bursts()
    made = encode_and_decode(sound, Codec(name, kilobits, rate_hz), rate_hz=RATE_HZ)
    assert made.shape == sound.shape and made.dtype == np.float32
    size = 1 << 19
    score = np.fft.irfft(np.fft.rfft(made, size) * np.conj(np.fft.rfft(sound, size)), size)
    delay = int(np.argmax(score))
    delay = delay if delay < size // 2 else delay - size
    assert abs(delay) < RATE_HZ // 1000  # a millisecond
    assert abs(level_db(made) - level_db(sound)) < 1.5
    assert level_db(made - sound) > level_db(sound) - 70


def test_compressor_reduces_loud_parts_by_its_ratio():
    time_s = np.arange(2 * RATE_HZ) / RATE_HZ
    gain = np.where(time_s < 1, 1.0, 0.1)
    sound = (gain * np.sin(2 * np.pi * 1000 * time_s)).astype(np.float32)
    made = compressor.compress(sound, Compression(-25.0, 4.0, 0.005, 0.05), rate_hz=RATE_HZ)
    loud, soft = (level_db(made[round(s * RATE_HZ) : round((s + 0.3) * RATE_HZ)]) for s in (0.6, 1.6))
    # 20 dB between the parts become 5 dB, as both are above the threshold.
    assert loud - soft == pytest.approx(5.0, abs=0.7)


def test_soft_clipping_limits_the_peaks():
    sound = bursts()
    made = compressor.clip_softly(sound, 6.0)
    assert np.abs(made).max() < 0.75 * np.abs(sound).max()
    assert np.allclose(compressor.clip_softly(sound, -40.0), sound, atol=1e-3)


def test_room_decays_in_its_time_and_the_treble_faster():
    space = Space(5.0, 1.0, bass_factor=1.0, treble_factor=0.4, early_db=-6.0, tail_db=0.0, reflections=8)
    response = make_response(space, np.random.default_rng(0), rate_hz=RATE_HZ)
    assert response[0] == 1.0 and np.abs(response[1:100]).max() < 0.01
    spectrum = np.fft.rfft(response[1:], 1 << 17)
    freq_hz = np.fft.rfftfreq(1 << 17, 1 / RATE_HZ)
    for low_hz, high_hz, decay_s in ((300, 900, 1.0), (5000, 12_000, 0.4)):
        band = np.fft.irfft(np.where((freq_hz > low_hz) & (freq_hz < high_hz), spectrum, 0))
        early, late = (level_db(band[round(s * RATE_HZ) : round((s + 0.1) * RATE_HZ)]) for s in (0.1, 0.3))
        assert 0.2 * 60 / (early - late) == pytest.approx(decay_s, rel=0.25)


@pytest.mark.parametrize("name", noises.NOISES)
def test_noises_have_unit_level_and_depend_on_the_seed(name):
    first, again, other = (
        noises.make_noise(name, 3 * RATE_HZ, np.random.default_rng(seed), rate_hz=RATE_HZ) for seed in (0, 0, 1)
    )
    assert first.shape == (3 * RATE_HZ,) and np.isfinite(first).all()
    assert level_db(first) == pytest.approx(0.0, abs=0.1)
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_hum_is_at_the_mains_frequency_and_rumble_is_low():
    hum, rumble = (
        np.abs(np.fft.rfft(noises.make_noise(name, 4 * RATE_HZ, np.random.default_rng(0), rate_hz=RATE_HZ))) ** 2
        for name in ("hum", "rumble")
    )
    strongest_hz = np.argmax(hum) / 4
    assert min(strongest_hz % 50, strongest_hz % 60, -strongest_hz % 50, -strongest_hz % 60) < 1
    assert rumble[: 4 * 300].sum() > 0.9 * rumble.sum()


def test_microphone_limits_the_band():
    sound = np.random.default_rng(0).standard_normal(2 * RATE_HZ).astype(np.float32)
    telephone = dataclasses.replace(CLEAN, microphone=Microphone(300.0, 3400.0, 4, ()))
    made = recording.record(sound, ROOM, telephone, np.random.default_rng(0), rate_hz=RATE_HZ)
    power = np.abs(np.fft.rfft(made)) ** 2
    inside, below, above = (power[2 * low : 2 * high].mean() for low, high in ((500, 2500), (20, 120), (8000, 12_000)))
    assert 10 * np.log10(inside / below) > 25 and 10 * np.log10(inside / above) > 25


def test_clean_recording_changes_the_level_only_and_noise_has_its_own():
    sound = bursts()
    clean = recording.record(sound, ROOM, CLEAN, np.random.default_rng(0), rate_hz=RATE_HZ)
    assert level_db(clean) == pytest.approx(-20, abs=0.05)
    assert np.corrcoef(clean, sound)[0, 1] > 0.999
    noisy = dataclasses.replace(CLEAN, noises=(("hiss", -30.0),))
    made = recording.record(sound, ROOM, noisy, np.random.default_rng(0), rate_hz=RATE_HZ)
    assert level_db(made - clean) - level_db(clean) == pytest.approx(-30, abs=0.5)


def test_situations_differ_and_each_part_occurs():
    drawn = [recording.choose_recording(np.random.default_rng(seed), RecordingRanges()) for seed in range(120)]
    assert drawn[0] == recording.choose_recording(np.random.default_rng(0), RecordingRanges())
    assert {one.microphone_kind for one in drawn} == set(RecordingRanges().microphones)
    assert {name for one in drawn for name, _ in one.noises} == set(noises.NOISES)
    for found, least, most in (
        ([one.space is None for one in drawn], 0.03, 0.3),
        ([one.compression is not None for one in drawn], 0.2, 0.5),
        ([one.clip_db is not None for one in drawn], 0.03, 0.3),
        ([one.codec is not None for one in drawn], 0.25, 0.55),
    ):
        assert least < np.mean(found) < most
