"""Compresses the dynamics of a recording, and clips it softly."""

import dataclasses

import numpy as np
import scipy.signal

# The gain is computed at this rate and interpolated.
_CONTROL_HZ = 1000


@dataclasses.dataclass(frozen=True)
class Compression:
    """Parameters of a feed-forward compressor.

    Attributes:
        threshold_db: Level relative to the root mean square of the recording, above which it is reduced.
        ratio: Decibels above the threshold for each decibel that remains.
        attack_s: Time constant with which the gain falls.
        release_s: Time constant with which the gain rises.
    """

    threshold_db: float
    ratio: float
    attack_s: float
    release_s: float


def compress(sound: np.ndarray, compression: Compression, *, rate_hz: int) -> np.ndarray:
    """Returns a sound with its loud parts reduced.

    Args:
        sound: (samples,) float32, not all zero.
        compression: Parameters.
        rate_hz: Sample rate.
    """
    step = rate_hz // _CONTROL_HZ
    count = -(-sound.size // step)
    energy = np.pad(sound, (0, count * step - sound.size)).reshape(count, step)
    level_db = 10 * np.log10(np.mean(energy**2, axis=1) + 1e-12) - 10 * np.log10(np.mean(sound**2) + 1e-12)
    wanted_db = -np.maximum(level_db - compression.threshold_db, 0) * (1 - 1 / compression.ratio)
    seconds = step / rate_hz
    fall, rise = (np.exp(-seconds / time_s) for time_s in (compression.attack_s, compression.release_s))
    # The gain follows a slow release of the lowest gains, smoothed by the attack.
    held = _release(wanted_db, float(rise))
    smooth_db = scipy.signal.lfilter([1 - fall], [1, -fall], held)
    gain = 10 ** (np.asarray(smooth_db) / 20)
    return (sound * np.interp(np.arange(sound.size), np.arange(count) * step, gain)).astype(np.float32)


def _release(wanted_db: np.ndarray, pole: float) -> np.ndarray:
    held = 0.0
    made = []
    for value in wanted_db.tolist():
        held = min(value, held * pole + value * (1 - pole))
        made.append(held)
    return np.array(made)


def clip_softly(sound: np.ndarray, drive_db: float) -> np.ndarray:
    """Returns a sound whose peaks are rounded off, as by an overdriven input.

    Args:
        sound: (samples,) float32.
        drive_db: Level of the sound's 99.9th percentile relative to the level at which the rounding is strong.
    """
    peak = float(np.quantile(np.abs(sound[::7]), 0.999)) + 1e-9
    drive = np.float32(10 ** (drive_db / 20) / peak)
    return np.tanh(sound * drive) / drive
