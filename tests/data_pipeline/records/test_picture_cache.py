import errno
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from absl import logging

from data_pipeline.command import InputError
from data_pipeline.records import picture_cache
from data_pipeline.records.picture_cache import PIECE_BYTES, PictureCache, PictureInFile

SHAPE = (8, 6, 3)


def random_picture(seed=0):
    return np.random.default_rng(seed).integers(0, 256, SHAPE, dtype=np.uint8)


@pytest.fixture(params=["memory", "disk"])
def folder(request, tmp_path):
    return tmp_path if request.param == "disk" else None


@pytest.fixture
def small_pieces(monkeypatch):
    """Pieces in which ten pictures have room."""
    monkeypatch.setattr(picture_cache, "PIECE_BYTES", 10 * random_picture().size)
    return 10 * random_picture().size


@pytest.fixture
def said(monkeypatch):
    lines = []
    monkeypatch.setattr(logging, "log", lambda level, text, *values: lines.append((level, text % values)))
    return lines


def test_keeps_what_comes_until_it_is_full(folder, said):
    cache = PictureCache(2 * PIECE_BYTES - 1, folder)  # space for one piece
    for n in range(3):
        cache.put(("clip", n), random_picture(n))
    large = np.zeros((4096, 4096, 3), np.uint8)
    for key in "abc":
        cache.put(key, large)
    assert len(cache) == 4
    for n in range(3):
        np.testing.assert_array_equal(cache.get(("clip", n))[:], random_picture(n))
    assert cache.get("a").shape == large.shape
    assert cache.get("b") is None
    sentence = "stops at 4 pictures (0.1 GiB), as config.data.picture_cache_gib says; the others are decoded each time"
    assert said == [(logging.INFO, f"the picture cache {sentence}")]


def test_no_bytes_keep_nothing_and_open_nothing(tmp_path, said):
    cache = PictureCache(0, tmp_path / "missing")
    cache.put(0, random_picture())
    assert len(cache) == 0
    assert cache.get(0) is None
    assert not said


@pytest.mark.usefixtures("small_pieces")
def test_rows_of_a_file_are_those_of_the_picture(tmp_path):
    cache = PictureCache(1 << 20, tmp_path)
    for n in range(25):  # three pieces
        cache.put(n, random_picture(n)[:, ::-1])  # not contiguous, so it cannot be written without a copy
    for n in range(25):
        kept, picture = cache.get(n), random_picture(n)[:, ::-1]
        assert isinstance(kept, PictureInFile)
        for rows in (slice(None), slice(2, 7), slice(5, 100), slice(0, 1)):
            np.testing.assert_array_equal(kept[rows], picture[rows])


def test_reads_the_rows_that_are_asked_for_and_no_others(tmp_path, monkeypatch):
    cache = PictureCache(PIECE_BYTES, tmp_path)
    cache.put(0, random_picture())
    read, real = [], os.preadv
    monkeypatch.setattr(os, "preadv", lambda *arguments: read.append(real(*arguments)) or read[-1])
    cache.get(0)[2:5]
    assert read == [3 * 6 * 3]


def test_threads_keep_and_read_the_same_pictures(folder, small_pieces):
    cache = PictureCache(50 * small_pieces, folder)

    def work(_):
        for n in range(60):
            cache.put(n, random_picture(n))
            np.testing.assert_array_equal(cache.get(n)[1:], random_picture(n)[1:])

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(8)))
    assert len(cache) == 60


def fail_with(number):
    def call(*_):
        raise OSError(number, os.strerror(number))

    return call


@pytest.mark.parametrize(
    ("name", "fake", "reason"),
    [
        ("posix_fallocate", fail_with(errno.ENOSPC), "No space left on device"),
        ("posix_fallocate", fail_with(errno.EDQUOT), "Disk quota exceeded"),
        ("pwrite", fail_with(errno.ENOSPC), "No space left on device"),
        ("pwrite", lambda *_: 5, "No space left on device"),
    ],
)
def test_a_full_disk_ends_the_growth_with_one_warning(tmp_path, small_pieces, monkeypatch, said, name, fake, reason):
    cache = PictureCache(50 * small_pieces, tmp_path)
    for n in range(10):
        cache.put(n, random_picture(n))
    monkeypatch.setattr(os, name, fake, raising=False)
    for n in range(30):
        cache.put(n, random_picture(n))
    monkeypatch.undo()
    cache.put(30, random_picture())
    assert len(cache) == 10
    for n in range(10):
        np.testing.assert_array_equal(cache.get(n)[:], random_picture(n))
    ((level, sentence),) = said
    assert level == logging.WARNING
    assert f"stops at 10 pictures (0.0 GiB), because its disk is full ({reason}); the others" in sentence


def test_some_of_a_small_disk_stays_free(tmp_path, said):
    disk = tmp_path / "disk"
    disk.mkdir()
    size = 5 * PIECE_BYTES // 2
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no small disk to fill: mounting needs root")
    try:
        cache = PictureCache(100 * PIECE_BYTES, disk)
        piece = np.ones((PIECE_BYTES // 3 // 4096, 4096, 3), np.uint8)
        for n in range(4):
            cache.put(n, piece * n)
        assert len(cache) == 2
        assert [int(cache.get(n)[:1].max()) for n in range(2)] == [0, 1]
        free = os.statvfs(disk)
        assert free.f_bavail * free.f_frsize >= size // 10
        assert len(said) == 1
    finally:
        subprocess.run(["umount", "-l", disk], check=True)  # noqa: S607


def test_nothing_is_left_after_a_kill(tmp_path):
    program = (
        "import sys, numpy, pathlib; from data_pipeline.records.picture_cache import PictureCache; "
        "cache = PictureCache(1 << 30, pathlib.Path(sys.argv[1])); "
        "cache.put(0, numpy.ones((2000, 2000, 3), numpy.uint8)); print(len(cache), flush=True); input()"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "1\n"
        while_it_runs = list(tmp_path.iterdir())
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert while_it_runs == list(tmp_path.iterdir()) == []


def test_a_fork_reads_but_does_not_write(folder, monkeypatch):
    cache = PictureCache(PIECE_BYTES, folder)
    cache.put(0, random_picture())
    monkeypatch.setattr(os, "getpid", lambda: -1)
    cache.put(1, random_picture(1))
    assert len(cache) == 1
    np.testing.assert_array_equal(cache.get(0)[:], random_picture())


def test_a_folder_that_cannot_hold_it_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for name, reason in (("missing", "No such file or directory"), ("file", "Not a directory")):
        with pytest.raises(InputError) as refused:
            PictureCache(PIECE_BYTES, tmp_path / name)
        assert str(refused.value) == (
            f"config.data.picture_cache_dir='{tmp_path / name}' cannot hold the picture cache ({reason}); name a "
            "folder on a disk of this machine, or '' to keep pictures in memory"
        )


@pytest.mark.parametrize(
    ("fake", "reason"), [(fail_with(errno.EIO), "Input/output error"), (lambda *_: 5, "bytes are missing")]
)
def test_a_disk_that_does_not_give_pictures_back_is_named(tmp_path, monkeypatch, fake, reason):
    cache = PictureCache(PIECE_BYTES, tmp_path)
    cache.put(0, random_picture())
    monkeypatch.setattr(os, "preadv", fake)
    with pytest.raises(InputError, match=rf"picture_cache_dir='.*' cannot be read \({reason}\); name a folder on anot"):
        cache.get(0)[:]
