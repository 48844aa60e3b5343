"""Plays MIDI files with programs of soundfonts, and finds the pitches at which a program is silent."""

import functools
import io
import pathlib
import wave

import numpy as np
import soxr

from data_pipeline.command import InputError
from data_pipeline.rendered.sound import bank, midi

_PLAYER_RATE_HZ = 44_100
# Pitches are tried one after the other, each for a short time.
_TRIED_S = 0.2
_TRIED_STEP_S = 0.22
# Those of the eleven instruments, and a few more for notes that are played at another pitch and resampled.
TRIED_PITCHES = range(18, 112)
# A pitch is silent when it is this much softer than the median of a program's pitches.
_SILENT_DB = -34.0


def play_midi(path: pathlib.Path, program: int, content: bytes, *, rate_hz: float, dry: bool = False) -> np.ndarray:
    """Plays a MIDI file with one program of a soundfont.

    Args:
        path: The soundfont.
        program: General MIDI program, counted from 0, which the MIDI file selects.
        content: The MIDI file.
        rate_hz: Sample rate.
        dry: Whether to play without the soundfont's own reverberation and chorus.

    Returns:
        (samples,) float32 mono in -1 to 1; empty when the soundfont lacks the program.

    Raises:
        InputError: The soundfont cannot be played.
    """
    import midirenderer  # pyright: ignore[reportMissingImports]  (not on every platform)

    small = bank.extract_program(path, program, dry=dry)
    if small is None:
        return np.zeros(0, dtype=np.float32)
    try:
        sound = midirenderer.render_wave_from(small, content)
    except (ValueError, RuntimeError) as error:
        raise InputError(f"soundfont {path} cannot be played: {error}; use another .sf2 or .sf3 file") from error
    with wave.open(io.BytesIO(sound)) as file:
        channels, from_hz = file.getnchannels(), file.getframerate()
        raw = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
    mono = raw.reshape(-1, channels).mean(axis=1, dtype=np.float32) / 32768
    return soxr.resample(mono, from_hz, rate_hz).astype(np.float32)


@functools.lru_cache(maxsize=256)
def silent_pitches(path: pathlib.Path, program: int) -> frozenset[int]:
    """Returns the MIDI pitches in `TRIED_PITCHES` at which a program of a soundfont makes no sound; cached per process.

    Raises:
        InputError: The soundfont cannot be played.
    """
    pitches = np.array(TRIED_PITCHES)
    starts_s = _TRIED_STEP_S * np.arange(pitches.size)
    events = [midi.program_change(0, program, channel=0)]
    events += [midi.controller(0, send, 0, channel=0) for send in (midi.REVERB_SEND, midi.CHORUS_SEND)]
    for pitch, start_s in zip(pitches, starts_s, strict=True):
        end_s = float(start_s) + _TRIED_S
        events += midi.note(int(pitch), 100, start_s=float(start_s), end_s=end_s, channel=0)
        # Without this the release of one pitch would be taken for the next.
        events.append(midi.controller(end_s, midi.ALL_SOUND_OFF, 0, channel=0))
    sound = play_midi(path, program, midi.write_file(events), rate_hz=_PLAYER_RATE_HZ, dry=True)
    step = round(_TRIED_STEP_S * _PLAYER_RATE_HZ)
    sound = np.pad(sound, (0, max(0, pitches.size * step - sound.size)))[: pitches.size * step].reshape(-1, step)
    level = np.sqrt(np.mean(sound[:, : round(_TRIED_S * _PLAYER_RATE_HZ)] ** 2, axis=1))
    heard = level[level > 1e-5]
    floor = max(1e-5, float(np.median(heard)) * 10 ** (_SILENT_DB / 20)) if heard.size else np.inf
    return frozenset(int(pitch) for pitch in pitches[level < floor])
