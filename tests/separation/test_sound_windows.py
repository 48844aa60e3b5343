import numpy as np
import pytest

from data_pipeline.spec import AudioSpec
from mpnet_jax.separation.sound_windows import hop_columns, sound_windows, start_seconds

AUDIO = AudioSpec(rate_hz=8000, clip_samples=31 * 64, fft_samples=254, hop_samples=64)
STEP = hop_columns(AUDIO) * AUDIO.hop_samples


def blocks(samples: int, rate_hz: int = 8000, channels: int = 1, size: int = 500):
    sound = np.random.default_rng(0).normal(0, 0.1, (channels, samples)).astype(np.float32)
    return sound, [(rate_hz, sound[:, first : first + size]) for first in range(0, samples, size)]


def test_windows_lie_half_a_window_apart_and_reach_the_end():
    sound, given = blocks(3 * AUDIO.clip_samples + 10)
    windows = list(sound_windows(given, AUDIO))
    assert [window.place for window in windows] == list(range(len(windows)))
    assert [window.last for window in windows] == [False] * (len(windows) - 1) + [True]
    for window in windows:
        expected = sound[0, window.place * STEP :][: AUDIO.clip_samples]
        assert window.mono.shape == (AUDIO.clip_samples,)
        np.testing.assert_allclose(window.mono[: len(expected)], expected, atol=1e-6)
        assert not window.mono[len(expected) :].any()
    end = windows[-1].place * STEP + AUDIO.clip_samples
    assert end - STEP < sound.shape[1] <= end
    np.testing.assert_array_equal(np.concatenate([w.recorded for w in windows], axis=1), sound)
    assert start_seconds(2, AUDIO) == 2 * STEP / 8000


@pytest.mark.parametrize("samples", [1, 800, AUDIO.clip_samples - 1, AUDIO.clip_samples])
def test_a_short_sound_is_one_window(samples):
    (window,) = sound_windows(blocks(samples)[1], AUDIO)
    assert window.last and not window.mono[samples:].any()


def test_one_sample_more_is_another_window():
    assert [w.last for w in sound_windows(blocks(AUDIO.clip_samples + 1)[1], AUDIO)] == [False, True]


@pytest.mark.parametrize("rate_hz", [4000, 44_100, 48_000])
def test_windows_are_the_mean_of_the_channels_at_the_network_s_rate(rate_hz):
    seconds = 1.0
    time = np.arange(round(seconds * rate_hz)) / rate_hz
    left, right = np.sin(2 * np.pi * 300 * time), 0.5 * np.sin(2 * np.pi * 500 * time)
    sound = np.stack([left, right]).astype(np.float32)
    windows = list(sound_windows([(rate_hz, sound)], AUDIO))
    at = np.arange(AUDIO.clip_samples) / 8000 + start_seconds(1, AUDIO)
    expected = 0.5 * np.sin(2 * np.pi * 300 * at) + 0.25 * np.sin(2 * np.pi * 500 * at)
    # In a few bins between the tones, the sides of their spectra are opposite and do not cancel.
    np.testing.assert_allclose(windows[1].mono, expected, atol=3e-3)
    # When a window is yielded, the recording has been read to its end.
    for window in windows[:-1]:
        read = sum(w.recorded.shape[1] for w in windows[: window.place + 1])
        assert read / rate_hz >= start_seconds(window.place, AUDIO) + AUDIO.clip_seconds - 1 / rate_hz
