"""Renders notes with a soundfont, with recorded notes, or with the additive synthesiser when nothing can render one."""

import dataclasses
import importlib.metadata
import importlib.util
import io
import pathlib
from collections.abc import Sequence

import numpy as np

from data_pipeline.command import InputError
from data_pipeline.rendered.sound import (
    additive,
    note_folder,
    performed_midi,
    sampler,
    soundfont,
    soundfont_player,
)
from data_pipeline.rendered.sound.compose import Note
from data_pipeline.rendered.sound.instruments import Instrument
from data_pipeline.rendered.sound.note_folder import NoteFolder
from data_pipeline.rendered.sound.performance import Played, play_plainly
from data_pipeline.rendered.sound.soundfont import SoundFont

RATE_HZ = 44_100
RENDERERS = ("auto", "soundfont", "additive")
# The range of General MIDI's pitch wheel, unless a file changes it.
_WHEEL_SEMITONES = 2.0
_WHEEL_STEPS = 8192
_VIBRATO_CONTROLLER = 1


@dataclasses.dataclass(frozen=True)
class Renderer:
    """How notes become sound.

    Attributes:
        name: "soundfont", "recorded_notes" or "additive".
        version: Version of the library that renders, of the sampler or of the additive synthesiser.
        font: The soundfont or the folder of recorded notes; None for the additive synthesiser.
    """

    name: str
    version: str
    font: SoundFont | NoteFolder | None

    def has(self, name: str) -> bool:
        """Returns whether the renderer may play a class; a folder of recorded notes may lack some."""
        return not isinstance(self.font, NoteFolder) or name in self.font.sets


def choose_renderer(name: str, font_path: pathlib.Path | None) -> Renderer:
    """Chooses a renderer.

    Args:
        name: "soundfont", "additive", or "auto" for the soundfont where `midirenderer` is installed.
        font_path: An `.sf2` or `.sf3` file or a folder of recorded notes; None for the soundfont in `pretty_midi`.

    Raises:
        InputError: The name is unknown, the soundfont is invalid, or no package can render it.
    """
    if name not in RENDERERS:
        raise InputError(f"renderer={name!r} is unknown; use one of {', '.join(RENDERERS)}")
    if name == "additive":
        if font_path is not None:
            raise InputError("renderer='additive' uses no soundfont; leave --soundfont out, or the renderer")
        return additive_renderer()
    if font_path is not None and font_path.is_dir():
        return Renderer("recorded_notes", sampler.VERSION, note_folder.describe_folder(font_path))
    font = soundfont.describe_soundfont(font_path or soundfont.bundled_path())
    if has_midirenderer():
        return Renderer("soundfont", f"midirenderer {importlib.metadata.version('midirenderer')}", font)
    if name == "soundfont" or font_path is not None:
        raise InputError(
            "the package midirenderer, which renders soundfonts, is not installed (it has no wheel for Linux "
            "on aarch64); install it, use a folder of recorded notes, or use --renderer=additive without --soundfont"
        )
    return additive_renderer()


def additive_renderer() -> Renderer:
    """Returns the renderer that needs no soundfont."""
    return Renderer("additive", additive.VERSION, None)


def has_midirenderer() -> bool:
    """Returns whether the soundfont renderer can be imported."""
    return importlib.util.find_spec("midirenderer") is not None


def synthesise(
    renderer: Renderer,
    instrument: Instrument,
    notes: Sequence[Note],
    rng: np.random.Generator,
    *,
    seconds: float,
    cents: float,
) -> np.ndarray:
    """Renders notes.

    Args:
        renderer: Renderer from `choose_renderer`.
        instrument: Gives program and timbre.
        notes: Notes to play, within `seconds`.
        rng: Random generator of a player's small choices, such as the depth of the vibrato.
        seconds: Length of the sound.
        cents: Tuning of the instrument, in hundredths of a semitone.

    Returns:
        (samples,) float32 mono at `RATE_HZ`, in -1 to 1.

    Raises:
        InputError: The soundfont cannot be played, or has no sound for the instrument.
    """
    samples = round(seconds * RATE_HZ)
    vibrato = int(rng.integers(0, 40))
    if isinstance(renderer.font, NoteFolder):
        sound = _sample(renderer.font, instrument, play_plainly(notes), rng, seconds=seconds, cents=cents)
    elif renderer.font is None:
        sound = additive.synthesise_additive(instrument.name, notes, rng, seconds=seconds, rate_hz=RATE_HZ, cents=cents)
    else:
        midi = _midi(instrument, notes, cents=cents, vibrato=vibrato)
        sound = soundfont_player.play_midi(renderer.font.path, instrument.gm_program, midi, rate_hz=RATE_HZ)
        _require_sound(sound, renderer.font, instrument)
    return np.pad(sound[:samples], (0, max(0, samples - sound.size)))


def synthesise_performance(
    renderer: Renderer,
    instrument: Instrument,
    played: Sequence[Played],
    rng: np.random.Generator,
    *,
    seconds: float,
    cents: float,
    shift: int = 0,
) -> np.ndarray:
    """Renders notes with their curves of pitch and level; the additive synthesiser does without the curves.

    Args:
        renderer: Renderer from `choose_renderer`.
        instrument: Gives program and timbre.
        played: Notes to play, within `seconds`.
        rng: Random generator of the additive synthesiser and of the choice between recordings.
        seconds: Length of the sound.
        cents: Tuning of the instrument, in hundredths of a semitone.
        shift: Semitones between the pitches of the samples that are used and those that they usually serve for. The
            samples are resampled, which moves their resonances.

    Returns:
        (samples,) float32 mono at `RATE_HZ`.

    Raises:
        InputError: The soundfont cannot be played, or has no sound for the instrument.
    """
    samples = round(seconds * RATE_HZ)
    if isinstance(renderer.font, NoteFolder):
        sound = _sample(renderer.font, instrument, played, rng, seconds=seconds, cents=cents, shift=shift)
    elif renderer.font is None:
        notes = [one.note for one in played]
        sound = additive.synthesise_additive(instrument.name, notes, rng, seconds=seconds, rate_hz=RATE_HZ, cents=cents)
    else:
        midi = performed_midi.write_performance(played, instrument.gm_program, cents=cents, shift=shift)
        sound = soundfont_player.play_midi(
            renderer.font.path, instrument.gm_program, midi, rate_hz=RATE_HZ * 2 ** (shift / 12), dry=True
        )
        _require_sound(sound, renderer.font, instrument)
    return np.pad(sound[:samples], (0, max(0, samples - sound.size)))


def _sample(
    font: NoteFolder,
    instrument: Instrument,
    played: Sequence[Played],
    rng: np.random.Generator,
    *,
    seconds: float,
    cents: float,
    shift: int = 0,
) -> np.ndarray:
    note_set = font.sets[instrument.name][0]
    return sampler.play_recordings(note_set, instrument, played, rng, seconds=seconds, cents=cents, shift=shift)


def _require_sound(sound: np.ndarray, font: SoundFont, instrument: Instrument) -> None:
    if not sound.any():
        raise InputError(
            f"soundfont {font.path} is silent for {instrument.name} (General MIDI program {instrument.gm_program}, "
            "counted from 0); use a General MIDI soundfont that has it"
        )


def _midi(instrument: Instrument, notes: Sequence[Note], *, cents: float, vibrato: int) -> bytes:
    """Returns a MIDI file with one track; the tuning is set by the pitch wheel at the beginning."""
    import pretty_midi  # takes half a second to import, and the additive synthesiser does not need it

    track = pretty_midi.Instrument(program=instrument.gm_program, name=instrument.name)
    track.notes = [pretty_midi.Note(velocity=n.velocity, pitch=n.pitch, start=n.start_s, end=n.end_s) for n in notes]
    track.pitch_bends = [pretty_midi.PitchBend(round(cents / 100 / _WHEEL_SEMITONES * _WHEEL_STEPS), 0.0)]
    track.control_changes = [pretty_midi.ControlChange(_VIBRATO_CONTROLLER, vibrato, 0.0)]
    score = pretty_midi.PrettyMIDI(resolution=960)
    score.instruments.append(track)
    content = io.BytesIO()
    score.write(content)
    return content.getvalue()
