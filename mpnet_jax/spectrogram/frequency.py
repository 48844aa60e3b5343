"""Resamples spectrograms between the transform's linear bins and the networks' frequency axis.

Interpolation is linear in the spectrogram, so each direction is a product with a constant matrix. On every device that
is faster than a gather, whose gradient is a scatter.
"""

import dataclasses
import warnings
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from data_pipeline.spec import AudioSpec

BASE = 21.0  # Base of the logarithmic axis, as in the released code; the axis runs from the first bin to the last.


@dataclasses.dataclass(frozen=True, eq=False)
class FrequencyAxis:
    """A frequency axis of `rows` rows over the bins of a transform.

    Attributes:
        hz: Centre frequency of each row, increasing, float64 (rows,).
        forth: Matrix from bins to rows, float32 (rows, bins).
        back: Matrix from rows to bins, float32 (bins, rows). It is a second interpolation, not an inverse: detail is
            lost where rows are sparser than bins.
        time: Matrix that both directions apply to the columns, float32 (time, time); None for no change.
    """

    hz: np.ndarray
    forth: np.ndarray
    back: np.ndarray
    time: np.ndarray | None = None

    def warp(self, bins: Float[Array | np.ndarray, "*batch freq time"]) -> Float[Array, "*batch rows time"]:
        """Returns a magnitude, given on the transform's bins, on the rows of this axis."""
        return self._apply(self.forth, bins)

    def unwarp(self, rows: Float[Array | np.ndarray, "*batch rows time"]) -> Float[Array, "*batch freq time"]:
        """Returns a magnitude or a mask, given on the rows of this axis, on the transform's bins."""
        return self._apply(self.back, rows)

    def _apply(self, matrix: np.ndarray, values: Array | np.ndarray) -> Array:
        # (out rows, in rows) x (..., in rows, time) -> (..., out rows, time)
        changed = jnp.einsum("rf,...ft->...rt", jnp.asarray(matrix, values.dtype), values)
        if self.time is None:
            return changed
        return jnp.einsum("...rt,ut->...ru", changed, jnp.asarray(self.time, values.dtype))


def frequency_axis(name: str, rows: int, audio: AudioSpec) -> FrequencyAxis:
    """Builds a frequency axis.

    Args:
        name: "log" (base 21, aligned corners: the first and last row are the first and last bin), "released" (the same
            without aligned corners), "mel" (Slaney's scale with triangular filters, as in librosa) or "linear".
        rows: Number of rows, at least 2.
        audio: The transform.

    Raises:
        ValueError: The name is unknown, or there are too few rows, or more than the transform can resolve.
    """
    if rows < 2:
        raise ValueError(f"a frequency axis needs at least 2 rows, got {rows}")
    if name not in AXES:
        raise ValueError(f"frequency_axis={name!r} is unknown; use one of {', '.join(AXES)}")
    return AXES[name](rows, audio)


def _log_axis(rows: int, audio: AudioSpec) -> FrequencyAxis:
    """Builds the base-21 axis of the released code, whose results the paper reports; Sec. 4.1 calls it "mel"."""
    return _sampled(rows, audio, align_corners=True)


def _released_axis(rows: int, audio: AudioSpec) -> FrequencyAxis:
    """Builds the axis that the released code gives under current PyTorch, where corners are not aligned.

    The sampling points -1 to 1 then span the outer edges of the spectrogram instead of its first and last values. So
    the rows at both ends have half their value, and the columns are resampled too, unintentionally.
    """
    columns = audio.time_frames
    time = _sampler_positions(np.linspace(-1.0, 1.0, columns), columns, align_corners=False)
    return dataclasses.replace(_sampled(rows, audio, align_corners=False), time=_sampling_matrix(time, columns))


def _sampled(rows: int, audio: AudioSpec, *, align_corners: bool) -> FrequencyAxis:
    """Builds the base-21 axis, which samples a spectrogram as PyTorch's `grid_sample` does."""
    bins = audio.freq_bins
    forth = (BASE ** np.linspace(0.0, 1.0, rows) - 1.0) / (BASE - 1.0) * 2.0 - 1.0
    back = np.log1p((BASE - 1.0) * np.linspace(0.0, 1.0, bins)) / np.log(BASE) * 2.0 - 1.0
    return FrequencyAxis(
        hz=(forth + 1.0) / 2.0 * audio.rate_hz / 2,
        forth=_sampling_matrix(_sampler_positions(forth, bins, align_corners=align_corners), bins),
        back=_sampling_matrix(_sampler_positions(back, rows, align_corners=align_corners), rows),
    )


def _mel_axis(rows: int, audio: AudioSpec) -> FrequencyAxis:
    # Imported here because its import takes seconds and needs a folder that can be written.
    import librosa

    highest = audio.rate_hz / 2
    edges = librosa.mel_frequencies(n_mels=rows + 2, fmin=0.0, fmax=highest)
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # Empty filters are refused below.
        filters = librosa.filters.mel(
            sr=audio.rate_hz, n_fft=audio.fft_samples, n_mels=rows, fmin=0.0, fmax=highest, norm=None, dtype=np.float64
        )
    return _filtered("mel", edges[1:-1], filters, audio)


def _linear_axis(rows: int, audio: AudioSpec) -> FrequencyAxis:
    bins_hz = np.linspace(0.0, audio.rate_hz / 2, audio.freq_bins)
    hz = np.linspace(0.0, audio.rate_hz / 2, rows)
    width = max(hz[1], bins_hz[1])  # Where rows are denser than bins, each interpolates between two bins.
    filters = np.maximum(1.0 - np.abs(bins_hz - hz[:, np.newaxis]) / width, 0.0)
    return _filtered("linear", hz, filters, audio)


AXES: dict[str, Callable[[int, AudioSpec], FrequencyAxis]] = {
    "log": _log_axis,
    "released": _released_axis,
    "mel": _mel_axis,
    "linear": _linear_axis,
}


def _filtered(name: str, hz: np.ndarray, filters: np.ndarray, audio: AudioSpec) -> FrequencyAxis:
    """Builds an axis whose rows are weighted means of bins (rows, bins); bins interpolate between row centres."""
    weights = filters.sum(1)
    if not np.all(weights > 0):
        raise ValueError(
            f"{np.count_nonzero(weights == 0)} of {len(hz)} {name} rows are narrower than a bin of the transform; take "
            f"fewer frequency_rows or a longer fft_samples (now {audio.fft_samples})"
        )
    bins_hz = np.linspace(0.0, audio.rate_hz / 2, audio.freq_bins)
    back = np.interp(bins_hz, hz, np.arange(len(hz)))
    return FrequencyAxis(hz, (filters / weights[:, np.newaxis]).astype(np.float32), _sampling_matrix(back, len(hz)))


def _sampler_positions(grid: np.ndarray, size: int, *, align_corners: bool) -> np.ndarray:
    """Returns where `grid_sample` reads an axis of `size` values for points in [-1, 1], in float32 as PyTorch does."""
    one, two, length = np.float32(1), np.float32(2), np.float32(size)
    grid = grid.astype(np.float32)
    positions = (grid + one) / two * (length - one) if align_corners else ((grid + one) * length - one) / two
    return positions.astype(np.float64)


def _sampling_matrix(positions: np.ndarray, size: int) -> np.ndarray:
    """Returns the matrix (len(positions), size) of linear interpolation at fractional positions; outside is zero."""
    low = np.floor(positions).astype(np.int64)
    fraction = positions - low
    matrix = np.zeros((len(positions), size))
    for index, weight in ((low, 1.0 - fraction), (low + 1, fraction)):
        inside = (0 <= index) & (index < size)
        matrix[np.flatnonzero(inside), index[inside]] = weight[inside]
    return matrix.astype(np.float32)
