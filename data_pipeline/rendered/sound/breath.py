"""Adds the noise of breath or bow to the notes, and breaths before phrases."""

from collections.abc import Sequence

import numpy as np
import scipy.signal

from data_pipeline.rendered.sound.performance import CURVE_HZ, Played

_ATTACK_DB = 6.0
_ATTACK_S = 0.06
_PHRASE_PAUSE_S = 0.4
_BREATH_S = (0.15, 0.4)
_BREATH_PROBABILITY = 0.4


def add_breath(
    sound: np.ndarray,
    played: Sequence[Played],
    rng: np.random.Generator,
    *,
    level_db: float,
    middle_hz: float,
    breathes: bool,
    rate_hz: int,
) -> np.ndarray:
    """Adds band-limited noise that follows the notes.

    Args:
        sound: (samples,) float32 of the notes.
        played: The notes.
        rng: Random generator.
        level_db: Level relative to the notes.
        middle_hz: Middle of the noise's band, two octaves wide.
        breathes: Whether the player breathes in before phrases.
        rate_hz: Sample rate.

    Returns:
        (samples,) float32.
    """
    curve = np.zeros(int(sound.size / rate_hz * CURVE_HZ) + 2, dtype=np.float32)
    ended_s = 0.0
    for one in played:
        first, last = int(one.note.start_s * CURVE_HZ), int(one.note.end_s * CURVE_HZ) + 1
        time_s = np.arange(last - first) / CURVE_HZ
        level = np.interp(np.arange(last - first), np.arange(one.gain.size), one.gain) * one.note.velocity / 127
        level = level * (1 + (10 ** (_ATTACK_DB / 20) - 1) * np.exp(-time_s / _ATTACK_S))
        curve[first:last] = np.maximum(curve[first:last], level[: curve[first:last].size])
        pause_s = one.note.start_s - ended_s
        if breathes and pause_s > _PHRASE_PAUSE_S and rng.random() < _BREATH_PROBABILITY:
            length = int(min(rng.uniform(*_BREATH_S), pause_s) * CURVE_HZ)
            swell = np.sin(np.linspace(0, np.pi, length)) * rng.uniform(0.3, 1.5)
            curve[first - length : first] = np.maximum(curve[first - length : first], swell)
        ended_s = max(ended_s, one.note.end_s)
    band = np.array([middle_hz / 2, min(middle_hz * 2, 0.45 * rate_hz)])
    sections = scipy.signal.butter(1, band, "bandpass", fs=rate_hz, output="sos")
    noise = np.asarray(scipy.signal.sosfilt(sections, rng.standard_normal(sound.size, dtype=np.float32)))
    noise *= np.interp(np.arange(sound.size) * (CURVE_HZ / rate_hz), np.arange(curve.size), curve)
    scale = np.sqrt(np.mean(sound**2) / (np.mean(noise**2) + 1e-12)) * 10 ** (level_db / 20)
    return (sound + scale * noise).astype(np.float32)
