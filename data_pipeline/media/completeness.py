"""Checks whether a media file has all the bytes that its own structure announces.

A stated length may be wrong, but a file that ends in the middle of an announced box or tag was cut off.
"""

import os
import struct
from pathlib import Path
from typing import BinaryIO

_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
_ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_FLV_TAGS = (8, 9, 18)
_FLV_TAG_HEADER = 11
_MOST_BOXES = 1_000_000  # of a fragmented file; a damaged one could announce more


def is_cut_off(path: Path, formats: set[str]) -> bool:
    """Returns whether a file is shorter than its structure announces; False if its format announces no size.

    Args:
        path: The file.
        formats: Names by which FFmpeg knows its format, such as "mov" and "mp4".
    """
    checks = {"mov": _boxes, "matroska": _matroska, "avi": _riff, "flv": _flv, "asf": _asf}
    check = next((check for name, check in checks.items() if name in formats), None)
    if check is None:
        return False
    try:
        with path.open("rb") as file:
            return check(file, file.seek(0, os.SEEK_END))
    except (OSError, struct.error, IndexError):
        return False


def _boxes(file: BinaryIO, size: int) -> bool:
    """Follows the boxes of MP4 and QuickTime."""
    place = 0
    for _ in range(_MOST_BOXES):
        if size - place < 8:
            return False
        file.seek(place)
        header = file.read(16)
        length = int.from_bytes(header[:4])
        if length == 1:
            length = int.from_bytes(header[8:16])
        if length < 8:  # 0: until the end of the file
            return False
        place += length
        if place > size:
            return True
    return False


def _matroska(file: BinaryIO, size: int) -> bool:
    """Compares the length of the segment, which holds everything, with the file."""
    place = 0
    for wanted in (_EBML, _SEGMENT):
        file.seek(place)
        header = file.read(12)
        if header[:4] != wanted:
            return False
        width = 9 - header[4].bit_length()
        value = int.from_bytes(header[4 : 4 + width]) & ((1 << (7 * width)) - 1)
        if value == (1 << (7 * width)) - 1:  # unknown, as in live streams
            return False
        place += 4 + width + value
    return place > size


def _riff(file: BinaryIO, size: int) -> bool:
    """Follows the RIFF lists of AVI."""
    place = 0
    while size - place >= 12:
        file.seek(place)
        kind, length = struct.unpack("<4sI", file.read(8))
        if kind != b"RIFF":
            return False
        place += 8 + length + length % 2
        if place > size + 1:  # the padding of the last list may be missing
            return True
    return False


def _flv(file: BinaryIO, size: int) -> bool:
    """Looks for a complete tag at the end; the length of each tag is repeated after it."""
    file.seek(size - 4)
    length = int.from_bytes(file.read(4))
    if not _FLV_TAG_HEADER <= length <= size - 4:
        return True
    file.seek(size - 4 - length)
    header = file.read(4)
    return header[0] & 31 not in _FLV_TAGS or int.from_bytes(header[1:]) != length - _FLV_TAG_HEADER


def _asf(file: BinaryIO, size: int) -> bool:
    """Compares the length that the header of a Windows Media file states with the file."""
    file.seek(0)
    head = file.read(1 << 16)
    place = head.find(_ASF_FILE_PROPERTIES)
    if not head.startswith(_ASF_HEADER) or place < 0:
        return False
    return int.from_bytes(head[place + 40 : place + 48], "little") > size
