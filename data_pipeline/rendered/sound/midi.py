"""Writes MIDI files of one track, event by event."""

import struct
from collections.abc import Sequence
from typing import NamedTuple

# One tick is half a millisecond: 1000 ticks in a quarter of half a second.
_TICKS_PER_QUARTER = 1000
_TICKS_PER_SECOND = 2000
PERCUSSION_CHANNEL = 9
# Channels that play melodic programs.
CHANNELS = tuple(channel for channel in range(16) if channel != PERCUSSION_CHANNEL)
EXPRESSION = 11
REVERB_SEND = 91
CHORUS_SEND = 93
ALL_SOUND_OFF = 120
BEND_STEPS = 8192


class Event(NamedTuple):
    """A MIDI event: seconds from the start, place among the events of one time, and bytes."""

    time_s: float
    rank: int
    content: bytes


def program_change(time_s: float, program: int, *, channel: int) -> Event:
    """Returns an event that selects a General MIDI program, counted from 0."""
    return Event(time_s, 0, bytes([0xC0 | channel, program]))


def controller(time_s: float, number: int, value: int, *, channel: int) -> Event:
    """Returns an event that sets a controller to 0 to 127."""
    return Event(time_s, 1, bytes([0xB0 | channel, number, min(max(value, 0), 127)]))


def bend_range(time_s: float, semitones: int, *, channel: int) -> list[Event]:
    """Returns the events that set the range of the pitch wheel."""
    parameters = ((101, 0), (100, 0), (6, semitones), (38, 0))
    return [controller(time_s, number, value, channel=channel) for number, value in parameters]


def bend(time_s: float, share: float, *, channel: int) -> Event:
    """Returns an event that sets the pitch wheel to a share of its range, -1 to 1."""
    value = min(max(round(BEND_STEPS * (1 + share)), 0), 2 * BEND_STEPS - 1)
    return Event(time_s, 1, bytes([0xE0 | channel, value & 127, value >> 7]))


def note(pitch: int, velocity: int, *, start_s: float, end_s: float, channel: int) -> list[Event]:
    """Returns the two events of a note; a note ends before another of the same time begins."""
    return [
        Event(start_s, 2, bytes([0x90 | channel, pitch, min(max(velocity, 1), 127)])),
        Event(end_s, -1, bytes([0x80 | channel, pitch, 0])),
    ]


def write_file(events: Sequence[Event]) -> bytes:
    """Returns a MIDI file of format 0; times are rounded to half a millisecond."""
    track, ticks = [], 0
    for event in sorted(events, key=lambda event: (round(event.time_s * _TICKS_PER_SECOND), event.rank)):
        at = max(round(event.time_s * _TICKS_PER_SECOND), ticks)
        track += [_variable_length(at - ticks), event.content]
        ticks = at
    content = b"".join(track) + b"\x00\xff\x2f\x00"
    header = b"MThd" + struct.pack(">IHHH", 6, 0, 1, _TICKS_PER_QUARTER)
    return header + b"MTrk" + struct.pack(">I", len(content)) + content


def _variable_length(value: int) -> bytes:
    digits = [value & 127]
    while value := value >> 7:
        digits.append(value & 127 | 128)
    return bytes(reversed(digits))
