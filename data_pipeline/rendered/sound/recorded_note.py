"""Reads a recorded note and prepares it: no silence before it, its true pitch, an even level, a loop to sustain it."""

import dataclasses
import functools
import pathlib

import numpy as np
import soundfile
import soxr

from data_pipeline.command import InputError
from data_pipeline.media.errors import MediaError
from data_pipeline.media.reader import read_audio

RATE_HZ = 44_100
_LONGEST_S = 6.0
# The onset is where the level first exceeds this share of its maximum.
_ONSET_SHARE = 0.05
_BEFORE_ONSET_S = 0.004
_LEVEL = 0.1
_LOOP_FADE_S = 0.06
# Some recordings are named after a neighbouring semitone.
_MISTUNED_CENTS = 140
# Vibrato spreads the energy over about this width, and its extremes are stronger than its middle.
_VIBRATO_CENTS = 41


@dataclasses.dataclass(frozen=True)
class RecordedNote:
    """A recorded note that is ready to be played.

    Attributes:
        pitch: MIDI pitch that was measured, with its fraction.
        samples: (samples,) float32 at `RATE_HZ` from the onset, at an even level.
        loop: First sample of the part that repeats to sustain the note; its end is the end of the samples. None for
            notes that die away.
    """

    pitch: float
    samples: np.ndarray
    loop: int | None

    def sustain(self, count: int) -> np.ndarray:
        """Returns at least `count` samples if the note can be sustained; the joints are already faded."""
        if self.loop is None or count <= self.samples.size:
            return self.samples
        period = self.samples[self.loop :]
        repeats = -(-(count - self.samples.size) // period.size)
        return np.concatenate([self.samples, *[period] * repeats])


@functools.lru_cache(maxsize=160)
def read_note(path: pathlib.Path, pitch: int, *, sustained: bool) -> RecordedNote:
    """Reads and prepares a recording; cached per process.

    Args:
        path: Audio file.
        pitch: MIDI pitch that its name says.
        sustained: Whether the instrument can hold a note, so that a loop is made.

    Raises:
        InputError: The file is damaged or silent.
    """
    samples = _trim(path, _read(path))
    cents = measure_cents(samples, 440.0 * 2 ** ((pitch - 69) / 12))
    loudest = np.sqrt(np.max(_energy(samples[: 2 * RATE_HZ])))
    samples = (samples * (_LEVEL / loudest)).astype(np.float32)
    loop = None
    if sustained:
        samples, loop = _make_loop(samples)
    return RecordedNote(pitch + cents / 100, samples, loop)


def measure_cents(samples: np.ndarray, nominal_hz: float) -> float:
    """Returns the deviation of a sound's pitch from a nominal one in cents, or 0 when it cannot be determined.

    The deviation is the one at which the first six harmonics have the largest magnitude.

    Args:
        samples: (samples,) at `RATE_HZ`, from the onset.
        nominal_hz: Frequency near that of the sound.
    """
    part = samples[round(0.05 * RATE_HZ) : round(1.55 * RATE_HZ)]
    if part.size < 0.1 * RATE_HZ:
        return 0.0
    size = 1 << 18
    magnitude = np.abs(np.fft.rfft(part * np.hanning(part.size), size))
    cents = np.arange(-_MISTUNED_CENTS, _MISTUNED_CENTS + 1)
    bins = nominal_hz * 2 ** (cents / 1200) * size / RATE_HZ
    score = np.sum([np.interp(bins * k, np.arange(magnitude.size), magnitude) for k in range(1, 7)], axis=0)
    score = np.convolve(score, np.hanning(_VIBRATO_CENTS), mode="same")
    best = int(np.argmax(score))
    return float(cents[best]) if 0 < best < cents.size - 1 else 0.0


def _read(path: pathlib.Path) -> np.ndarray:
    """Returns the beginning of an audio file as (samples,) float32 mono at `RATE_HZ`."""
    try:
        if path.suffix.lower() == ".m4a":
            return read_audio(path, RATE_HZ)[: round(2 * _LONGEST_S * RATE_HZ)]
        with soundfile.SoundFile(path) as file:
            rate_hz = file.samplerate
            frames = file.read(round(2 * _LONGEST_S * rate_hz), dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, MediaError) as error:
        raise InputError(f"{path} cannot be read as audio ({error}); replace or remove it") from error
    mono = frames.mean(axis=1)
    return mono if rate_hz == RATE_HZ else soxr.resample(mono, rate_hz, RATE_HZ)


def _energy(samples: np.ndarray) -> np.ndarray:
    """Returns the mean square of each window of 10 ms."""
    step = RATE_HZ // 100
    windows = max(samples.size // step, 1)
    padded = np.pad(samples, (0, max(0, step - samples.size)))
    return np.mean(padded[: windows * step].reshape(windows, step) ** 2, axis=1)


def _trim(path: pathlib.Path, samples: np.ndarray) -> np.ndarray:
    """Returns the note from its onset, at most `_LONGEST_S`, without the silence after it."""
    energy = _energy(samples)
    if not np.isfinite(energy).all() or energy.max() < 1e-8:
        raise InputError(f"{path} is silent or damaged; replace or remove it")
    loud = np.flatnonzero(energy > _ONSET_SHARE**2 * energy.max())
    audible = np.flatnonzero(energy > 1e-5 * energy.max())
    step = RATE_HZ // 100
    first = max(int(loud[0]) * step - round(_BEFORE_ONSET_S * RATE_HZ), 0)
    last = min((int(audible[-1]) + 1) * step, first + round(_LONGEST_S * RATE_HZ))
    trimmed = samples[first:last].copy()
    fade = min(round(_BEFORE_ONSET_S * RATE_HZ), trimmed.size)
    trimmed[:fade] *= np.linspace(0, 1, fade, dtype=np.float32)
    return trimmed


def _make_loop(samples: np.ndarray) -> tuple[np.ndarray, int | None]:
    """Cuts a note before it dies away and makes its end continue at an earlier place.

    Returns:
        The samples, and the first one of the part that repeats; None for a note that is too short.
    """
    energy = _energy(samples)
    step, fade = RATE_HZ // 100, round(_LOOP_FADE_S * RATE_HZ)
    steady = np.flatnonzero(energy > 0.2 * np.median(energy[energy > 0.1 * energy.max()]))
    end = (int(steady[-1]) + 1) * step
    earliest = max(round(0.2 * end), min(round(0.15 * RATE_HZ), end // 3))
    if end - earliest < 4 * fade:
        return samples, None
    # The place whose sound is most similar to the end is found in the first half of the steady part.
    tail = samples[end - fade : end]
    places = samples[earliest : earliest + (end - earliest) // 2 + fade]
    size = 1 << int(np.ceil(np.log2(places.size + fade)))
    product = np.fft.rfft(places, size) * np.conj(np.fft.rfft(tail, size))
    likeness = np.fft.irfft(product, size)[: places.size - fade]
    power = np.concatenate([[0.0], np.cumsum(places.astype(np.float64) ** 2)])
    likeness /= np.sqrt(power[fade : fade + likeness.size] - power[: likeness.size] + 1e-9)
    place = earliest + int(np.argmax(likeness))
    ramp = np.linspace(0, 1, fade, dtype=np.float32)
    joined = samples[:end].copy()
    joined[end - fade :] = tail * (1 - ramp) + samples[place : place + fade] * ramp
    return joined, place + fade
