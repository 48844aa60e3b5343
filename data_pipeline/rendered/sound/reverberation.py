"""Simulates room and microphone: tilt of the spectrum, reverberation, noise, level."""

import dataclasses
from typing import NamedTuple

import numpy as np
import scipy.fft

PEAK_LIMIT_DBFS = -2.0
_TILT_PIVOT_HZ = 1000.0
# Outside of this band the gain is constant, which limits rumble and hiss.
_TILT_BAND_HZ = (80.0, 12_000.0)


class Peak(NamedTuple):
    """A peak of an equaliser (a dip below 0 dB), bell-shaped over octaves."""

    middle_hz: float
    decibels: float
    octaves: float


@dataclasses.dataclass(frozen=True)
class Room:
    """One recording situation.

    Attributes:
        cents: Deviation of the instrument from 440 Hz, in hundredths of a semitone.
        tilt_db_per_octave: Slope of the equaliser around 1 kHz.
        reverb_seconds: Time in which the reverberation falls by 60 dB.
        reverb_level: Energy of the reverberation relative to the direct sound.
        noise_dbfs: Level of the room noise (root mean square).
        level_dbfs: Level of the result (root mean square), unless its peaks require a lower one.
        peaks: Peaks of the equaliser, in addition to its tilt.
    """

    cents: float
    tilt_db_per_octave: float
    reverb_seconds: float
    reverb_level: float
    noise_dbfs: float
    level_dbfs: float
    peaks: tuple[Peak, ...] = ()


@dataclasses.dataclass(frozen=True)
class RoomRanges:
    """Smallest and largest values of the fields of `Room`; the defaults give moderate differences between solos.

    Attributes:
        cents: See `Room`.
        tilt_db_per_octave: See `Room`.
        reverb_seconds: See `Room`.
        reverb_level: See `Room`.
        noise_dbfs: See `Room`.
        level_dbfs: See `Room`.
        peaks: Number of the equaliser's peaks and dips.
        peak_db: Greatest height of a peak.
    """

    cents: tuple[float, float] = (-20, 20)
    tilt_db_per_octave: tuple[float, float] = (-1.0, 1.0)
    reverb_seconds: tuple[float, float] = (0.15, 0.5)
    reverb_level: tuple[float, float] = (0.02, 0.12)
    noise_dbfs: tuple[float, float] = (-63, -57)
    level_dbfs: tuple[float, float] = (-23.5, -16)
    peaks: int = 0
    peak_db: float = 0.0


def choose_room(rng: np.random.Generator, ranges: RoomRanges = RoomRanges()) -> Room:
    """Draws a recording situation."""
    situation = Room(
        cents=float(rng.uniform(*ranges.cents)),
        tilt_db_per_octave=float(rng.uniform(*ranges.tilt_db_per_octave)),
        reverb_seconds=float(rng.uniform(*ranges.reverb_seconds)),
        reverb_level=float(rng.uniform(*ranges.reverb_level)),
        noise_dbfs=float(rng.uniform(*ranges.noise_dbfs)),
        level_dbfs=float(rng.uniform(*ranges.level_dbfs)),
    )
    return dataclasses.replace(situation, peaks=tuple(_choose_peak(rng, ranges) for _ in range(ranges.peaks)))


def record(sound: np.ndarray, room: Room, rng: np.random.Generator, *, rate_hz: int) -> np.ndarray:
    """Applies a room to a dry sound.

    Args:
        sound: (samples,) float32 mono, any level, not all zero.
        room: Room from `choose_room`.
        rng: Random generator of echoes and noise.
        rate_hz: Sample rate.

    Returns:
        (samples,) float32; root mean square at `room.level_dbfs` or below, peaks at most `PEAK_LIMIT_DBFS`.
    """
    echo = _echo(room, rng, rate_hz=rate_hz)
    size: int = scipy.fft.next_fast_len(sound.size + echo.size - 1, real=True)  # pyright: ignore[reportAssignmentType]
    freq_hz = np.fft.rfftfreq(size, 1 / rate_hz).astype(np.float32)
    response = np.asarray(scipy.fft.rfft(echo, size)) * equaliser_gain(room, freq_hz)
    spectrum = np.asarray(scipy.fft.rfft(sound, size)) * response
    wet = np.asarray(scipy.fft.irfft(spectrum, size))[: sound.size]
    level = np.sqrt(np.mean(wet**2))
    gain = 10 ** (room.level_dbfs / 20) / level
    gain = min(gain, 10 ** (PEAK_LIMIT_DBFS / 20) / np.abs(wet).max())
    noise = room_noise(sound.size, rng) * 10 ** (room.noise_dbfs / 20)
    peak = 10 ** (PEAK_LIMIT_DBFS / 20)
    return np.clip(wet * gain + noise, -peak, peak).astype(np.float32)


def equaliser_gain(room: Room, freq_hz: np.ndarray) -> np.ndarray:
    """Returns the gain at each frequency."""
    octaves = np.log2(np.clip(freq_hz, *_TILT_BAND_HZ) / _TILT_PIVOT_HZ)
    gain = np.exp2(octaves * _octaves(room.tilt_db_per_octave))
    for peak in room.peaks:
        off = (octaves - np.log2(peak.middle_hz / _TILT_PIVOT_HZ)) / peak.octaves
        gain = gain * np.exp2(_octaves(peak.decibels) * np.exp(-0.5 * off**2))
    return gain


def _choose_peak(rng: np.random.Generator, ranges: RoomRanges) -> Peak:
    middle_hz = _TILT_PIVOT_HZ * 2 ** float(rng.uniform(-2.5, 2.5))
    return Peak(middle_hz, ranges.peak_db * float(rng.uniform(-1, 1)), float(rng.uniform(0.3, 1.2)))


def _echo(room: Room, rng: np.random.Generator, *, rate_hz: int) -> np.ndarray:
    """Returns an impulse response: the direct sound, and decaying noise after a few milliseconds."""
    count = round(room.reverb_seconds * rate_hz)
    decay = 10 ** (-3 * np.arange(count, dtype=np.float32) / count)
    tail = rng.standard_normal(count, dtype=np.float32) * decay
    tail[: round(0.008 * rate_hz)] = 0
    tail *= np.sqrt(room.reverb_level / np.sum(tail**2))
    tail[0] = 1.0
    return tail


def room_noise(count: int, rng: np.random.Generator) -> np.ndarray:
    """Returns noise of unit level with less treble than white noise, like that of a room."""
    white = rng.standard_normal(count + 1, dtype=np.float32)
    return (white[1:] + np.float32(0.9) * white[:-1]) / np.float32(np.hypot(1, 0.9))


def _octaves(decibels: float) -> np.float32:
    """Converts a gain in decibels to an exponent of two."""
    return np.float32(decibels / (20 * np.log10(2)))
