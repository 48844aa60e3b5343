"""Draws and simulates a recording: room, microphone, background noises, compressor, clipping, codec."""

import dataclasses
from collections.abc import Mapping

import numpy as np
import scipy.fft

from data_pipeline.rendered.sound import compressor, noises, reverberation
from data_pipeline.rendered.sound.codec import CODECS, Codec, encode_and_decode, has_codec
from data_pipeline.rendered.sound.compressor import Compression
from data_pipeline.rendered.sound.reverberation import PEAK_LIMIT_DBFS, Peak, Room
from data_pipeline.rendered.sound.room_response import Space, make_response


@dataclasses.dataclass(frozen=True)
class Microphone:
    """A microphone with its input.

    Attributes:
        low_cut_hz: Frequency below which it is less sensitive.
        high_cut_hz: Frequency above which it is less sensitive.
        order: Order of both filters; each adds 6 dB per octave.
        resonances: Peaks of its frequency response.
    """

    low_cut_hz: float
    high_cut_hz: float
    order: int
    resonances: tuple[Peak, ...]


@dataclasses.dataclass(frozen=True)
class Recording:
    """One recording situation, besides tuning, equaliser and levels in `Room`.

    Attributes:
        space: Room; None for a dry recording.
        microphone_kind: Key of `RecordingRanges.microphones`.
        microphone: Its frequency response.
        noises: (name, level in decibels relative to the instrument) of each background noise.
        compression: Compressor; None for none.
        clip_db: Drive of soft clipping; None for none.
        codec: Lossy encoding; None for none.
    """

    space: Space | None
    microphone_kind: str
    microphone: Microphone
    noises: tuple[tuple[str, float], ...]
    compression: Compression | None
    clip_db: float | None
    codec: Codec | None


@dataclasses.dataclass(frozen=True)
class MicrophoneRanges:
    """Probability and ranges of a kind of microphones; frequencies in hertz, see `Microphone`."""

    probability: float
    low_cut_hz: tuple[float, float]
    high_cut_hz: tuple[float, float]
    order: tuple[int, int]
    resonances: tuple[int, int]
    resonance_db: float


_MICROPHONES = {
    "studio": MicrophoneRanges(0.35, (20, 60), (15_000, 20_000), (1, 2), (0, 2), 3),
    "camera": MicrophoneRanges(0.3, (60, 200), (8_000, 15_000), (1, 3), (1, 4), 7),
    "phone": MicrophoneRanges(0.25, (100, 300), (5_000, 12_000), (2, 4), (1, 5), 9),
    "telephone": MicrophoneRanges(0.1, (200, 400), (3_000, 4_500), (3, 6), (0, 3), 6),
}


@dataclasses.dataclass(frozen=True)
class RecordingRanges:
    """Probabilities and ranges of the fields of `Recording`.

    Attributes:
        dry: Probability of a recording without a room.
        size_m: See `Space`; drawn with equal probability in every octave.
        decay_s: See `Space`; drawn with equal probability in every octave.
        bass_factor: See `Space`.
        treble_factor: See `Space`.
        early_db: See `Space`.
        tail_db: See `Space`; distant microphones have high values.
        reflections: See `Space`.
        microphones: Kinds of microphones.
        noises: Probability and levels, in decibels relative to the instrument, of each noise in `noises.NOISES`.
        compression: Probability of a compressor.
        threshold_db: See `Compression`.
        ratio: See `Compression`; drawn with equal probability in every octave.
        attack_s: See `Compression`; likewise.
        release_s: See `Compression`; likewise.
        clip: Probability of soft clipping.
        clip_db: See `compressor.clip_softly`.
        codec: Probability of a lossy encoding.
        bit_rates: Choices of kilobits per second of each codec, for the choices of its sample rate.
    """

    dry: float = 0.12
    size_m: tuple[float, float] = (1.5, 25.0)
    decay_s: tuple[float, float] = (0.15, 4.0)
    bass_factor: tuple[float, float] = (0.7, 1.3)
    treble_factor: tuple[float, float] = (0.2, 0.8)
    early_db: tuple[float, float] = (-22, -2)
    tail_db: tuple[float, float] = (-26, 2)
    reflections: tuple[int, int] = (0, 24)
    microphones: Mapping[str, MicrophoneRanges] = dataclasses.field(default_factory=lambda: _MICROPHONES)
    noises: Mapping[str, tuple[float, tuple[float, float]]] = dataclasses.field(
        default_factory=lambda: {
            "hiss": (0.6, (-60, -24)),
            "hum": (0.2, (-55, -24)),
            "rumble": (0.35, (-50, -18)),
            "babble": (0.12, (-50, -24)),
            "applause": (0.08, (-30, -4)),
        }
    )
    compression: float = 0.35
    threshold_db: tuple[float, float] = (-18, 2)
    ratio: tuple[float, float] = (1.5, 10)
    attack_s: tuple[float, float] = (0.002, 0.05)
    release_s: tuple[float, float] = (0.05, 0.8)
    clip: float = 0.12
    clip_db: tuple[float, float] = (-6, 9)
    codec: float = 0.4
    bit_rates: Mapping[str, Mapping[int, tuple[int, ...]]] = dataclasses.field(
        default_factory=lambda: {
            "aac": {44_100: (48, 64, 96), 22_050: (24, 32, 48)},
            "mp3": {44_100: (48, 64, 96), 22_050: (24, 32, 48)},
            "opus": {48_000: (16, 24, 32, 48), 16_000: (12, 16, 24)},
        }
    )


def choose_recording(rng: np.random.Generator, ranges: RecordingRanges) -> Recording:
    """Draws a recording situation; the codec is one that the FFmpeg libraries have."""
    space = None if rng.random() < ranges.dry else _choose_space(rng, ranges)
    kinds = list(ranges.microphones)
    shares = np.array([ranges.microphones[kind].probability for kind in kinds])
    kind = kinds[int(rng.choice(len(kinds), p=shares / shares.sum()))]
    heard = []
    for name, (probability, levels_db) in ranges.noises.items():
        draw, level_db = rng.random(), float(rng.uniform(*levels_db))
        if draw < probability:
            heard.append((name, level_db))
    compression = None
    if rng.random() < ranges.compression:
        compression = Compression(
            threshold_db=float(rng.uniform(*ranges.threshold_db)),
            ratio=_in_octaves(rng, ranges.ratio),
            attack_s=_in_octaves(rng, ranges.attack_s),
            release_s=_in_octaves(rng, ranges.release_s),
        )
    return Recording(
        space=space,
        microphone_kind=kind,
        microphone=_choose_microphone(rng, ranges.microphones[kind]),
        noises=tuple(heard),
        compression=compression,
        clip_db=float(rng.uniform(*ranges.clip_db)) if rng.random() < ranges.clip else None,
        codec=_choose_codec(rng, ranges) if rng.random() < ranges.codec else None,
    )


def _choose_space(rng: np.random.Generator, ranges: RecordingRanges) -> Space:
    return Space(
        size_m=_in_octaves(rng, ranges.size_m),
        decay_s=_in_octaves(rng, ranges.decay_s),
        bass_factor=float(rng.uniform(*ranges.bass_factor)),
        treble_factor=float(rng.uniform(*ranges.treble_factor)),
        early_db=float(rng.uniform(*ranges.early_db)),
        tail_db=float(rng.uniform(*ranges.tail_db)),
        reflections=int(rng.integers(ranges.reflections[0], ranges.reflections[1] + 1)),
    )


def _choose_microphone(rng: np.random.Generator, ranges: MicrophoneRanges) -> Microphone:
    count = int(rng.integers(ranges.resonances[0], ranges.resonances[1] + 1))
    resonances = tuple(
        Peak(
            float(np.exp(rng.uniform(np.log(150), np.log(9000)))),
            ranges.resonance_db * float(rng.uniform(-1, 1)),
            float(rng.uniform(0.08, 0.6)),
        )
        for _ in range(count)
    )
    return Microphone(
        low_cut_hz=_in_octaves(rng, ranges.low_cut_hz),
        high_cut_hz=_in_octaves(rng, ranges.high_cut_hz),
        order=int(rng.integers(ranges.order[0], ranges.order[1] + 1)),
        resonances=resonances,
    )


def _choose_codec(rng: np.random.Generator, ranges: RecordingRanges) -> Codec | None:
    name = list(CODECS)[int(rng.integers(len(CODECS)))]
    rates = list(ranges.bit_rates[name])
    rate_hz = rates[int(rng.integers(len(rates)))]
    choices = ranges.bit_rates[name][rate_hz]
    kilobits = choices[int(rng.integers(len(choices)))]
    return Codec(name, kilobits, rate_hz) if has_codec(name) else None


def _in_octaves(rng: np.random.Generator, edges: tuple[float, float]) -> float:
    return float(np.exp(rng.uniform(*np.log(edges))))


def record(
    sound: np.ndarray, room: Room, recording: Recording, rng: np.random.Generator, *, rate_hz: int
) -> np.ndarray:
    """Simulates a recording.

    Args:
        sound: (samples,) float32 mono of the instrument, not all zero.
        room: Equaliser, noise of the room and level; its reverberation is not used.
        recording: The other parts of the situation.
        rng: Random generator of reflections and noises.
        rate_hz: Sample rate.

    Returns:
        (samples,) float32; root mean square at `room.level_dbfs` or below, peaks at most `PEAK_LIMIT_DBFS`.
    """
    response = np.ones(1, np.float32)
    if recording.space is not None:
        response = make_response(recording.space, rng, rate_hz=rate_hz)
    level = np.sqrt(np.mean(sound**2))
    background = np.zeros_like(sound)
    for name, level_db in recording.noises:
        gain = np.float32(level * 10 ** (level_db / 20))
        background += gain * noises.make_noise(name, sound.size, rng, rate_hz=rate_hz)
    heard = _filter(sound, background, response, room, recording.microphone, rate_hz=rate_hz)
    if recording.compression is not None:
        heard = compressor.compress(heard, recording.compression, rate_hz=rate_hz)
    if recording.clip_db is not None:
        heard = compressor.clip_softly(heard, recording.clip_db)
    heard = heard + level * 10 ** ((room.noise_dbfs - room.level_dbfs) / 20) * reverberation.room_noise(heard.size, rng)
    peak = 10 ** (PEAK_LIMIT_DBFS / 20)
    heard *= min(10 ** (room.level_dbfs / 20) / np.sqrt(np.mean(heard**2)), peak / np.abs(heard).max())
    if recording.codec is not None:
        heard = encode_and_decode(heard.astype(np.float32), recording.codec, rate_hz=rate_hz)
    return np.clip(heard, -peak, peak).astype(np.float32)


def _filter(
    sound: np.ndarray,
    background: np.ndarray,
    response: np.ndarray,
    room: Room,
    microphone: Microphone,
    *,
    rate_hz: int,
) -> np.ndarray:
    """Returns the instrument in the room and the background, both through equaliser and microphone."""
    # A cut of 50 ms at the end keeps the filters from wrapping around.
    size: int = scipy.fft.next_fast_len(sound.size + response.size + rate_hz // 20, real=True)  # pyright: ignore[reportAssignmentType]
    freq_hz = np.fft.rfftfreq(size, 1 / rate_hz).astype(np.float32)
    spectrum = np.asarray(scipy.fft.rfft(sound, size))
    if response.size > 1:
        spectrum *= np.asarray(scipy.fft.rfft(response, size))
    spectrum += np.asarray(scipy.fft.rfft(background, size))
    spectrum *= reverberation.equaliser_gain(room, freq_hz) * _sensitivity(microphone, freq_hz)
    return np.asarray(scipy.fft.irfft(spectrum, size))[: sound.size]


def _sensitivity(microphone: Microphone, freq_hz: np.ndarray) -> np.ndarray:
    """Returns the gain of a microphone at each frequency, without changes of phase."""
    low = np.maximum(freq_hz, 1.0) / microphone.low_cut_hz
    high = freq_hz / microphone.high_cut_hz
    gain = 1 / np.sqrt((1 + low ** (-2 * microphone.order)) * (1 + high ** (2 * microphone.order)))
    octaves = np.log2(np.maximum(freq_hz, 20.0))
    for peak in microphone.resonances:
        off = (octaves - np.log2(peak.middle_hz)) / peak.octaves
        gain = gain * 10 ** (peak.decibels / 20 * np.exp(-0.5 * off**2))
    return gain.astype(np.float32)
