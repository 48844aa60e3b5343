"""Finds audio, boxes and frames within a record, so that a window is read without the other parts of its record.

A record is a `tf.train.Example`, which consists of nested protocol-buffer messages. Only their lengths are read here.
Source: https://protobuf.dev/programming-guides/encoding
"""

import dataclasses
from array import array
from collections.abc import Iterator

_FEATURES = _MAP_ENTRY = _KEY = _BYTES_LIST = _VALUE = 1  # numbers of the messages' fields
_FEATURE = 2
_LENGTH_DELIMITED = 2  # wire type of text, bytes and messages


@dataclasses.dataclass(frozen=True, slots=True)
class Parts:
    """Positions in bytes from the start of a record's data.

    Attributes:
        sound: First byte of the audio samples.
        boxes: First byte of the boxes.
        pictures: First byte of each frame and the byte after its last one, alternating.
    """

    sound: int = 0
    boxes: int = 0
    pictures: array = dataclasses.field(default_factory=lambda: array("Q"))

    def picture(self, number: int) -> tuple[int, int]:
        """Returns the first byte of a frame and the byte after its last one."""
        return self.pictures[2 * number], self.pictures[2 * number + 1]

    def as_row(self) -> list[int]:
        """Returns all positions as one list of numbers."""
        return [self.sound, self.boxes, *self.pictures]

    @classmethod
    def from_row(cls, row: list[int]) -> "Parts":
        """Inverts `as_row`."""
        return cls(row[0], row[1], array("Q", row[2:]))


def find_parts(data: bytes) -> Parts:
    """Finds the parts of one serialized example.

    Raises:
        KeyError: A feature is missing.
        ValueError: The bytes are not an example.
    """
    values = {}
    for features in _messages(data, (0, len(data)), _FEATURES):
        for entry in _messages(data, features, _MAP_ENTRY):
            ((first, end),) = _messages(data, entry, _KEY)
            name = data[first:end]
            if name in (b"audio", b"boxes", b"frames"):
                ((kind),) = _messages(data, entry, _FEATURE)
                values[name] = [
                    value for items in _messages(data, kind, _BYTES_LIST) for value in _messages(data, items, _VALUE)
                ]
    ((sound, _),), ((boxes, _),) = values[b"audio"], values[b"boxes"]
    return Parts(sound, boxes, array("Q", [place for span in values[b"frames"] for place in span]))


def _messages(data: bytes, span: tuple[int, int], wanted: int) -> Iterator[tuple[int, int]]:
    """Yields (first byte, byte after the last) of each field with the wanted number in the message at `span`."""
    at, end = span
    while at < end:
        tag, at = _number(data, at)
        if tag & 7 != _LENGTH_DELIMITED:
            raise ValueError(f"wire type {tag & 7} at byte {at}: an example holds only nested messages and bytes")
        length, at = _number(data, at)
        if at + length > end:
            raise ValueError(f"a field at byte {at} ends beyond its message")
        if tag >> 3 == wanted:
            yield at, at + length
        at += length


def _number(data: bytes, at: int) -> tuple[int, int]:
    """Reads a number of seven bits per byte, lowest bits first; returns it and the position of the next byte."""
    value = shift = 0
    while data[at] & 0x80:
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
    return value | data[at] << shift, at + 1
