import jax
import jax.numpy as jnp
import librosa
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_pipeline.spec import AudioSpec
from data_pipeline.spectrogram import stft
from mpnet_jax.spectrogram.inverse import hann_window, inverse_stft

QUICKSTART = AudioSpec(11_025, 127 * 256, 1022, 256)
PAPER = AudioSpec(16_000, 95_800, 1500, 375)


def random_wave(*shape, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


def rebuild(spectrum, audio):
    return inverse_stft(
        spectrum,
        fft_samples=audio.fft_samples,
        hop_samples=audio.hop_samples,
        clip_samples=audio.clip_samples,
    )


@pytest.mark.parametrize("audio", [QUICKSTART, PAPER], ids=["quickstart", "paper"])
def test_equals_librosa_on_inconsistent_spectra(audio):
    rng = np.random.default_rng(0)
    shape = (2, audio.freq_bins, audio.time_frames)
    spectrum = (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)
    ours = jax.jit(lambda s: rebuild(s, audio))(spectrum)
    theirs = librosa.istft(
        spectrum,
        hop_length=audio.hop_samples,
        win_length=audio.fft_samples,
        n_fft=audio.fft_samples,
        window="hann",
        center=True,
        length=audio.clip_samples,
    )
    assert ours.shape == theirs.shape == (2, audio.clip_samples)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("pad_mode", ["reflect", "constant"])
def test_round_trip_through_the_pipeline_s_transform(pad_mode):
    audio = AudioSpec(16_000, 12_345, 1500, 375, pad_mode)  # Not a multiple of the hop.
    waves = random_wave(2, audio.clip_samples)
    back = jax.jit(lambda s: rebuild(s, audio))(stft(waves, audio))
    np.testing.assert_allclose(back, waves, atol=1e-5)


# Only a few sizes, because each one is compiled.
@settings(max_examples=5, deadline=None, derandomize=True)
@given(
    half=st.integers(8, 40),
    hop_share=st.floats(0.05, 0.5),
    columns=st.integers(3, 20),
    remainder=st.floats(0, 0.999),
)
def test_round_trip_of_any_sizes(half, hop_share, columns, remainder):
    # Hops are at most a quarter of the window; with longer hops, the window is nearly zero at the last samples.
    hop = max(1, int(half * hop_share))
    audio = AudioSpec(8000, 2 * half + columns * hop + int(remainder * hop), 2 * half, hop)
    wave = random_wave(audio.clip_samples)
    spectrum = librosa.stft(
        wave, n_fft=audio.fft_samples, hop_length=hop, window="hann", center=True, pad_mode="reflect"
    )
    assert spectrum.shape == (audio.freq_bins, audio.time_frames)
    back = jax.jit(lambda s: rebuild(s, audio))(spectrum)
    np.testing.assert_allclose(back, wave, atol=1e-5)


def test_window_is_periodic():
    np.testing.assert_allclose(hann_window(8), librosa.filters.get_window("hann", 8, fftbins=True), atol=1e-7)


def test_rows_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="freq=8 rows do not fit fft_samples=16; expected 9"):
        inverse_stft(jnp.zeros((8, 4), jnp.complex64), fft_samples=16, hop_samples=4, clip_samples=12)
