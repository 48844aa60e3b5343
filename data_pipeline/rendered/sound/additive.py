"""A small additive synthesiser, used where no soundfont renderer can be installed.

Every note is a sum of partials with an attack, a decay or a sustain, a release, and vibrato for instruments that have
it. The timbres are distinct enough for a network but not realistic.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from data_pipeline.rendered.sound.compose import Note

VERSION = "1"


@dataclasses.dataclass(frozen=True)
class Timbre:
    """Parameters of the notes of an instrument.

    Attributes:
        partials: Amplitudes of the partials 1, 2, 3, ...
        attack_s: Seconds from silence to full level.
        half_life_s: Seconds in which a struck or plucked note falls to half its level; None for a sustained one.
        release_s: Seconds from the note's end to silence.
        vibrato_cents: Depth of the vibrato.
        breath: Level of noise relative to the tone.
        stretches: Frequencies of the partials relative to the fundamental; None for 1, 2, 3, ...
    """

    partials: tuple[float, ...]
    attack_s: float
    half_life_s: float | None
    release_s: float
    vibrato_cents: float = 0.0
    breath: float = 0.0
    stretches: tuple[float, ...] | None = None


_TIMBRES = {
    "accordion": Timbre((1, 0.8, 0.6, 0.55, 0.4, 0.35, 0.2, 0.2), 0.04, None, 0.05, 4.0),
    "acoustic_guitar": Timbre((1, 0.6, 0.45, 0.25, 0.16, 0.1, 0.05), 0.004, 0.45, 0.08),
    "cello": Timbre((1, 0.9, 0.7, 0.5, 0.45, 0.3, 0.25, 0.15, 0.1), 0.08, None, 0.1, 14.0, 0.01),
    "clarinet": Timbre((1, 0.04, 0.7, 0.05, 0.45, 0.06, 0.25, 0.05, 0.1), 0.03, None, 0.05, 2.0, 0.01),
    "erhu": Timbre((0.7, 1, 0.4, 0.7, 0.35, 0.4, 0.2, 0.15), 0.06, None, 0.08, 26.0, 0.02),
    "flute": Timbre((1, 0.35, 0.12, 0.05, 0.02), 0.05, None, 0.06, 8.0, 0.05),
    "saxophone": Timbre((0.8, 1, 0.85, 0.5, 0.4, 0.35, 0.2, 0.12), 0.035, None, 0.06, 10.0, 0.03),
    "trumpet": Timbre((0.6, 0.8, 1, 0.9, 0.75, 0.6, 0.45, 0.3, 0.2), 0.025, None, 0.05, 5.0),
    "tuba": Timbre((1, 0.8, 0.5, 0.3, 0.15, 0.07), 0.05, None, 0.08, 2.0, 0.01),
    "violin": Timbre((0.8, 0.7, 0.8, 0.5, 0.55, 0.35, 0.3, 0.25, 0.15, 0.1), 0.06, None, 0.08, 18.0, 0.01),
    "xylophone": Timbre((1, 0.45, 0.15), 0.002, 0.07, 0.15, stretches=(1.0, 3.93, 9.2)),
}


def synthesise_additive(
    name: str, notes: Sequence[Note], rng: np.random.Generator, *, seconds: float, rate_hz: int, cents: float
) -> np.ndarray:
    """Renders notes with partials.

    Args:
        name: Class name of the instrument.
        notes: Notes to play, within `seconds`.
        rng: Random generator of breath noise and phases.
        seconds: Length of the sound.
        rate_hz: Sample rate.
        cents: Tuning of the instrument, in hundredths of a semitone.

    Returns:
        (samples,) float32 mono, not normalised.
    """
    timbre = _TIMBRES[name]
    sound = np.zeros(round(seconds * rate_hz), dtype=np.float32)
    for note in notes:
        first = round(note.start_s * rate_hz)
        tone = _tone(timbre, note, rng, rate_hz=rate_hz, cents=cents)[: sound.size - first]
        sound[first : first + tone.size] += tone
    return sound


def _tone(timbre: Timbre, note: Note, rng: np.random.Generator, *, rate_hz: int, cents: float) -> np.ndarray:
    held_s = note.end_s - note.start_s
    time_s = np.arange(round((held_s + timbre.release_s) * rate_hz), dtype=np.float32) / rate_hz
    base_hz = 440.0 * 2 ** ((note.pitch - 69 + cents / 100) / 12)
    # Vibrato grows in the first third of a second; its integral is small enough to use the depth directly.
    depth = timbre.vibrato_cents / 1200 * np.log(2) * np.minimum(time_s / 0.3, 1)
    wobble = depth * np.sin(2 * np.pi * 5.5 * time_s) / (2 * np.pi * 5.5)
    phase = 2 * np.pi * base_hz * (time_s + wobble)
    stretches = timbre.stretches or tuple(range(1, len(timbre.partials) + 1))
    tone = np.zeros_like(time_s)
    for stretch, amplitude in zip(stretches, timbre.partials, strict=True):
        if stretch * base_hz < 0.45 * rate_hz:
            tone += amplitude * np.sin(stretch * phase + rng.uniform(0, 2 * np.pi)).astype(np.float32)
    if timbre.breath:
        tone += timbre.breath * rng.standard_normal(time_s.size, dtype=np.float32)
    return (tone * _envelope(timbre, time_s, held_s) * (note.velocity / 127) ** 1.5).astype(np.float32)


def _envelope(timbre: Timbre, time_s: np.ndarray, held_s: float) -> np.ndarray:
    rise = np.minimum(time_s / timbre.attack_s, 1)
    fall = np.clip(1 - (time_s - held_s) / timbre.release_s, 0, 1)
    decay = 1.0 if timbre.half_life_s is None else 0.5 ** (time_s / timbre.half_life_s)
    return rise * fall * decay
