"""Keeps the transform of a recording in the network's band on disk, so that a mask is applied to it in little time.

The sound of a place must be heard at once. `synthesis.Synthesis` would transform the complete recording for it, at its
full sample rate. This module uses that a mask ends with the network's band, and that above it a sound gets one fraction
of the recording for each column:

* The recording times the fractions, which change slowly, is computed in the time domain.
* What the mask adds or removes within the band is computed at a lower sample rate, from the stored transform, and
  resampled to the rate of the recording.

The sum is what `Synthesis` computes, up to the resampling.
"""

import concurrent.futures
import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy.fft
import soundfile
import soxr
from jaxtyping import Float

from data_pipeline.spec import AudioSpec
from mpnet_jax.run.facts import usable_cores
from mpnet_jax.separation.stems import sound_name
from mpnet_jax.spectrogram.inverse import hann_window

_PASSED = 0.9  # Fraction of a band that the resampling keeps unchanged.
_MOST_THREADS = 4
_COLUMNS = 512  # Columns that are transformed at a time.
_LEAD = 64  # Samples before the recording at the lower rate, so that the resampling begins before it.


class BandSpectra:
    """The stored transform of a recording, within the network's band.

    Args:
        folder: Folder of the files.
        recording: Sound file of the recording.
        rate_hz: Sample rate of the recording.
        channels: Number of channels of the recording.
        audio: The network's transform.
        columns: Number of columns.
    """

    def __init__(
        self, folder: Path, recording: Path, *, rate_hz: int, channels: int, audio: AudioSpec, columns: int
    ) -> None:
        self._spectra_file, self._loudness_file = folder / "spectra.c64", folder / "loudness.f32"
        self._recording, self._channels, self._columns = recording, channels, columns
        half = max(1, round(audio.fft_samples / audio.rate_hz * rate_hz / 2))
        # The lower sample rate is that of the recording divided by this.
        self._factor = max(1, int(_PASSED * rate_hz / audio.rate_hz))
        least = -(-2 * half // self._factor)
        self._size = int(scipy.fft.next_fast_len(least, real=True) or least)
        self._half, self._fft = half, self._factor * self._size
        self._window = hann_window(2 * half)
        padded = np.pad(self._window, (0, self._fft - 2 * half))
        # Row r holds the samples r, r + factor, r + 2 * factor, ... of the window.
        self._windows = np.ascontiguousarray(padded.reshape(self._size, self._factor).T)
        positions = np.round(np.arange(columns) * (audio.hop_samples / audio.rate_hz * rate_hz)).astype(np.int64)
        self._begins = positions - half
        self._lows = -(-self._begins // self._factor)  # The first sample of each column at the lower rate.
        self._begin = int(self._lows[0])
        self._skipped = max(0, -self._begin - _LEAD)
        self._rests = self._factor * self._lows - self._begins
        hz = np.arange(self._fft // 2 + 1) * rate_hz / self._fft
        self._bins = int(np.searchsorted(hz, audio.rate_hz / 2, side="right"))
        self._octave = slice(int(np.searchsorted(hz, audio.rate_hz / 4)), self._bins)
        self._has_more = self._bins < len(hz)  # Whether the recording has frequencies above the band.
        spacing, top = audio.rate_hz / audio.fft_samples, audio.freq_bins - 1
        places = np.minimum(hz[: self._bins] / spacing, top)
        self._below = np.minimum(places.astype(np.int64), top - 1)
        self._fraction = (places - self._below).astype(np.float32)[:, None]

    def write(self) -> None:
        """Transforms the recording, in constant memory, and writes both files."""
        turns = np.arange(self._bins) * np.arange(self._factor)[:, None] / self._fft
        phases = (np.exp(2j * np.pi * turns) / self._factor).astype(np.complex64)
        with (
            soundfile.SoundFile(sound_name(self._recording)) as recording,
            self._spectra_file.open("wb") as spectra_file,
            self._loudness_file.open("wb") as loudness_file,
        ):
            for first in range(0, self._columns, _COLUMNS):
                begins = self._begins[first : first + _COLUMNS]
                samples = _read(recording, int(begins[0]), int(begins[-1]) + 2 * self._half)
                # (channels, samples) -> (channels, column, window) -> (channels, column, bins)
                frames = samples[:, (begins - begins[0])[:, None] + np.arange(2 * self._half)] * self._window
                spectra = np.asarray(scipy.fft.rfft(frames, n=self._fft))[..., : self._bins]
                loudness = np.abs(spectra[..., self._octave]).mean(axis=0)
                total = loudness.sum(axis=1, keepdims=True)
                loudness = np.where(total > 0, loudness / np.where(total > 0, total, 1.0), 0.0)
                spectra *= phases[self._rests[first : first + _COLUMNS]]
                # Stored column by column: (column, channels, bins).
                spectra_file.write(np.ascontiguousarray(spectra.transpose(1, 0, 2), "<c8").tobytes())
                loudness_file.write(np.ascontiguousarray(loudness, "<f4").tobytes())

    def apply(
        self, mask_of: Callable[[slice], Float[np.ndarray, "freq time"]], block: int
    ) -> Float[np.ndarray, "channels samples"]:
        """Returns the sound of a mask.

        Args:
            mask_of: Returns columns of the mask on the network's bins. It is called by several threads.
            block: Number of columns that are asked for at a time.
        """
        # The channels, and what the recording is multiplied with because of the fractions above the band.
        rows = np.zeros((self._channels + self._has_more, len(self._weight)), np.float32)
        parts = [slice(first, min(first + block, self._columns)) for first in range(0, self._columns, block)]
        workers = min(_MOST_THREADS, usable_cores())
        with concurrent.futures.ThreadPoolExecutor(workers) as pool:
            # Few blocks are computed at a time, so that they do not fill the memory.
            for first in range(0, len(parts), 2 * workers):
                group = parts[first : first + 2 * workers]
                tasks = [pool.submit(self._masked, part, mask_of) for part in group]
                for part, task in zip(group, tasks, strict=True):
                    for low, column in zip(self._lows[part].tolist(), task.result(), strict=True):
                        rows[:, low - self._begin : low - self._begin + self._size] += column
        rows = rows[:, self._skipped :] / self._weight[self._skipped :]
        with soundfile.SoundFile(sound_name(self._recording)) as recording:
            recorded = recording.read(dtype="float32", always_2d=True).T
        sound = self._at_full_rate(rows, recorded.shape[1])
        return sound[:-1] + sound[-1] * recorded if self._has_more else sound

    @functools.cached_property
    def _weight(self) -> Float[np.ndarray, " low"]:
        """The sum of squared windows at the lower rate, from the first sample of the first column."""
        weight = np.zeros(int(self._lows[-1]) + self._size - self._begin, np.float32)
        squares = np.square(self._windows)
        for low, rest in zip((self._lows - self._begin).tolist(), self._rests.tolist(), strict=True):
            weight[low : low + self._size] += squares[rest]
        return np.maximum(weight, 1e-10)

    def _masked(
        self, part: slice, mask_of: Callable[[slice], Float[np.ndarray, "freq time"]]
    ) -> Float[np.ndarray, "time rows window"]:
        """Returns windowed columns at the lower rate; see `apply`."""
        share = mask_of(part)
        low = share[self._below]
        mask = (low + self._fraction * (share[self._below + 1] - low)).T  # (time, bins)
        windows = self._windows[self._rests[part]]
        columns = np.empty((len(mask), self._channels + self._has_more, self._size), np.float32)
        if self._has_more:
            fractions = (mask[:, self._octave] * self._loudness[part]).sum(axis=1, keepdims=True)
            mask = mask - fractions
            np.multiply(np.square(windows), fractions, out=columns[:, -1])
        changed = scipy.fft.irfft(self._spectra[part] * mask[:, None], n=self._size, overwrite_x=True)
        np.multiply(np.asarray(changed), windows[:, None], out=columns[:, : self._channels])
        return columns

    @functools.cached_property
    def _spectra(self) -> np.ndarray:
        shape = (self._columns, self._channels, self._bins)
        return np.memmap(self._spectra_file, "<c8", mode="r", shape=shape)

    @functools.cached_property
    def _loudness(self) -> np.ndarray:
        shape = (self._columns, self._octave.stop - self._octave.start)
        return np.memmap(self._loudness_file, "<f4", mode="r", shape=shape)

    def _at_full_rate(self, low: Float[np.ndarray, "rows low"], samples: int) -> Float[np.ndarray, "rows samples"]:
        """Resamples to the rate of the recording, and removes the samples before its beginning."""
        full = low if self._factor == 1 else soxr.resample(low.T, 1, self._factor, quality="HQ").T
        full = full[:, -(self._begin + self._skipped) * self._factor :][:, :samples]
        return np.pad(full, ((0, 0), (0, samples - full.shape[1]))) if full.shape[1] < samples else full


def _read(recording: soundfile.SoundFile, begin: int, end: int) -> Float[np.ndarray, "channels samples"]:
    """Reads samples of a recording; those outside of it are zero."""
    inside = (max(0, begin), max(0, min(end, len(recording))))
    samples = np.zeros((recording.channels, end - begin), np.float32)
    if inside[0] < inside[1]:
        recording.seek(inside[0])
        read = recording.read(inside[1] - inside[0], dtype="float32", always_2d=True).T
        samples[:, inside[0] - begin : inside[0] - begin + read.shape[1]] = read
    return samples
