"""Random access to the records of a TFDS data set.

A mixture of step 812 needs five given clips, not the next five of a stream. An index of byte offsets therefore lies in
the same folder as the TFRecord shards. It is made from the written files, because TFDS shuffles the records.
"""

import dataclasses
import json
import os
import threading
import weakref
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from absl import logging

from data_pipeline.command import InputError, command_line
from data_pipeline.records import index_file
from data_pipeline.records.index_file import Clip
from data_pipeline.records.picture_cache import PictureCache
from data_pipeline.spec import DataSetSpec

__all__ = ["Clip", "RecordStore", "set_names"]

_LABEL_FILE = "label.labels.txt"
_SPEC_FIELDS = ("rate_hz", "fps", "frame_px")


class RecordStore:
    """One split of one or more prepared data sets, read record by record in any order, from any thread.

    Attributes:
        spec: How the sets were cut.
        classes: Names of the labels.
        clips: One entry per record, in the order of the files.
        folder: Folder of the (first) set.
        decoded: Cache of decoded frames.
        split: Name of the split.
        features: Kept features of its frames, `features.KeptFeatures`, or None.
    """

    def __init__(self, split: str, sets: Sequence["_Set"], cache: PictureCache | None = None) -> None:
        self.folder = sets[0].folder
        self.split = split
        self.features: Any = None
        self.spec = sets[0].spec
        self.classes = sets[0].classes
        self.clips = _joined(sets)
        self.decoded = PictureCache(0) if cache is None else cache
        self._paths = [path for each in sets for path in each.paths]
        self._descriptors: dict[int, int] = {}
        self._lock = threading.Lock()
        self._finalizer = weakref.finalize(self, _close_all, self._descriptors)

    @classmethod
    def open(cls, data_dir: Path, name: str, split: str, *, cache: PictureCache | None = None) -> "RecordStore":
        """Opens a split.

        Args:
            data_dir: Folder of data sets.
            name: Name of the set. Several names, separated by commas, give the records of all sets together, whose
                videos have the set's name in front of theirs.
            split: "train", "validation" or "test".
            cache: Cache of decoded frames; None keeps none.

        Raises:
            InputError: A set or its split does not exist or is damaged, a set was not made by `data_pipeline.prepare`,
                or sets have other classes than the first one or were cut otherwise.
        """
        return cls(split, [_open_set(data_dir, each, split) for each in set_names(name)], cache)

    def __len__(self) -> int:
        return len(self.clips)

    def require(self, spec: DataSetSpec) -> None:
        """Raises an error when the set was cut otherwise than a run needs; `chunk_seconds` is not compared.

        Raises:
            InputError: Names the field, both values and the remedy.
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
        """Reads the serialized example of one record.

        Args:
            index: Index into `clips`.

        Raises:
            InputError: The file is shorter than the index says, or the record lies elsewhere.
        """
        clip = self.clips[index]
        self._require_record(index)
        return self._pread(index, 0, clip.length)

    def read_sound(self, index: int, start: int = 0, samples: int | None = None) -> np.ndarray:
        """Reads a window of a record's audio without the other parts of the record.

        Args:
            index: Index into `clips`.
            start: First sample.
            samples: Length; None reads to the end.

        Returns:
            int16 (samples,), full scale 32768, read-only.

        Raises:
            InputError: See `read`.
            ValueError: The record is shorter.
        """
        clip = self.clips[index]
        samples = clip.samples - start if samples is None else samples
        if start < 0 or start + samples > clip.samples:
            raise ValueError(
                f"samples {start} to {start + samples} are not in record {index}, which has {clip.samples}; "
                "draw windows that end within it"
            )
        self._require_record(index)
        return np.frombuffer(self._pread(index, clip.parts.sound + 2 * start, 2 * samples), "<i2")

    def read_pictures(self, index: int, numbers: Iterable[int]) -> list[bytes]:
        """Reads some frames of a record as JPEG files without the other parts of the record.

        Args:
            index: Index into `clips`.
            numbers: Indices of the frames in the record.

        Raises:
            InputError: See `read`.
        """
        self._require_record(index)
        spans = [self.clips[index].parts.picture(number) for number in numbers]
        return [self._pread(index, first, end - first) for first, end in spans]

    def read_boxes(self, index: int) -> np.ndarray:
        """Reads the player's boxes in all frames of a record, float32 (frames, 4); see `docs/DATA.md`.

        Raises:
            InputError: See `read`.
        """
        clip = self.clips[index]
        self._require_record(index)
        return np.frombuffer(self._pread(index, clip.parts.boxes, 16 * clip.frames), "<f4").reshape(-1, 4)

    def close(self) -> None:
        """Closes the files; the next read opens them again."""
        with self._lock:
            _close_all(self._descriptors)

    def _require_record(self, index: int) -> None:
        """Raises an error when the record is not where the index says."""
        size = index_file.HEADER.size
        if not index_file.is_header(self._pread(index, -size, size), self.clips[index].length):
            raise self._damaged(index)

    def _pread(self, index: int, first: int, size: int) -> bytes:
        """Reads bytes at an offset from the start of a record's data."""
        clip = self.clips[index]
        data = os.pread(self._descriptor(clip.shard), size, clip.offset + first)
        if len(data) != size:
            raise self._damaged(index)
        return data

    def _damaged(self, index: int) -> InputError:
        clip = self.clips[index]
        return InputError(
            f"{self._paths[clip.shard]} is damaged at byte {clip.offset}: record {index} is not where "
            "the index has it; prepare the data set again"
        )

    def _descriptor(self, shard: int) -> int:
        with self._lock:
            if shard not in self._descriptors:
                self._descriptors[shard] = os.open(self._paths[shard], os.O_RDONLY | os.O_CLOEXEC)
            return self._descriptors[shard]


def set_names(names: str) -> list[str]:
    """Returns the names of data sets that are written with commas between them."""
    return [name.strip() for name in names.split(",")]


class _Set(NamedTuple):
    """One split of one set."""

    name: str
    folder: Path
    spec: DataSetSpec
    classes: tuple[str, ...]
    clips: tuple[Clip, ...]
    paths: list[Path]


def _open_set(data_dir: Path, name: str, split: str) -> _Set:
    folder = _find_set(data_dir, name)
    _refuse_damaged_descriptions(folder)
    info = _tfds_builder(folder).info
    spec = _recorded_spec(folder, info.metadata)  # raises for foreign sets, whose features the scan cannot read
    if not _is_text(folder / _LABEL_FILE):
        # TFDS would call the classes 0, 1, 2 without a word.
        raise InputError(f"{folder / _LABEL_FILE} is missing or empty; copy the data set again, or prepare it again")
    if split not in info.splits:
        raise InputError(f"{folder} has no split {split!r}; it has {', '.join(sorted(info.splits))}")
    paths = [Path(path) for path in info.splits[split].filepaths]
    if gone := [path for path in paths if not path.exists()]:
        raise InputError(f"{gone[0]} is gone; prepare the data set again")
    clips = index_file.read_index(folder, split, paths)
    if clips is None:
        logging.info("no index of %s/%s; reading its records once to make one", folder, split)
        clips = index_file.scan(paths)
        stated = info.splits[split].num_examples
        if len(clips) != stated:
            raise InputError(
                f"{folder} holds {len(clips)} of {stated} records of {split}; copy the data set again, or prepare it "
                "again"
            )
        try:
            index_file.write_index(folder, split, paths, clips)
        except OSError as error:  # a set on a read-only disk works, too
            logging.info("the index is kept in memory: %s", error)
    return _Set(name, folder, spec, tuple(info.features["label"].names), clips, paths)


def _joined(sets: Sequence[_Set]) -> tuple[Clip, ...]:
    """Returns the clips of all sets, or raises InputError where they do not fit together."""
    first, *others = sets
    if not others:
        return first.clips
    if len({each.name for each in sets}) < len(sets):
        raise InputError(f"{','.join(each.name for each in sets)} names a data set twice; name each once")
    clips: list[Clip] = []
    shards = 0
    for each in sets:
        for what in ("classes", *_SPEC_FIELDS):
            own, wanted = (getattr(x if what == "classes" else x.spec, what) for x in (each, first))
            if own != wanted:
                raise InputError(
                    f"{each.folder} has other {what} than {first.folder} ({own}, not {wanted}); name sets that were "
                    "prepared alike"
                )
        clips += [
            dataclasses.replace(clip, video_id=f"{each.name}/{clip.video_id}", shard=clip.shard + shards)
            for clip in each.clips
        ]
        shards += len(each.paths)
    return tuple(clips)


def _find_set(data_dir: Path, name: str) -> Path:
    """Returns the folder of the latest version of a set."""
    # Versions begin with a digit; a killed build may leave a folder of another name.
    versions = sorted(path.parent for path in (data_dir / name).glob("[0-9]*/dataset_info.json"))
    if not versions:
        wanted = ("--source=folder", "--videos=VIDEOS", f"--data_dir={data_dir}", f"--name={name}")
        raise InputError(
            f"no data set at {data_dir / name}; make it with `{command_line('data_pipeline.prepare', *wanted)}`"
        )
    return versions[-1]


def _refuse_damaged_descriptions(folder: Path) -> None:
    """Raises InputError where a file that describes a set is no JSON, which TFDS reports by errors of many types."""
    for name in ("dataset_info.json", "features.json", "metadata.json"):
        path = folder / name
        try:
            if path.exists():
                json.loads(path.read_bytes())
        except ValueError as error:
            raise InputError(f"{path} is damaged ({error}); copy the data set again, or prepare it again") from None


def _is_text(path: Path) -> bool:
    return path.is_file() and bool(path.read_bytes().strip())


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


def _close_all(descriptors: dict[int, int]) -> None:
    while descriptors:
        os.close(descriptors.popitem()[1])
