"""How one solo is played: articulation, vibrato, slides, dynamics, tempo, register."""

import dataclasses

import numpy as np

from data_pipeline.rendered.sound.instruments import Instrument
from data_pipeline.rendered.sound.reverberation import Peak
from data_pipeline.rendered.sound.technique import TECHNIQUES


@dataclasses.dataclass(frozen=True)
class Playing:
    """One player's manner of playing.

    Attributes:
        tempo: Factor of the instrument's tempo.
        lowest: Lowest MIDI pitch of the melodies.
        highest: Highest MIDI pitch of the melodies.
        length: Length of a note as a share of the time to the next one; above 1 the notes overlap.
        vibrato_cents: Typical depth of the vibrato.
        vibrato_hz: Typical rate of the vibrato.
        vibrato_delay_s: Typical time from a note's start to its vibrato.
        tremolo_db: Depth of the vibrato's changes of level.
        slides: Probability that a note slides from the one before it.
        scoops: Probability that a note begins too low.
        detune_cents: Standard deviation of the pitch from note to note.
        swell_db: Largest change of the level within a note.
        dynamics: Factor of the differences of velocity.
        loudness: Velocity that is added to all notes.
        rubato: Largest relative change of the tempo.
        jitter_s: Standard deviation of the starts of notes.
        pauses: Probability of a pause after a section.
        doubles: Probability that a long note gets other voices.
        drones: Probability that a drone sounds below a section.
        breath_db: Level of breath or bow noise relative to the tone, None for none.
        shift: Semitones by which samples are taken from another pitch and resampled, which changes the timbre.
        body: Peaks of the instrument's body.
    """

    tempo: float
    lowest: int
    highest: int
    length: float
    vibrato_cents: float
    vibrato_hz: float
    vibrato_delay_s: float
    tremolo_db: float
    slides: float
    scoops: float
    detune_cents: float
    swell_db: float
    dynamics: float
    loudness: float
    rubato: float
    jitter_s: float
    pauses: float
    doubles: float
    drones: float
    breath_db: float | None
    shift: int
    body: tuple[Peak, ...]


@dataclasses.dataclass(frozen=True)
class PlayingRanges:
    """Smallest and largest values of the fields of `Playing`, before the factors of the instrument's `Technique`.

    Attributes:
        tempo: See `Playing`; drawn with equal probability in every octave.
        lengths: Ranges of staccato, detached, connected and overlapping notes; one of them is drawn.
        vibrato_cents: See `Playing`.
        vibrato_hz: See `Playing`.
        vibrato_delay_s: See `Playing`.
        tremolo_db: See `Playing`.
        slides: See `Playing`.
        scoops: See `Playing`.
        detune_cents: See `Playing`.
        swell_db: See `Playing`.
        dynamics: See `Playing`.
        loudness: See `Playing`.
        rubato: See `Playing`.
        jitter_s: See `Playing`.
        pauses: See `Playing`.
        doubles: See `Playing`.
        drones: See `Playing`.
        breath_db: Deviation of the noise's level from the typical one.
        shift: See `Playing`.
        register_semitones: Smallest range of the melodies.
        body: Factor of the decibels of the body's peaks.
    """

    tempo: tuple[float, float] = (0.65, 1.6)
    lengths: tuple[tuple[float, float], ...] = ((0.3, 0.6), (0.65, 0.9), (0.93, 1.0), (1.02, 1.25))
    vibrato_cents: tuple[float, float] = (0, 45)
    vibrato_hz: tuple[float, float] = (4.0, 7.5)
    vibrato_delay_s: tuple[float, float] = (0.0, 0.5)
    tremolo_db: tuple[float, float] = (0, 3)
    slides: tuple[float, float] = (0, 0.3)
    scoops: tuple[float, float] = (0, 0.3)
    detune_cents: tuple[float, float] = (0, 14)
    swell_db: tuple[float, float] = (0, 14)
    dynamics: tuple[float, float] = (0.5, 2.2)
    loudness: tuple[float, float] = (-30, 22)
    rubato: tuple[float, float] = (0, 0.15)
    jitter_s: tuple[float, float] = (0, 0.025)
    pauses: tuple[float, float] = (0, 0.6)
    doubles: tuple[float, float] = (0, 0.4)
    drones: tuple[float, float] = (0, 0.3)
    breath_db: tuple[float, float] = (-20, 10)
    shift: tuple[int, int] = (-3, 3)
    register_semitones: int = 16
    body: tuple[float, float] = (0.2, 1.3)


def choose_playing(instrument: Instrument, rng: np.random.Generator, ranges: PlayingRanges) -> Playing:
    """Draws a manner of playing that suits an instrument."""
    technique = TECHNIQUES[instrument.name]

    def draw(edges: tuple[float, float], factor: float = 1.0) -> float:
        return factor * float(rng.uniform(*edges))

    lengths = ranges.lengths[int(rng.integers(len(ranges.lengths)))]
    lowest, highest = _choose_register(instrument, rng, ranges)
    strength = draw(ranges.body)
    return Playing(
        tempo=float(np.exp(rng.uniform(*np.log(ranges.tempo)))),
        lowest=lowest,
        highest=highest,
        length=draw(lengths),
        vibrato_cents=draw(ranges.vibrato_cents, technique.vibrato),
        vibrato_hz=draw(ranges.vibrato_hz),
        vibrato_delay_s=draw(ranges.vibrato_delay_s),
        tremolo_db=draw(ranges.tremolo_db) if technique.swells else 0.0,
        slides=min(draw(ranges.slides, technique.slides), 1.0),
        scoops=min(draw(ranges.scoops, technique.slides), 1.0),
        detune_cents=draw(ranges.detune_cents, technique.bends),
        swell_db=draw(ranges.swell_db) if technique.swells else 0.0,
        dynamics=draw(ranges.dynamics),
        loudness=draw(ranges.loudness),
        rubato=draw(ranges.rubato),
        jitter_s=draw(ranges.jitter_s),
        pauses=draw(ranges.pauses),
        doubles=draw(ranges.doubles) if technique.voices > 1 else 0.0,
        drones=draw(ranges.drones) if technique.drones else 0.0,
        breath_db=None if technique.breath_db is None else technique.breath_db + draw(ranges.breath_db),
        shift=int(rng.integers(ranges.shift[0], ranges.shift[1] + 1)),
        body=tuple(peak._replace(decibels=peak.decibels * strength) for peak in technique.body),
    )


def _choose_register(instrument: Instrument, rng: np.random.Generator, ranges: PlayingRanges) -> tuple[int, int]:
    """Returns a part of the instrument's range; accompanied melodies keep the whole range."""
    technique = TECHNIQUES[instrument.name]
    if instrument.texture in ("accordion", "guitar"):
        return technique.lowest, technique.highest
    size = int(rng.integers(ranges.register_semitones, technique.highest - technique.lowest + 1))
    lowest = technique.lowest + int(rng.integers(technique.highest - technique.lowest - size + 1))
    return lowest, lowest + size
