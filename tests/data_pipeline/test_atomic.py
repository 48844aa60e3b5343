import errno
import os
from pathlib import Path

import pytest

from data_pipeline.atomic import atomic_folder, refuse_mount_point, write_atomically
from data_pipeline.command import InputError


def test_a_folder_that_cannot_be_replaced_leaves_nothing_beside_it(tmp_path, monkeypatch):
    target = tmp_path / "out"
    target.mkdir()

    def busy(source, to):
        raise OSError(errno.EBUSY, "Device or resource busy", str(source), None, str(to))

    monkeypatch.setattr(os, "replace", busy)
    with pytest.raises(OSError, match="busy"), atomic_folder(target, ()):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_mount_point_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    target = tmp_path / "out"
    target.mkdir()
    monkeypatch.setattr(Path, "is_mount", lambda path: path == target.resolve())
    with pytest.raises(InputError, match="is a mount point and cannot be replaced"), atomic_folder(target, ()):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_the_folder_in_which_one_stands_is_no_mount_point(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refuse_mount_point(Path("."))


def test_names_may_have_every_length_that_the_file_system_allows(tmp_path):
    for name in ("x" * 255, "\u4e8c" * 85, "x" * 249):
        write_atomically(tmp_path / name, "text", shared=True)
        write_atomically(tmp_path / name, "other")
        assert (tmp_path / name).read_text(encoding="utf-8") == "other"
        with atomic_folder(tmp_path / name[::-1][:-1], ()):
            pass
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    with pytest.raises(OSError, match="name too long") as caught:
        write_atomically(tmp_path / ("x" * 256), "text")
    assert caught.value.filename == str(tmp_path / ("x" * 256))
