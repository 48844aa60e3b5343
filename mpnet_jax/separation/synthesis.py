"""Applies the network's masks to the recording, in every channel and at the video's sample rate.

The transform used here has the columns of the network's transform: its windows have the same times (to half a sample)
and the same duration. Its bins have another spacing, so masks are interpolated between the network's bins. Above the
network's band there is no mask: there each sound gets the fraction that it has of the mixture's magnitude in the band's
highest octave, column by column.

Masks are applied to the channels without constant offsets, which stay in the residual.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import scipy.fft
from jaxtyping import Float

from data_pipeline.spec import AudioSpec
from mpnet_jax.spectrogram.inverse import hann_window


class Piece(NamedTuple):
    """A completed part of the separation.

    Attributes:
        recorded: Samples of the recording.
        sounds: Samples of the sounds, by number; a silent sound may be missing.
    """

    recorded: Float[np.ndarray, "channels samples"]
    sounds: dict[int, Float[np.ndarray, "channels samples"]]


class Synthesis:
    """Computes the separated sounds from the recording and the masks, in constant memory.

    Args:
        rate_hz: Sample rate of the recording.
        channels: Number of channels of the recording.
        audio: The network's transform.
    """

    def __init__(self, rate_hz: int, channels: int, audio: AudioSpec) -> None:
        self._audio, self._channels = audio, channels
        self._hop_samples = audio.hop_samples / audio.rate_hz * rate_hz
        half = max(1, round(audio.fft_samples / audio.rate_hz * rate_hz / 2))
        self._half, self._fft = half, int(scipy.fft.next_fast_len(2 * half, real=True) or 2 * half)
        self._window = hann_window(2 * half)
        bins_hz = np.arange(self._fft // 2 + 1) * rate_hz / self._fft
        self._masks = _MaskReader(bins_hz, audio)
        self._column = 0  # Index of the next column.
        self._start = -half  # Sample at which the buffers below begin.
        self._recorded = self._steady = np.zeros((channels, half), np.float32)
        self._weight = np.zeros(0, np.float32)
        self._sounds: dict[int, np.ndarray] = {}

    def add_recording(
        self, recorded: Float[np.ndarray, "channels samples"], steady: Float[np.ndarray, "channels samples"]
    ) -> None:
        """Appends samples of the recording; `apply` needs those of all its columns.

        Args:
            recorded: The samples, of which each `Piece` has its part.
            steady: The samples without constant offsets, to which masks are applied.
        """
        self._recorded = np.concatenate([self._recorded, recorded], axis=1)
        self._steady = np.concatenate([self._steady, steady], axis=1)

    def apply(self, shares: Mapping[int, Float[np.ndarray, "freq time"]], columns: int, *, last: bool) -> Piece:
        """Separates the next columns.

        Args:
            shares: Masks by number, on the network's bins.
            columns: Number of columns.
            last: Whether these are the last columns; the result then reaches to the end of the recording.

        Returns:
            The samples that no later column overlaps.
        """
        half, positions = self._half, self._positions(columns)
        end = positions[-1] + half - self._start
        available = self._steady.shape[1]
        padded = np.pad(self._steady, ((0, 0), (0, max(0, end - available)))) if end > available else self._steady
        spectra = self._spectra(padded, positions)  # (channels, columns, bins)
        self._weight = np.pad(self._weight, (0, max(0, end - len(self._weight))))
        # The sum of squared windows, by which the overlapping columns are divided.
        for position in positions:
            self._weight[position - half - self._start : position + half - self._start] += np.square(self._window)
        loudness = np.abs(spectra).mean(axis=0) if shares else None
        for number, share in shares.items():
            # (channels, columns, bins) * (columns, bins), back to samples (channels, columns, window).
            masked = spectra * self._masks.read(share, loudness)
            self._add(number, np.asarray(scipy.fft.irfft(masked, n=self._fft)), positions, end)
        self._column += columns
        return self._finished(last=last)

    def _positions(self, columns: int) -> list[int]:
        """Returns the samples at the centres of the next columns."""
        return [round((self._column + j) * self._hop_samples) for j in range(columns)]

    def _spectra(self, recorded: np.ndarray, positions: list[int]) -> np.ndarray:
        """Returns the spectra around the positions, complex64 (channels, column, bins)."""
        first = np.array(positions) - self._half - self._start
        # (channels, samples) -> (channels, column, window)
        windows = recorded[:, first[:, None] + np.arange(2 * self._half)]
        return np.asarray(scipy.fft.rfft(windows * self._window, n=self._fft))

    def _add(self, number: int, columns: np.ndarray, positions: list[int], end: int) -> None:
        """Overlap-adds the columns of one sound."""
        total = self._sounds.get(number, np.zeros((self._channels, 0), np.float32))
        total = np.pad(total, ((0, 0), (0, end - total.shape[1])))
        size = 2 * self._half
        for j, position in enumerate(positions):
            first = position - self._half - self._start
            total[:, first : first + size] += columns[:, j, :size] * self._window
        self._sounds[number] = total

    def _finished(self, *, last: bool) -> Piece:
        next_first = round(self._column * self._hop_samples) - self._half - self._start
        count = self._recorded.shape[1] if last else min(next_first, self._recorded.shape[1])
        weight = np.maximum(np.pad(self._weight[:count], (0, max(0, count - len(self._weight)))), 1e-10)
        skipped = max(0, -self._start)  # The buffers begin half a window before the recording.
        sounds = {}
        for number, total in self._sounds.items():
            done = np.pad(total[:, :count], ((0, 0), (0, max(0, count - total.shape[1]))))
            sounds[number] = (done / weight)[:, skipped:]
        piece = Piece(self._recorded[:, skipped:count], sounds)
        self._sounds = {number: left for number, total in self._sounds.items() if (left := total[:, count:]).any()}
        self._recorded, self._steady = self._recorded[:, count:], self._steady[:, count:]
        self._weight = self._weight[count:]
        self._start += count
        return piece


class _MaskReader:
    """Interpolates masks on the network's bins to the bins of another transform.

    Args:
        hz: Frequencies of the other transform's bins.
        audio: The network's transform.
    """

    def __init__(self, hz: np.ndarray, audio: AudioSpec) -> None:
        spacing, top = audio.rate_hz / audio.fft_samples, audio.freq_bins - 1
        places = np.minimum(hz / spacing, top)
        self._low = np.minimum(places.astype(np.int64), top - 1)
        self._fraction = (places - self._low).astype(np.float32)
        self._inside = int(np.searchsorted(hz, audio.rate_hz / 2, side="right"))
        self._octave = slice(int(np.searchsorted(hz, audio.rate_hz / 4)), self._inside)

    def read(
        self, share: Float[np.ndarray, "freq time"], loudness: Float[np.ndarray, "time bins"] | None
    ) -> np.ndarray:
        """Returns the mask on the other transform's bins, (time, bins).

        Args:
            share: The mask on the network's bins.
            loudness: Magnitude of the mixture on the other transform's bins; needed above the network's band.
        """
        columns = share.T
        low = columns[:, self._low]
        mask = low + self._fraction * (columns[:, self._low + 1] - low)
        if self._inside < mask.shape[1]:
            assert loudness is not None
            octave = loudness[:, self._octave]
            total = octave.sum(axis=1, keepdims=True)
            part = (mask[:, self._octave] * octave).sum(axis=1, keepdims=True)
            mask[:, self._inside :] = np.where(total > 0, part / np.where(total > 0, total, 1.0), 0.0)
        return mask
