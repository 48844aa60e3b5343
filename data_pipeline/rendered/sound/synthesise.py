"""Renders notes with a General MIDI soundfont, or with the additive synthesiser when nothing can render one."""

import dataclasses
import importlib.metadata
import importlib.util
import io
import pathlib
from collections.abc import Sequence

import numpy as np

from data_pipeline.command import InputError
from data_pipeline.rendered.sound import additive, soundfont, soundfont_player
from data_pipeline.rendered.sound.compose import Note
from data_pipeline.rendered.sound.instruments import Instrument
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
        name: "soundfont" or "additive".
        version: Version of the library that renders, or of the additive synthesiser.
        font: The soundfont; None for the additive synthesiser.
    """

    name: str
    version: str
    font: SoundFont | None


def choose_renderer(name: str, font_path: pathlib.Path | None) -> Renderer:
    """Chooses a renderer.

    Args:
        name: "soundfont", "additive", or "auto" for the soundfont where `midirenderer` is installed.
        font_path: An `.sf2` file; None for the one in `pretty_midi`.

    Raises:
        InputError: The name is unknown, the soundfont is invalid, or no package can render it.
    """
    if name not in RENDERERS:
        raise InputError(f"renderer={name!r} is unknown; use one of {', '.join(RENDERERS)}")
    if name == "additive":
        if font_path is not None:
            raise InputError("renderer='additive' uses no soundfont; leave --soundfont out, or the renderer")
        return additive_renderer()
    font = soundfont.describe_soundfont(font_path or soundfont.bundled_path())
    if has_midirenderer():
        return Renderer("soundfont", f"midirenderer {importlib.metadata.version('midirenderer')}", font)
    if name == "soundfont" or font_path is not None:
        raise InputError(
            "the package midirenderer, which renders soundfonts, is not installed (it has no wheel for Linux "
            "on aarch64); install it, or use --renderer=additive without --soundfont"
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
    if renderer.font is None:
        sound = additive.synthesise_additive(instrument.name, notes, rng, seconds=seconds, rate_hz=RATE_HZ, cents=cents)
    else:
        midi = _midi(instrument, notes, cents=cents, vibrato=vibrato)
        sound = soundfont_player.play_midi(renderer.font.path, instrument.gm_program, midi, rate_hz=RATE_HZ)
        if not sound.any():
            raise InputError(
                f"soundfont {renderer.font.path} is silent for {instrument.name} (General MIDI program "
                f"{instrument.gm_program}, counted from 0); use a General MIDI soundfont that has it"
            )
    return np.pad(sound[:samples], (0, max(0, samples - sound.size)))


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
