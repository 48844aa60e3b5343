"""Sets that were copied incompletely or beside which other programs left files; docs/CASES.md names public reports."""

import shutil
from pathlib import Path

import pytest

from data_pipeline.command import InputError
from data_pipeline.records.store import RecordStore


@pytest.fixture
def copied(tiny_set: Path, tmp_path: Path) -> Path:
    """The folder of a copy of the tiny set."""
    shutil.copytree(tiny_set / "tiny", tmp_path / "tiny")
    return tmp_path / "tiny" / "1.0.0"


def opened(folder: Path) -> RecordStore:
    return RecordStore.open(folder.parents[1], "tiny", "train")


@pytest.mark.parametrize("part", [0.0, 0.5])
@pytest.mark.parametrize("name", ["dataset_info.json", "features.json", "metadata.json"])
def test_a_description_that_was_cut_off_is_one_sentence(copied: Path, name: str, part: float) -> None:
    path = copied / name
    path.write_bytes(path.read_bytes()[: round(part * path.stat().st_size)])
    with pytest.raises(InputError, match=f"{name} is damaged .*; copy the data set again, or prepare it again$"):
        opened(copied)


@pytest.mark.parametrize("content", [None, b"", b"\r\n"])
def test_a_set_without_the_names_of_its_classes_is_refused(copied: Path, content: bytes | None) -> None:
    path = copied / "label.labels.txt"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"label.labels.txt is missing or empty"):
        opened(copied)


def test_records_that_are_missing_at_the_end_are_counted(copied: Path) -> None:
    store = opened(copied)
    (shard,) = copied.glob("*-train.tfrecord*")
    last = max(store.clips, key=lambda clip: clip.offset)
    content = shard.read_bytes()
    store.close()
    shard.write_bytes(content[: last.offset - 12])  # the last record begins with a header of 12 bytes
    with pytest.raises(InputError, match=r"holds 15 of 16 records of train; copy the data set again"):
        opened(copied)
    shard.write_bytes(b"")
    with pytest.raises(InputError, match=r"holds 0 of 16 records of train"):
        opened(copied)


def test_other_line_ends_and_files_of_other_programs_change_nothing(copied: Path) -> None:
    store = opened(copied)
    expected = (store.classes, store.read(3))
    store.close()
    for name in ("label.labels.txt", "dataset_info.json", "features.json", "metadata.json"):
        (copied / name).write_bytes((copied / name).read_bytes().replace(b"\n", b"\r\n"))
    for path in list(copied.iterdir()):
        (copied / f"._{path.name}").write_bytes(b"\0\5\x16\7")  # macOS keeps attributes in such files
    for folder in (copied, copied.parent):
        (folder / ".DS_Store").write_bytes(b"x")
    (copied.parent / "2.0.0").mkdir()
    (copied.parent / "1.0.0 copy").mkdir()
    store = opened(copied)
    assert (store.classes, store.read(3)) == expected
    store.close()
