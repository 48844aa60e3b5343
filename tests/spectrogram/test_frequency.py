import librosa
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

from data_pipeline.spec import AudioSpec
from mpnet_jax.spectrogram.frequency import frequency_axis

SIZES = st.integers(2, 300)
# Sampling positions are float32 from -1 to 1, so with 300 bins positions and weights are off by up to 300 * 6e-8.
TOLERANCE = 3e-5


def spec(bins, rate_hz=11_025):
    return AudioSpec(rate_hz, clip_samples=5 * bins, fft_samples=2 * (bins - 1), hop_samples=max((bins - 1) // 2, 1))


def sample(values, positions, mode="nearest"):
    """Interpolates linearly with another library."""
    return map_coordinates(values, [positions], order=1, mode=mode)


@settings(max_examples=30, deadline=None)
@given(rows=SIZES, bins=SIZES)
def test_log_axis_reads_the_spectrum_where_the_formula_says(rows, bins):
    axis = frequency_axis("log", rows, spec(bins))
    random = np.random.default_rng(rows * bins)
    spectrum, by_row = random.uniform(size=bins), random.uniform(size=rows)
    forth = (bins - 1) * (21 ** (np.arange(rows) / (rows - 1)) - 1) / 20
    back = (rows - 1) * np.log(20 * np.arange(bins) / (bins - 1) + 1) / np.log(21)
    assert axis.forth.shape == (rows, bins) and axis.forth.dtype == np.float32
    assert axis.back.shape == (bins, rows) and axis.back.dtype == np.float32
    np.testing.assert_allclose(axis.forth @ spectrum, sample(spectrum, forth), atol=TOLERANCE)
    np.testing.assert_allclose(axis.back @ by_row, sample(by_row, back), atol=TOLERANCE)
    np.testing.assert_allclose(axis.hz, forth / (bins - 1) * 11_025 / 2)


@settings(max_examples=30, deadline=None)
@given(rows=SIZES, bins=SIZES)
def test_rows_of_the_log_axis_are_averages_of_neighbours(rows, bins):
    axis = frequency_axis("log", rows, spec(bins))
    for matrix in (axis.forth, axis.back):
        assert np.all(matrix >= 0)
        np.testing.assert_allclose(matrix.sum(1), 1.0, atol=TOLERANCE)
        assert np.count_nonzero(matrix, axis=1).max() <= 2
        # An increasing spectrum stays increasing, and its first and last values do not change.
        ramp = matrix @ np.arange(matrix.shape[1], dtype=np.float64)
        assert np.all(np.diff(ramp) > 0)
        assert ramp[0] == pytest.approx(0, abs=TOLERANCE)
        assert ramp[-1] == pytest.approx(matrix.shape[1] - 1, abs=TOLERANCE)


def test_the_released_axis_halves_edges_and_moves_columns():
    audio = AudioSpec(11_025, clip_samples=127 * 256, fft_samples=1022, hop_samples=256)
    axis = frequency_axis("released", 128, audio)
    # A point x in [-1, 1] is at position ((x + 1) * size - 1) / 2: half a value outside at each end.
    positions = np.linspace(-0.5, 127.5, 128)
    columns = np.random.default_rng(1).uniform(size=128)
    assert axis.time is not None
    np.testing.assert_allclose(axis.time @ columns, sample(columns, positions, "grid-constant"), atol=TOLERANCE)
    warped = np.asarray(axis.warp(np.ones((1, 512, 128), np.float32)))
    np.testing.assert_allclose(
        warped[0, [0, 64, -1]][:, [0, 64, -1]], np.outer([0.5, 1, 0.5], [0.5, 1, 0.5]), atol=1e-4
    )


@pytest.mark.parametrize("name", ["log", "mel", "linear"])
def test_round_trip_keeps_a_smooth_spectrum(name):
    audio = spec(512)
    axis = frequency_axis(name, 128, audio)
    unit = np.linspace(0, 1, 512)
    spectrum = (1.0 + np.sin(6 * unit) + np.exp(-(((unit - 0.4) / 0.1) ** 2)))[:, np.newaxis].astype(np.float32)
    back = np.asarray(axis.unwarp(axis.warp(spectrum)))
    # The triangular rows end slightly inside the spectrum.
    inside = (axis.hz[0] <= unit * 11_025 / 2) & (unit * 11_025 / 2 <= axis.hz[-1])
    # Rows are up to twelve bins apart, 0.024 of the axis. The error is that squared / 8, times a curvature of 236,
    # twice.
    np.testing.assert_allclose(back[inside], spectrum[inside], atol=0.04)


def test_mel_rows_are_librosas_filters_as_averages():
    audio = spec(512, 16_000)
    axis = frequency_axis("mel", 128, audio)
    filters = librosa.filters.mel(sr=16_000, n_fft=1022, n_mels=128)
    np.testing.assert_allclose(axis.forth, filters / filters.sum(1, keepdims=True), atol=1e-6)
    np.testing.assert_allclose(axis.hz, librosa.mel_frequencies(n_mels=130, fmax=8000)[1:-1])


def test_a_linear_axis_with_a_row_per_bin_is_the_identity():
    axis = frequency_axis("linear", 100, spec(100))
    np.testing.assert_allclose(axis.forth, np.eye(100), atol=1e-6)
    np.testing.assert_allclose(axis.back, np.eye(100), atol=1e-6)


@pytest.mark.parametrize("name", ["log", "released", "mel", "linear"])
def test_rows_rise_to_half_the_rate(name):
    axis = frequency_axis(name, 64, spec(512))
    assert axis.hz.shape == (64,) and axis.hz[0] >= 0
    assert np.all(np.diff(axis.hz) > 0)
    assert axis.hz[-1] == pytest.approx(11_025 / 2, rel=0.05)


def test_the_log_axis_is_denser_at_low_frequencies():
    assert np.searchsorted(frequency_axis("log", 256, spec(512)).hz, 11_025 / 4) > 256 / 2


def test_a_single_row_is_refused():
    with pytest.raises(ValueError, match="at least 2 rows, got 1"):
        frequency_axis("log", 1, spec(5))


def test_an_unknown_axis_is_refused():
    with pytest.raises(ValueError, match="frequency_axis='bark' is unknown; use one of log, released, mel, linear"):
        frequency_axis("bark", 64, spec(512))


def test_rows_narrower_than_a_bin_are_refused():
    with pytest.raises(ValueError, match=r"\d+ of 512 mel rows are narrower than a bin .* take fewer frequency_rows"):
        frequency_axis("mel", 512, spec(129))
