"""Random access to the records of a TFDS data set.

A mixture of step 812 needs five given clips, not the next five of a stream; so an index of byte offsets lies
beside the TFRecord shards. It is made from the written files, because TFDS writes in an order of its own.
"""

import dataclasses
import json
import os
import struct
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from absl import logging

from data_pipeline.command import InputError
from data_pipeline.spec import DataSetSpec

_INDEX_FORMAT = 1
_HEADER = struct.Struct("<QI")  # length of the data, checksum of those eight bytes
_FOOTER_BYTES = 4  # checksum of the data
_SPEC_FIELDS = ("rate_hz", "fps", "frame_px")


@dataclasses.dataclass(frozen=True, slots=True)
class Clip:
    """What the index knows of one record.

    Attributes:
        video_id: the video it was cut from.
        label: index of its class.
        chunk: its place in the video, from 0.
        start_seconds: where it begins in the video.
        samples: length of its sound.
        frames: number of its pictures.
        video_rms: root mean square of the whole video's sound, linear, full scale 1.
        shard: index of the file that holds it.
        offset: first byte of the data in that file.
        length: bytes of the data.
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


class RecordStore:
    """One split of a prepared data set, read record by record in any order, from any thread.

    Attributes:
        spec: how the set was cut.
        classes: names of the labels.
        clips: one entry a record, in the order of the files.
        folder: folder of the set.
    """

    def __init__(self, builder: Any, split: str, clips: tuple[Clip, ...]) -> None:
        self.folder = Path(builder.data_dir)
        self.spec = _recorded_spec(self.folder, builder.info.metadata)
        self.classes: tuple[str, ...] = tuple(builder.info.features["label"].names)
        self.clips = clips
        self._paths = [Path(path) for path in builder.info.splits[split].filepaths]
        self._descriptors: dict[int, int] = {}
        self._lock = threading.Lock()
        self._finalizer = weakref.finalize(self, _close_all, self._descriptors)

    @classmethod
    def open(cls, data_dir: Path, name: str, split: str) -> "RecordStore":
        """Opens a split.

        Args:
            data_dir: folder of data sets.
            name: name of the set.
            split: "train", "validation" or "test".

        Raises:
            InputError: the set or the split is not there, or the set was not made by `data_pipeline.prepare`.
        """
        folder = _find_set(data_dir, name)
        builder = _tfds_builder(folder)
        if split not in builder.info.splits:
            raise InputError(
                f"{folder} has no split {split!r}; it has {', '.join(sorted(builder.info.splits))}"
            )
        paths = [Path(path) for path in builder.info.splits[split].filepaths]
        if gone := [path for path in paths if not path.exists()]:
            raise InputError(f"{gone[0]} is gone; prepare the data set again")
        clips = _read_index(folder, split, paths)
        if clips is None:
            logging.info("no index of %s/%s; reading its records once to make one", folder, split)
            clips = _scan(paths)
            try:
                _write_index(folder, split, paths, clips)
            except OSError as error:  # a set on a disk that is read-only works all the same
                logging.info("the index is kept in memory: %s", error)
        return cls(builder, split, clips)

    def __len__(self) -> int:
        return len(self.clips)

    def require(self, spec: DataSetSpec) -> None:
        """Refuses a set that was cut otherwise than a run asks (`chunk_seconds` is left to the loader).

        Raises:
            InputError: names the field, both values and the way out.
        """
        for field in _SPEC_FIELDS:
            stored, asked = getattr(self.spec, field), getattr(spec, field)
            if stored != asked:
                raise InputError(
                    f"{self.folder} was prepared with {field}={stored:g}, and the run asks for {asked:g}; "
                    f"ask for {stored:g}, or prepare another set with "
                    f"`python -m data_pipeline.prepare --name=OTHER --{field}={asked:g}`"
                )

    def read(self, index: int) -> bytes:
        """The serialized example of one record.

        Args:
            index: place in `clips`.

        Raises:
            InputError: the file is shorter than the index says, or something else lies there.
        """
        clip = self.clips[index]
        size = _HEADER.size + clip.length
        data = os.pread(self._descriptor(clip.shard), size, clip.offset - _HEADER.size)
        if len(data) != size or not _is_header(data[: _HEADER.size], clip.length):
            raise InputError(
                f"{self._paths[clip.shard]} is damaged at byte {clip.offset}: record {index} is not where "
                "the index has it; prepare the data set again"
            )
        return data[_HEADER.size :]

    def parse(self, serialized: Any) -> dict[str, Any]:
        """Parses one example; runs inside `tf.data`.

        Args:
            serialized: tf.string scalar, as `read` returns it.

        Returns:
            audio int16 (samples,), frames string (frames,) of JPEG files, boxes float32 (frames, 4), video_id
            string, label int64, chunk int64, start_seconds float32, video_rms float32. Pictures stay encoded,
            so that only those in use need be decoded.
        """
        from data_pipeline.tf_cpu import tf

        # TFDS's own parser takes ten times as long: it passes every picture through a loop to leave it alone.
        text, number, real = (tf.io.FixedLenFeature([], kind) for kind in (tf.string, tf.int64, tf.float32))
        fields = {
            "audio": text,
            "boxes": text,
            "frames": tf.io.RaggedFeature(tf.string),
            "video_id": text,
            "label": number,
            "chunk": number,
            "start_seconds": real,
            "video_rms": real,
        }
        example = tf.io.parse_single_example(serialized, fields)
        example["audio"] = tf.io.decode_raw(example["audio"], tf.int16)
        example["boxes"] = tf.reshape(tf.io.decode_raw(example["boxes"], tf.float32), [-1, 4])
        return example

    def close(self) -> None:
        """Closes the files; reading opens them again."""
        with self._lock:
            _close_all(self._descriptors)

    def _descriptor(self, shard: int) -> int:
        with self._lock:
            if shard not in self._descriptors:
                self._descriptors[shard] = os.open(self._paths[shard], os.O_RDONLY | os.O_CLOEXEC)
            return self._descriptors[shard]


def write_indexes(folder: Path) -> None:
    """Writes the index of every split of a set beside its shards.

    Args:
        folder: folder of one version of a set, such as `data/rendered_solos/1.0.0`.
    """
    splits = _tfds_builder(folder).info.splits
    for split in splits:
        paths = [Path(path) for path in splits[split].filepaths]
        _write_index(folder, split, paths, _scan(paths))


def _find_set(data_dir: Path, name: str) -> Path:
    """Folder of the latest version of a set."""
    versions = sorted(path.parent for path in (data_dir / name).glob("*/dataset_info.json"))
    if not versions:
        raise InputError(
            f"no data set at {data_dir / name}; make it with `python -m data_pipeline.prepare "
            f"--source=folder --videos=VIDEOS --data_dir={data_dir} --name={name}`"
        )
    return versions[-1]


def _tfds_builder(folder: Path) -> Any:
    from data_pipeline.tf_cpu import tf  # noqa: F401  (before TFDS, so that no GPU is touched)

    import tensorflow_datasets as tfds  # isort: skip

    return tfds.builder_from_directory(str(folder))


def _recorded_spec(folder: Path, metadata: Any) -> DataSetSpec:
    try:
        return DataSetSpec(**{field.name: metadata[field.name] for field in dataclasses.fields(DataSetSpec)})
    except (KeyError, TypeError):
        raise InputError(
            f"{folder} does not record how it was cut; make the set with `python -m data_pipeline.prepare`"
        ) from None


def _scan(paths: list[Path]) -> tuple[Clip, ...]:
    """Reads every record once, one at a time, for its place and its facts."""
    clips = []
    for shard, path in enumerate(paths):
        with path.open("rb") as file:
            clips += [_clip(data, shard, offset) for offset, data in _records(path, file)]
    return tuple(clips)


def _records(path: Path, file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """(offset, data) of the records of one TFRecord file."""
    while header := file.read(_HEADER.size):
        length = _HEADER.unpack(header)[0] if len(header) == _HEADER.size else 0
        offset = file.tell()
        data = file.read(length + _FOOTER_BYTES) if length and _is_header(header, length) else b""
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
    )


def _index_path(folder: Path, split: str) -> Path:
    return folder / f"index-{split}.json"


def _shard_sizes(paths: list[Path]) -> list[list[Any]]:
    return [[path.name, path.stat().st_size] for path in paths]


def _write_index(folder: Path, split: str, paths: list[Path], clips: tuple[Clip, ...]) -> None:
    columns = {
        field.name: [getattr(clip, field.name) for clip in clips] for field in dataclasses.fields(Clip)
    }
    beside = folder / f".index-{split}.{os.getpid()}.tmp"
    beside.write_text(json.dumps({"format": _INDEX_FORMAT, "shards": _shard_sizes(paths), "clips": columns}))
    os.replace(beside, _index_path(folder, split))


def _read_index(folder: Path, split: str, paths: list[Path]) -> tuple[Clip, ...] | None:
    """The stored index; None when it is missing or belongs to other files."""
    try:
        index = json.loads(_index_path(folder, split).read_text())
        if index["format"] != _INDEX_FORMAT or index["shards"] != _shard_sizes(paths):
            return None
        columns = [index["clips"][field.name] for field in dataclasses.fields(Clip)]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return tuple(Clip(*row) for row in zip(*columns, strict=True))


def _close_all(descriptors: dict[int, int]) -> None:
    while descriptors:
        os.close(descriptors.popitem()[1])


def _crc_table() -> tuple[int, ...]:
    """Byte table of CRC-32C, the checksum of TFRecord (reflected polynomial 0x82F63B78)."""
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return tuple(table)


_CRC_TABLE = _crc_table()


def _is_header(header: bytes, length: int) -> bool:
    """Whether 12 bytes are the header of a record of that length: the length and its masked checksum."""
    crc = 0xFFFFFFFF
    for byte in header[:8]:
        crc = (crc >> 8) ^ _CRC_TABLE[(crc ^ byte) & 0xFF]
    crc ^= 0xFFFFFFFF
    masked = (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
    return _HEADER.unpack(header) == (length, masked)
