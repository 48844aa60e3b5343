"""The inverse short-time Fourier transform in JAX, equal to librosa's."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float


def hann_window(samples: int) -> np.ndarray:
    """Returns the periodic Hann window, float32 (samples,)."""
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(samples) / samples)).astype(np.float32)


def inverse_stft(
    spectrum: Complex[Array, "*batch freq time"], *, fft_samples: int, hop_samples: int, clip_samples: int
) -> Float[Array, "*batch samples"]:
    """Rebuilds waveforms from centred spectra by windowed overlap-add.

    Args:
        spectrum: One-sided spectra, with freq = fft_samples // 2 + 1.
        fft_samples: Length of the transform and of its Hann window.
        hop_samples: Samples from one column to the next.
        clip_samples: Length of the waveforms.

    Returns:
        The waveforms; missing samples at the end are zero.

    Raises:
        ValueError: The number of frequencies does not match `fft_samples`.
    """
    *batch, freq, time = spectrum.shape
    if freq != fft_samples // 2 + 1:
        raise ValueError(f"freq={freq} rows do not fit fft_samples={fft_samples}; expected {fft_samples // 2 + 1}")
    window = hann_window(fft_samples)
    # (..., freq, time) -> (..., time, fft_samples)
    columns = jnp.fft.irfft(jnp.swapaxes(spectrum, -1, -2), n=fft_samples) * window
    total = _overlap_add(columns, hop_samples)
    # The sum of squared windows, (samples,), by which the overlapping columns are divided.
    envelope = _overlap_add(jnp.broadcast_to(jnp.square(window), (time, fft_samples)), hop_samples)
    start = fft_samples // 2  # The spectra are centred: the first column begins half a window before the waveform.
    total, envelope = (x[..., start : start + clip_samples] for x in (total, envelope))
    missing = clip_samples - total.shape[-1]
    waveform = total / jnp.maximum(envelope, 1e-10)
    return jnp.pad(waveform, [(0, 0)] * len(batch) + [(0, max(missing, 0))])


def _overlap_add(columns: Float[Array, "*batch time window"], hop: int) -> Float[Array, "*batch samples"]:
    """Sums columns that start `hop` samples apart, each cut into pieces of `hop` samples."""
    *batch, time, size = columns.shape
    hops = -(-size // hop)
    padding = [(0, 0)] * (len(batch) + 1) + [(0, hops * hop - size)]
    # (..., time, window) -> (..., time, piece, hop)
    pieces = jnp.pad(columns, padding).reshape(*batch, time, hops, hop)
    total = jnp.zeros((*batch, time + hops - 1, hop), columns.dtype)
    for j in range(hops):
        # Piece j of column t lies at hop t + j.
        shift = [(0, 0)] * len(batch) + [(j, hops - 1 - j), (0, 0)]
        total = total + jnp.pad(pieces[..., j, :], shift)
    return total.reshape(*batch, -1)
