"""The network's logarithmic frequency axis: one constant matrix there, one back.

Interpolating between neighbouring rows is linear in the spectrogram, so a matrix product does it; on every device that
is faster than a gather, whose gradient is a scatter.
"""

import numpy as np

BASE = 21.0  # the released code's: the axis runs from bin 0 to the last, octaves growing denser upwards


def _interpolation_matrix(positions: np.ndarray, size: int) -> np.ndarray:
    """Matrix (len(positions), size) that reads a vector at fractional positions in [0, size - 1], linearly."""
    positions = np.clip(positions, 0.0, size - 1.0)
    low = np.minimum(positions.astype(np.int64), size - 2)
    fraction = positions - low
    rows = np.arange(len(positions))
    matrix = np.zeros((len(positions), size))
    matrix[rows, low] = 1.0 - fraction
    matrix[rows, low + 1] += fraction
    return matrix.astype(np.float32)


def log_positions(rows: int, bins: int) -> np.ndarray:
    """Fractional bin of each row of the log axis, float64 (rows,), from 0 to bins - 1. Source: released code."""
    unit = np.linspace(0.0, 1.0, rows)
    return (BASE**unit - 1.0) / (BASE - 1.0) * (bins - 1)


def warp_matrix(rows: int, bins: int) -> np.ndarray:
    """Matrix from linear to log frequency: `warp_matrix(rows, bins) @ magnitude`.

    Args:
        rows: rows of the log axis, at least 2.
        bins: bins of the linear axis, at least 2.

    Returns:
        float32 (rows, bins); rows sum to one. Source: Sec. 4.1 and the released code with aligned corners.
    """
    _check(rows, bins)
    return _interpolation_matrix(log_positions(rows, bins), bins)


def unwarp_matrix(bins: int, rows: int) -> np.ndarray:
    """Matrix from log back to linear frequency.

    A second interpolation, as in the released code, and not an inverse: the warp loses detail where rows are sparser
    than bins.

    Args:
        bins: bins of the linear axis, at least 2.
        rows: rows of the log axis, at least 2.

    Returns:
        float32 (bins, rows); rows sum to one.
    """
    _check(rows, bins)
    unit = np.linspace(0.0, 1.0, bins)
    return _interpolation_matrix(np.log1p((BASE - 1.0) * unit) / np.log(BASE) * (rows - 1), rows)


def row_hz(rows: int, bins: int, rate_hz: int) -> np.ndarray:
    """Frequency of each row of the log axis in hertz, float64 (rows,)."""
    return log_positions(rows, bins) / (bins - 1) * rate_hz / 2


def _check(rows: int, bins: int) -> None:
    if rows < 2 or bins < 2:
        raise ValueError(f"a frequency axis needs at least 2 rows and 2 bins, got rows={rows}, bins={bins}")
