"""Makes the sound of a solo that is composed in sections, played with expression, and recorded in some situation."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from data_pipeline.rendered.sound import breath, expression, passages, playable, recording, synthesise
from data_pipeline.rendered.sound.compose import Note, Song
from data_pipeline.rendered.sound.instruments import Instrument
from data_pipeline.rendered.sound.playing import Playing, PlayingRanges, choose_playing
from data_pipeline.rendered.sound.recording import Recording, RecordingRanges
from data_pipeline.rendered.sound.reverberation import Room
from data_pipeline.rendered.sound.synthesise import RATE_HZ, Renderer
from data_pipeline.rendered.sound.technique import TECHNIQUES


@dataclasses.dataclass(frozen=True)
class Situations:
    """Ranges of playing and recording that a solo is drawn from.

    Attributes:
        playing: Ranges of articulation, dynamics, tempo and register.
        recording: Ranges of rooms, microphones, noises and codecs.
    """

    playing: PlayingRanges = dataclasses.field(default_factory=PlayingRanges)
    recording: RecordingRanges = dataclasses.field(default_factory=RecordingRanges)


@dataclasses.dataclass(frozen=True)
class BroadSound:
    """A solo's sound with what was drawn for it.

    Attributes:
        instrument: Instrument with the program that was played.
        notes: Notes as they are played, in the order of their starts.
        song: Key, tempo and metre of the first section.
        playing: Manner of playing.
        recording: Recording situation.
        samples: (samples,) float32 mono at `RATE_HZ`.
    """

    instrument: Instrument
    notes: list[Note]
    song: Song
    playing: Playing
    recording: Recording
    samples: np.ndarray


def make_broad_sound(
    instrument: Instrument,
    renderer: Renderer,
    room: Room,
    situations: Situations,
    rngs: tuple[np.random.Generator, np.random.Generator],
    *,
    seconds: float,
    keys: Sequence[int] = range(12),
    programs: Sequence[int] = (),
) -> BroadSound:
    """Composes, plays and records a solo.

    Args:
        instrument: Instrument with the preferred program.
        renderer: Renderer of the notes.
        room: Tuning, equaliser and levels.
        situations: Ranges of playing and recording.
        rngs: Random generators of the composition with its playing, and of the sound.
        seconds: Length of the solo.
        keys: See `compose.choose_song`.
        programs: Other programs of the class.
    """
    composition_rng, sound_rng = rngs
    technique = TECHNIQUES[instrument.name]
    playing = choose_playing(instrument, composition_rng, situations.playing)
    notes, song = passages.compose_passages(instrument, playing, composition_rng, seconds=seconds, keys=keys)
    wide = dataclasses.replace(instrument, low=technique.lowest, high=technique.highest)
    chosen, notes, shift = playable.make_playable(renderer, wide, notes, programs=programs, shift=playing.shift)
    instrument = dataclasses.replace(instrument, gm_program=chosen.gm_program)
    playing = dataclasses.replace(playing, shift=shift)
    played = expression.perform(notes, playing, composition_rng)
    dry = synthesise.synthesise_performance(
        renderer, instrument, played, sound_rng, seconds=seconds, cents=room.cents, shift=shift
    )
    if playing.breath_db is not None:
        dry = breath.add_breath(
            dry,
            played,
            sound_rng,
            level_db=playing.breath_db,
            middle_hz=technique.breath_hz,
            breathes=instrument.texture == "wind",
            rate_hz=RATE_HZ,
        )
    situation = recording.choose_recording(sound_rng, situations.recording)
    coloured = dataclasses.replace(room, peaks=room.peaks + playing.body)
    samples = recording.record(dry, coloured, situation, sound_rng, rate_hz=RATE_HZ)
    return BroadSound(instrument, notes, song=song, playing=playing, recording=situation, samples=samples)
