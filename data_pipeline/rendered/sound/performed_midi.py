"""Writes played notes as MIDI: every note on a channel of its own, with pitch wheel and expression."""

from collections.abc import Sequence

import numpy as np

from data_pipeline.rendered.sound import midi
from data_pipeline.rendered.sound.performance import CURVE_HZ, Played

_BEND_SEMITONES = 12
_SMALLEST_BEND_CENTS = 1.0
# Times of a note's first values, before its start.
_AHEAD_S = 0.001


def write_performance(played: Sequence[Played], program: int, *, cents: float, shift: int = 0) -> bytes:
    """Returns a MIDI file.

    The notes take the melodic channels in turn, so that a note's curves do not change the release of the one before it.

    Args:
        played: Notes with their curves.
        program: General MIDI program, counted from 0.
        cents: Tuning in hundredths of a semitone.
        shift: Semitones by which all pitches are raised. All times shrink by the same factor as the frequencies grow,
            so slower playback undoes both.
    """
    pace = 2 ** (shift / 12)
    events: list[midi.Event] = []
    for channel in midi.CHANNELS[: len(played)]:
        events.append(midi.program_change(0, program, channel=channel))
        events += midi.bend_range(0, _BEND_SEMITONES, channel=channel)
        for send in (midi.REVERB_SEND, midi.CHORUS_SEND):
            events.append(midi.controller(0, send, 0, channel=channel))
    for k, one in enumerate(played):
        channel = midi.CHANNELS[k % len(midi.CHANNELS)]
        note = one.note
        events += midi.note(
            note.pitch + shift, note.velocity, start_s=note.start_s / pace, end_s=note.end_s / pace, channel=channel
        )
        events += _curves(one, channel, cents=cents, pace=pace)
    return midi.write_file(events)


def _curves(one: Played, channel: int, *, cents: float, pace: float) -> list[midi.Event]:
    events = []
    bent, set_to = np.inf, -1
    # Expression is a gain in squares.
    expression = np.round(127 * np.sqrt(one.gain)).astype(int)
    for k in range(max(one.cents.size, one.gain.size)):
        time_s = (one.note.start_s + k / CURVE_HZ) / pace - _AHEAD_S
        bend_cents = cents + float(one.cents[min(k, one.cents.size - 1)])
        if abs(bend_cents - bent) >= _SMALLEST_BEND_CENTS:
            bent = bend_cents
            events.append(midi.bend(max(time_s, 0.0), bent / 100 / _BEND_SEMITONES, channel=channel))
        level = int(expression[min(k, expression.size - 1)])
        if level != set_to:
            set_to = level
            events.append(midi.controller(max(time_s, 0.0), midi.EXPRESSION, level, channel=channel))
    return events
