"""Plays notes with the recordings of a folder: resampled to their pitch, shaped to their level and length."""

from collections.abc import Sequence

import numpy as np
import scipy.signal

from data_pipeline.rendered.sound.instruments import Instrument
from data_pipeline.rendered.sound.note_folder import NoteSet
from data_pipeline.rendered.sound.performance import CURVE_HZ, Played
from data_pipeline.rendered.sound.recorded_note import RATE_HZ, RecordedNote, read_note

VERSION = "1"
# Seconds in which a note fades after its end. Strings and bars ring on when nobody damps them.
_RELEASE_S = {"wind": 0.07, "bowed": 0.12, "accordion": 0.06, "guitar": 0.2, "mallets": 0.6}
_DYING_TEXTURES = ("guitar", "mallets")
_LEVEL_EXPONENT = 1.6
# Cut-off frequency of the softest notes, in multiples of the fundamental; the loudest ones are not filtered.
_SOFT_CUTOFF = 1.5
_SLUR_S = 0.03


def play_recordings(
    note_set: NoteSet,
    instrument: Instrument,
    played: Sequence[Played],
    rng: np.random.Generator,
    *,
    seconds: float,
    cents: float,
    shift: int = 0,
) -> np.ndarray:
    """Plays notes with recordings.

    Args:
        note_set: Recorded notes of an instrument.
        instrument: The instrument, which tells how notes sustain and end.
        played: Notes with their curves, within `seconds`.
        rng: Random generator that chooses between several recordings of a note.
        seconds: Length of the sound.
        cents: Tuning in hundredths of a semitone.
        shift: Semitones by which the pitch of the chosen recordings may differ from the nearest one, for other timbres.

    Returns:
        (samples,) float32 mono at `RATE_HZ`, not normalised.

    Raises:
        InputError: A recording cannot be read.
    """
    sound = np.zeros(round(seconds * RATE_HZ), dtype=np.float32)
    for one in played:
        recording = _choose_recording(note_set, instrument, one.note.pitch + shift, rng)
        tone = _play_note(recording, one, cents=cents, release_s=_RELEASE_S[instrument.texture])
        first = round(one.note.start_s * RATE_HZ)
        tone = tone[: sound.size - first]
        sound[first : first + tone.size] += tone
    return sound


def _choose_recording(note_set: NoteSet, instrument: Instrument, pitch: int, rng: np.random.Generator) -> RecordedNote:
    """Returns one of the recordings with the nearest pitch."""
    nearest = min(abs(recorded - pitch) for recorded, _ in note_set.files)
    choices = [(recorded, path) for recorded, path in note_set.files if abs(recorded - pitch) == nearest]
    recorded, path = choices[int(rng.integers(len(choices)))]
    return read_note(path, recorded, sustained=instrument.texture not in _DYING_TEXTURES)


def _play_note(recording: RecordedNote, one: Played, *, cents: float, release_s: float) -> np.ndarray:
    held = round((one.note.end_s - one.note.start_s) * RATE_HZ)
    count = held + round(release_s * RATE_HZ)
    curve_at = np.arange(count) * (CURVE_HZ / RATE_HZ)
    bend = np.interp(curve_at, np.arange(one.cents.size), one.cents)
    pace = np.exp2((one.note.pitch - recording.pitch + (bend + cents) / 100) / 12)
    skipped = 2 * _SLUR_S * RATE_HZ if one.slurred else 0.0
    places = skipped + np.concatenate([[0.0], np.cumsum(pace[:-1])])
    tone = _interpolate(recording.sustain(int(places[-1]) + 3), places)
    tone = _soften(tone, one)
    gain = np.interp(curve_at, np.arange(one.gain.size), one.gain) * (one.note.velocity / 127) ** _LEVEL_EXPONENT
    gain[held:] *= 0.5 + 0.5 * np.cos(np.linspace(0, np.pi, count - held))
    if one.slurred:
        fade = min(round(_SLUR_S * RATE_HZ), count)
        gain[:fade] *= np.linspace(0, 1, fade)
    return (tone * gain[: tone.size]).astype(np.float32)


def _interpolate(samples: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Returns a sound at fractional sample positions, by cubic interpolation; shorter where the sound has ended."""
    places = places[: int(np.searchsorted(places, samples.size - 3))]
    index = places.astype(np.int64)
    part = (places - index).astype(np.float32)
    before, here, after, later = (samples[np.maximum(index + k, 0)] for k in (-1, 0, 1, 2))
    slope = after - before
    bend = 2 * before - 5 * here + 4 * after - later
    twist = 3 * (here - after) + later - before
    return here + 0.5 * part * (slope + part * (bend + part * twist))


def _soften(tone: np.ndarray, one: Played) -> np.ndarray:
    """Applies a low-pass filter of 6 dB per octave to soft notes."""
    loudness = one.note.velocity / 127
    fundamental_hz = 440.0 * 2 ** ((one.note.pitch - 69) / 12)
    cutoff_hz = fundamental_hz * _SOFT_CUTOFF * 2 ** (6 * loudness)
    if cutoff_hz >= RATE_HZ / 2 or not tone.size:
        return tone
    pole = np.float32(np.exp(-2 * np.pi * cutoff_hz / RATE_HZ))
    return np.asarray(scipy.signal.lfilter(np.array([1 - pole], np.float32), np.array([1, -pole], np.float32), tone))
