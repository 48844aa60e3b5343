"""The index of where each record of a TFRecord file lies, and the scan that creates it."""

import dataclasses
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from data_pipeline.atomic import write_atomically
from data_pipeline.command import InputError
from data_pipeline.records.parts import Parts, find_parts

HEADER = struct.Struct("<QI")  # length of the data, checksum of these eight bytes
_FOOTER_BYTES = 4  # checksum of the data
_INDEX_FORMAT = 2


@dataclasses.dataclass(frozen=True, slots=True)
class Clip:
    """Index entry of one record.

    Attributes:
        video_id: Video that the record was cut from.
        label: Index of its class.
        chunk: Position in the video, from 0.
        start_seconds: Start time in the video.
        samples: Length of its audio.
        frames: Number of its frames.
        video_rms: Root mean square of the complete video's audio, linear, full scale 1.
        shard: Index of the file that holds the record.
        offset: First byte of the data in that file.
        length: Bytes of the data.
        parts: Positions of audio, boxes and frames in the data.
    """

    video_id: str
    label: int
    chunk: int
    start_seconds: float
    samples: int
    frames: int
    video_rms: float
    shard: int
    offset: int
    length: int
    parts: Parts = dataclasses.field(default=Parts(), repr=False)


_COLUMNS = tuple(field.name for field in dataclasses.fields(Clip) if field.name != "parts")


def scan(paths: list[Path]) -> tuple[Clip, ...]:
    """Reads every record once, one at a time, and returns its index entry."""
    clips = []
    for shard, path in enumerate(paths):
        with path.open("rb") as file:
            clips += [_clip(data, shard, offset) for offset, data in _records(path, file)]
    return tuple(clips)


def _records(path: Path, file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yields (offset, data) of the records of one TFRecord file."""
    while header := file.read(HEADER.size):
        length = HEADER.unpack(header)[0] if len(header) == HEADER.size else 0
        offset = file.tell()
        data = file.read(length + _FOOTER_BYTES) if length and is_header(header, length) else b""
        if not data or len(data) != length + _FOOTER_BYTES:
            raise InputError(f"{path} is damaged at byte {offset}; prepare the data set again")
        yield offset, data[:length]


def _clip(data: bytes, shard: int, offset: int) -> Clip:
    from data_pipeline.tf_cpu import tf

    feature = tf.train.Example.FromString(data).features.feature
    return Clip(
        video_id=feature["video_id"].bytes_list.value[0].decode(),
        label=feature["label"].int64_list.value[0],
        chunk=feature["chunk"].int64_list.value[0],
        start_seconds=feature["start_seconds"].float_list.value[0],
        samples=len(feature["audio"].bytes_list.value[0]) // 2,
        frames=len(feature["frames"].bytes_list.value),
        video_rms=feature["video_rms"].float_list.value[0],
        shard=shard,
        offset=offset,
        length=len(data),
        parts=find_parts(data),
    )


def _index_path(folder: Path, split: str) -> Path:
    return folder / f"index-{split}.json"


def _shard_sizes(paths: list[Path]) -> list[list[Any]]:
    return [[path.name, path.stat().st_size] for path in paths]


def write_index(folder: Path, split: str, paths: list[Path], clips: tuple[Clip, ...]) -> None:
    """Writes the index of a split to the folder of its shards, with their sizes, which show later changes."""
    columns: dict[str, list[Any]] = {name: [getattr(clip, name) for clip in clips] for name in _COLUMNS}
    columns["parts"] = [clip.parts.as_row() for clip in clips]
    content = json.dumps({"format": _INDEX_FORMAT, "shards": _shard_sizes(paths), "clips": columns})
    write_atomically(_index_path(folder, split), content, shared=True)


def read_index(folder: Path, split: str, paths: list[Path]) -> tuple[Clip, ...] | None:
    """Returns the stored index, or None when it is missing or belongs to other files."""
    try:
        index = json.loads(_index_path(folder, split).read_text(encoding="utf-8"))
        if index["format"] != _INDEX_FORMAT or index["shards"] != _shard_sizes(paths):
            return None
        rows = zip(*(index["clips"][name] for name in _COLUMNS), index["clips"]["parts"], strict=True)
        return tuple(Clip(*row, parts=Parts.from_row(parts)) for *row, parts in rows)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _crc_table() -> tuple[int, ...]:
    """Returns the byte table of CRC-32C, the checksum of TFRecord (reflected polynomial 0x82F63B78)."""
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return tuple(table)


_CRC_TABLE = _crc_table()


def is_header(header: bytes, length: int) -> bool:
    """Returns whether 12 bytes are the header of a record of that length: the length and its masked checksum."""
    crc = 0xFFFFFFFF
    for byte in header[:8]:
        crc = (crc >> 8) ^ _CRC_TABLE[(crc ^ byte) & 0xFF]
    crc ^= 0xFFFFFFFF
    masked = (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
    return HEADER.unpack(header) == (length, masked)
