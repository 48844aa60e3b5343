import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

from mpnet_jax.spectrogram.frequency import log_positions, row_hz, unwarp_matrix, warp_matrix

SIZES = st.integers(2, 300)
# Matrices are float32: a weight is off by up to 6e-8, and two of them read values of up to 1.
TOLERANCE = 1e-6


def sample(values, positions):
    """Linear interpolation by another library."""
    return map_coordinates(values, [positions], order=1, mode="nearest")


@settings(max_examples=30, deadline=None)
@given(rows=SIZES, bins=SIZES)
def test_warp_reads_the_spectrum_where_the_formula_says(rows, bins):
    spectrum = np.random.default_rng(rows * bins).uniform(size=bins)
    positions = (bins - 1) * (21 ** (np.arange(rows) / (rows - 1)) - 1) / 20
    matrix = warp_matrix(rows, bins)
    assert matrix.shape == (rows, bins) and matrix.dtype == np.float32
    np.testing.assert_allclose(matrix @ spectrum, sample(spectrum, positions), atol=TOLERANCE)


@settings(max_examples=30, deadline=None)
@given(rows=SIZES, bins=SIZES)
def test_unwarp_reads_where_the_inverse_formula_says(rows, bins):
    spectrum = np.random.default_rng(rows * bins).uniform(size=rows)
    positions = (rows - 1) * np.log(20 * np.arange(bins) / (bins - 1) + 1) / np.log(21)
    matrix = unwarp_matrix(bins, rows)
    assert matrix.shape == (bins, rows) and matrix.dtype == np.float32
    np.testing.assert_allclose(matrix @ spectrum, sample(spectrum, positions), atol=TOLERANCE)


@settings(max_examples=30, deadline=None)
@given(rows=SIZES, bins=SIZES)
def test_rows_are_averages_of_neighbours(rows, bins):
    for matrix in (warp_matrix(rows, bins), unwarp_matrix(bins, rows)):
        assert np.all(matrix >= 0)
        np.testing.assert_allclose(matrix.sum(1), 1.0, atol=TOLERANCE)
        assert np.count_nonzero(matrix, axis=1).max() <= 2
        # A rising spectrum stays rising, first and last stay themselves.
        ramp = matrix @ np.arange(matrix.shape[1], dtype=np.float64)
        assert np.all(np.diff(ramp) > 0)
        assert ramp[0] == 0 and ramp[-1] == pytest.approx(matrix.shape[1] - 1)


def test_there_and_back_keeps_a_smooth_spectrum():
    bins, rows = 512, 256
    axis = np.linspace(0, 1, bins)
    spectrum = 1.0 + np.sin(6 * axis) + np.exp(-(((axis - 0.4) / 0.1) ** 2))
    back = unwarp_matrix(bins, rows) @ (warp_matrix(rows, bins) @ spectrum)
    # Rows lie up to six bins apart, 0.012 of the axis: its square / 8 * a curvature of 236, twice.
    np.testing.assert_allclose(back, spectrum, atol=0.01)


def test_rows_in_hertz():
    hz = row_hz(256, 512, 11_025)
    assert hz.shape == (256,)
    assert hz[0] == 0 and hz[-1] == pytest.approx(11_025 / 2)
    np.testing.assert_allclose(hz, log_positions(256, 512) * 11_025 / 1022)
    # The axis is spread out below and crowded above.
    assert np.searchsorted(hz, 11_025 / 4) > 256 / 2


@pytest.mark.parametrize(("rows", "bins"), [(1, 5), (5, 1)])
def test_axes_without_an_interval_are_refused(rows, bins):
    message = f"at least 2 rows and 2 bins, got rows={rows}, bins={bins}"
    with pytest.raises(ValueError, match=message):
        warp_matrix(rows, bins)
    with pytest.raises(ValueError, match=message):
        unwarp_matrix(bins, rows)
