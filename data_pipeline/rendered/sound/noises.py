"""Background noises of recordings: hiss, mains hum, rumble, murmuring voices, applause."""

from collections.abc import Callable

import numpy as np
import scipy.fft

# Syllables of a speaker in a second.
_SYLLABLES_HZ = 4.0
_CLAP_S = 0.03


def make_noise(name: str, count: int, rng: np.random.Generator, *, rate_hz: int) -> np.ndarray:
    """Returns a noise of unit level.

    Args:
        name: One of `NOISES`.
        count: Number of samples.
        rng: Random generator.
        rate_hz: Sample rate.

    Returns:
        (samples,) float32 with a root mean square of 1; that of applause is 1 where it is loudest.
    """
    noise = NOISES[name](count, rng, rate_hz)
    return (noise / np.sqrt(np.mean(noise**2) + 1e-12)).astype(np.float32)


def _shape(count: int, rng: np.random.Generator, gain: Callable[[np.ndarray], np.ndarray], rate_hz: int) -> np.ndarray:
    """Returns noise with a given magnitude at each frequency."""
    size: int = scipy.fft.next_fast_len(count, real=True)  # pyright: ignore[reportAssignmentType]
    freq_hz = np.fft.rfftfreq(size, 1 / rate_hz).astype(np.float32)
    spectrum = rng.standard_normal(freq_hz.size, dtype=np.float32) + 1j * rng.standard_normal(
        freq_hz.size, dtype=np.float32
    )
    return np.asarray(scipy.fft.irfft(spectrum * gain(freq_hz), size))[:count]


def _hiss(count: int, rng: np.random.Generator, rate_hz: int) -> np.ndarray:
    slope = rng.uniform(-0.5, 0.5)  # from pinkish to bluish
    return _shape(count, rng, lambda freq_hz: (np.maximum(freq_hz, 50.0) / 1000) ** slope, rate_hz)


def _hum(count: int, rng: np.random.Generator, rate_hz: int) -> np.ndarray:
    mains_hz = float(rng.choice([50.0, 60.0])) + rng.normal(0, 0.05)
    phase = 2 * np.pi * mains_hz * np.arange(count) / rate_hz
    harmonics = int(rng.integers(3, 14))
    decay = rng.uniform(0.5, 1.6)
    return np.sum(
        [
            rng.uniform(0.2, 1) / k**decay * np.sin(k * phase + rng.uniform(0, 2 * np.pi))
            for k in range(1, harmonics + 1)
        ],
        axis=0,
    )


def _rumble(count: int, rng: np.random.Generator, rate_hz: int) -> np.ndarray:
    edge_hz = rng.uniform(40, 150)
    return _shape(count, rng, lambda freq_hz: 1 / (1 + (freq_hz / edge_hz) ** 2), rate_hz) * _wander(
        count, rng, rate_hz=rate_hz, per_second=0.7, depth=0.5
    )


def _babble(count: int, rng: np.random.Generator, rate_hz: int) -> np.ndarray:
    """Returns noise with the spectrum of speech, whose level follows the syllables of several speakers."""
    noise = np.zeros(count)
    for _ in range(int(rng.integers(1, 4))):
        formants_hz = (rng.uniform(350, 750), rng.uniform(1100, 1900), rng.uniform(2300, 3000))

        def gain(freq_hz: np.ndarray, formants_hz: tuple[float, ...] = formants_hz) -> np.ndarray:
            voices = [np.exp(-0.5 * ((freq_hz - f) / (0.25 * f)) ** 2) / (1 + k) for k, f in enumerate(formants_hz)]
            return np.sum(voices, axis=0) + 0.05 / (1 + (freq_hz / 1000) ** 2)

        speech = _shape(count, rng, gain, rate_hz)
        noise += speech * _wander(count, rng, rate_hz=rate_hz, per_second=_SYLLABLES_HZ, depth=1.0)
    return noise


def _wander(count: int, rng: np.random.Generator, *, rate_hz: int, per_second: float, depth: float) -> np.ndarray:
    """Returns a slowly changing factor from `1 - depth` to 1."""
    points = max(int(count / rate_hz * per_second * 2), 2) + 2
    level = 1 - depth * rng.random(points)
    return np.interp(np.linspace(0, points - 1, count), np.arange(points), level)


def _applause(count: int, rng: np.random.Generator, rate_hz: int) -> np.ndarray:
    """Returns the claps of a dozen or more people at the end, or sometimes at the start, of a recording."""
    seconds = count / rate_hz
    length_s = min(float(rng.uniform(1.5, 5.0)), 0.3 * seconds)
    at_end = rng.random() < 0.7
    time_s = np.arange(round(_CLAP_S * rate_hz)) / rate_hz
    claps = np.zeros(count)
    for _ in range(int(rng.integers(8, 60))):
        rate = rng.uniform(3.0, 5.5)
        tone_hz, gain = rng.uniform(700, 2400), rng.uniform(0.2, 1)
        clap = np.exp(-time_s / 0.005) * (
            rng.standard_normal(time_s.size) * (0.4 + np.cos(2 * np.pi * tone_hz * time_s))
        )
        for at_s in np.arange(rng.uniform(0, 1), length_s, 1 / rate):
            first = int((at_s + rng.normal(0, 0.012) + (seconds - length_s) * at_end) * rate_hz)
            if 0 <= first < count - clap.size:
                claps[first : first + clap.size] += gain * rng.uniform(0.7, 1.1) * clap
    ramp = np.clip(np.arange(count) / rate_hz - (seconds - length_s), 0, 1) if at_end else np.ones(count)
    if not at_end:
        ramp = np.clip(length_s - np.arange(count) / rate_hz, 0, 1)
    sounding = length_s / seconds
    return claps * ramp / np.sqrt(np.mean((claps * ramp) ** 2) / sounding + 1e-12)


NOISES: dict[str, Callable[[int, np.random.Generator, int], np.ndarray]] = {
    "hiss": _hiss,
    "hum": _hum,
    "rumble": _rumble,
    "babble": _babble,
    "applause": _applause,
}
