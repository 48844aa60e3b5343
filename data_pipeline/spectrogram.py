"""The short-time Fourier transform of the pipeline, equal to librosa's."""

import functools
from collections.abc import Iterator

import numpy as np
import scipy.fft

from data_pipeline.spec import AudioSpec

_COLUMNS = 16  # so few that the allocator reuses freed memory instead of asking the operating system


def stft(waveform: np.ndarray, audio: AudioSpec) -> np.ndarray:
    """Computes the centred short-time Fourier transform with a periodic Hann window.

    Args:
        waveform: float32 (..., clip_samples).
        audio: Sizes of window, hop and padding.

    Returns:
        complex64 (..., freq_bins, time_frames), equal to `librosa.stft(center=True)` within 1e-4.

    Raises:
        ValueError: The length of the waveform is not `clip_samples`.
    """
    return np.concatenate([columns for _, columns in stft_pieces(waveform, audio)], axis=-2).swapaxes(-1, -2)


def stft_pieces(waveform: np.ndarray, audio: AudioSpec) -> Iterator[tuple[slice, np.ndarray]]:
    """Computes the columns of `stft` in groups that are small enough for the core's cache.

    Args:
        waveform: float32 (..., clip_samples).
        audio: Sizes of window, hop and padding.

    Yields:
        The slice of columns, and complex64 (..., columns, freq_bins), the transpose of those columns of `stft`.

    Raises:
        ValueError: The length of the waveform is not `clip_samples`.
    """
    samples = waveform.shape[-1]
    if samples != audio.clip_samples:
        raise ValueError(f"waveform has {samples} samples, the spectrogram is set up for {audio.clip_samples}")
    widths = [(0, 0)] * (waveform.ndim - 1) + [(audio.fft_samples // 2,) * 2]
    padded = np.pad(waveform, widths, mode="reflect" if audio.pad_mode == "reflect" else "constant")
    windows = np.lib.stride_tricks.sliding_window_view(padded, audio.fft_samples, axis=-1)[..., :: audio.hop_samples, :]
    shape = _periodic_hann(audio.fft_samples)
    for first in range(0, audio.time_frames, _COLUMNS):
        columns = slice(first, min(first + _COLUMNS, audio.time_frames))
        # In float32 SciPy is faster than NumPy.
        yield columns, np.asarray(scipy.fft.rfft(windows[..., columns, :] * shape))


@functools.cache
def _periodic_hann(samples: int) -> np.ndarray:
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(samples) / samples)).astype(np.float32)
