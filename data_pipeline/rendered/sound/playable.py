"""Keeps notes away from pitches at which a soundfont's program is silent."""

import dataclasses
from collections.abc import Sequence

from data_pipeline.rendered.sound import soundfont_player
from data_pipeline.rendered.sound.compose import Note
from data_pipeline.rendered.sound.instruments import Instrument
from data_pipeline.rendered.sound.soundfont import SoundFont
from data_pipeline.rendered.sound.synthesise import Renderer


def make_playable(
    renderer: Renderer, instrument: Instrument, notes: Sequence[Note], *, programs: Sequence[int] = (), shift: int = 0
) -> tuple[Instrument, list[Note], int]:
    """Chooses a program that sounds at the pitches of all notes.

    If there is none, the notes at silent pitches are moved by octaves, or left out where that is impossible. Recorded
    notes and the additive synthesiser sound at every pitch.

    Args:
        renderer: Renderer of the solo.
        instrument: Instrument with the program that is preferred.
        notes: Notes of the solo.
        programs: Other programs of the class, in the order of preference.
        shift: Semitones by which the pitches are raised for the renderer; 0 is used where it makes the notes silent.

    Returns:
        The instrument with its program, the notes, and the shift.
    """
    if not isinstance(renderer.font, SoundFont):
        return instrument, list(notes), shift
    pitches = {note.pitch for note in notes}
    candidates = [instrument.gm_program, *(program for program in programs if program != instrument.gm_program)]
    silent: dict[int, frozenset[int]] = {}
    for program in candidates:
        silent[program] = soundfont_player.silent_pitches(renderer.font.path, program)
        for semitones in dict.fromkeys((shift, 0)):
            if not any(pitch + semitones in silent[program] for pitch in pitches):
                return dataclasses.replace(instrument, gm_program=program), list(notes), semitones
    best = min(candidates, key=lambda program: len(pitches & silent[program]))
    moved = [_move(note, silent[best], instrument) for note in notes]
    # Where no note is left the program is missing, and the synthesis says so.
    kept = [note for note in moved if note is not None] or list(notes)
    return dataclasses.replace(instrument, gm_program=best), kept, 0


def _move(note: Note, silent: frozenset[int], instrument: Instrument) -> Note | None:
    """Returns a note in the nearest octave in which it sounds and which the instrument has, or None."""
    for octaves in (0, -1, 1, -2, 2):
        pitch = note.pitch + 12 * octaves
        if pitch not in silent and instrument.low <= pitch <= instrument.high:
            return note._replace(pitch=pitch)
    return None
