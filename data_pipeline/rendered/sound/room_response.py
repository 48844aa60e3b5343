"""Impulse responses of rooms: the direct sound, sparse early reflections, and a tail whose treble decays faster."""

import dataclasses

import numpy as np
import scipy.fft

# Edges of the bands of the tail in hertz. Each band decays at its own pace.
_BAND_EDGES_HZ = (250.0, 1000.0, 4000.0)
_SPEED_M_PER_S = 343.0


@dataclasses.dataclass(frozen=True)
class Space:
    """A room and the places of player and microphone.

    Attributes:
        size_m: Typical distance between walls.
        decay_s: Time in which the reverberation falls by 60 dB, at 250 to 1000 Hz.
        bass_factor: Factor of this time below 250 Hz.
        treble_factor: Factor of this time above 4 kHz; between 1 and 4 kHz it is its square root.
        early_db: Energy of the early reflections relative to the direct sound.
        tail_db: Energy of the tail relative to the direct sound.
        reflections: Number of early reflections.
    """

    size_m: float
    decay_s: float
    bass_factor: float
    treble_factor: float
    early_db: float
    tail_db: float
    reflections: int


def make_response(space: Space, rng: np.random.Generator, *, rate_hz: int) -> np.ndarray:
    """Returns the impulse response of a room.

    Args:
        space: The room.
        rng: Random generator of the reflections.
        rate_hz: Sample rate.

    Returns:
        (samples,) float32 that begins with the direct sound, 1.
    """
    first_s = space.size_m / _SPEED_M_PER_S
    count = round((space.decay_s * max(space.bass_factor, 1.0) + 2 * first_s) * rate_hz) + 1
    response = _tail(space, rng, count=count, rate_hz=rate_hz)
    # The tail grows while the reflections become dense.
    rise = round(first_s * rate_hz)
    response[:rise] *= np.linspace(0, 1, rise, dtype=np.float32) ** 2
    response *= np.sqrt(10 ** (space.tail_db / 10) / (np.sum(response**2) + 1e-12))
    if space.reflections:
        times_s = first_s * rng.uniform(0.25, 3.0, space.reflections)
        gains = rng.choice([-1.0, 1.0], space.reflections) * first_s / (times_s + first_s)
        gains *= np.sqrt(10 ** (space.early_db / 10) / np.sum(gains**2))
        np.add.at(response, np.minimum(np.round(times_s * rate_hz).astype(int) + 1, count - 1), gains)
    response[0] = 1.0
    return response.astype(np.float32)


def _tail(space: Space, rng: np.random.Generator, *, count: int, rate_hz: int) -> np.ndarray:
    size: int = scipy.fft.next_fast_len(count, real=True)  # pyright: ignore[reportAssignmentType]
    spectrum = np.asarray(scipy.fft.rfft(rng.standard_normal(size, dtype=np.float32)))
    freq_hz = np.fft.rfftfreq(size, 1 / rate_hz)
    factors = (space.bass_factor, 1.0, np.sqrt(space.treble_factor), space.treble_factor)
    band = np.searchsorted(_BAND_EDGES_HZ, freq_hz)
    time_s = np.arange(count, dtype=np.float32) / rate_hz
    tail = np.zeros(count, dtype=np.float32)
    for k, factor in enumerate(factors):
        part = np.asarray(scipy.fft.irfft(np.where(band == k, spectrum, 0), size))[:count]
        tail += part * np.exp(-6.9078 / (space.decay_s * factor) * time_s).astype(np.float32)
    return tail
