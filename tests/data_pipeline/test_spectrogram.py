import librosa
import numpy as np
import pytest

from data_pipeline.spec import AudioSpec
from data_pipeline.spectrogram import stft

SIZES = {"quickstart": (11_025, 127 * 256, 1022, 256), "paper": (16_000, 95_800, 1500, 375)}


@pytest.mark.parametrize("pad_mode", ["reflect", "constant"])
@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES.keys())
def test_equals_librosa(sizes, pad_mode):
    audio = AudioSpec(*sizes, pad_mode)
    wave = np.random.default_rng(0).uniform(-1, 1, (2, audio.clip_samples)).astype(np.float32)
    ours = stft(wave, audio)
    theirs = librosa.stft(
        wave,
        n_fft=audio.fft_samples,
        hop_length=audio.hop_samples,
        win_length=audio.fft_samples,
        window="hann",
        center=True,
        pad_mode=pad_mode,
    )
    assert ours.dtype == np.complex64
    assert ours.shape == theirs.shape == (2, audio.freq_bins, audio.time_frames)
    # Columns are sums of 1,500 float32 of about one.
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_the_two_paddings_differ_at_the_ends_alone():
    wave = np.random.default_rng(0).uniform(-1, 1, 4000).astype(np.float32)
    reflect, constant = (stft(wave, AudioSpec(8000, 4000, 256, 64, mode)) for mode in ("reflect", "constant"))
    differ = np.abs(reflect - constant).max(0) > 1e-4
    # Windows that reach beyond an end are centred less than 128 samples from it; 4,000 = 62.5 hops.
    assert np.flatnonzero(differ).tolist() == [0, 1, 61, 62]


def test_a_tone_stands_in_its_row():
    audio = AudioSpec(8000, 4000, 256, 64)
    tone = np.sin(2 * np.pi * 1000 * np.arange(4000) / 8000).astype(np.float32)
    magnitude = np.abs(stft(tone, audio))
    assert np.all(magnitude[:, 5:-5].argmax(0) == 1000 * 256 // 8000)
    # A sine of amplitude one gives half the window's sum, which is half its length.
    np.testing.assert_allclose(magnitude[32, 5:-5], 256 / 4, rtol=1e-4)


def test_another_length_is_refused():
    with pytest.raises(ValueError, match="waveform has 100 samples, the spectrogram is set up for 4000"):
        stft(np.zeros(100), AudioSpec(8000, 4000, 256, 64))
