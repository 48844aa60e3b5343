"""Keeps decoded frames in memory or on a disk, because decoding takes most of the time of a mixture."""

import errno
import math
import os
import tempfile
import threading
import weakref
from collections.abc import Hashable
from pathlib import Path
from typing import TypeAlias

import numpy as np
from absl import logging

from data_pipeline.command import InputError

PIECE_BYTES = 64 << 20  # memory and disk are taken in pieces as they are needed
_LEFT_FREE_BYTES = 10 << 30  # stays free on the disk (of a small one, a tenth), because checkpoints need space, too


class PictureCache:
    """Keeps the first frames that it is given until it is full; several threads may use it.

    No frame is ever evicted: all frames are drawn equally often, so no eviction rule would give more hits. When the
    disk fills up, the cache stops growing and logs a warning.

    Args:
        max_bytes: Limit for all frames together, in steps of `PIECE_BYTES`; 0 keeps none.
        folder: Folder on the disk to use; None keeps frames in memory.

    Raises:
        InputError: The folder cannot be used.
    """

    def __init__(self, max_bytes: int, folder: Path | None = None) -> None:
        self._max_bytes = max_bytes
        self._is_full = max_bytes < PIECE_BYTES
        self._storage = _Memory() if folder is None or self._is_full else _File(folder)
        self._taken = self._used = 0  # bytes of storage
        self._pictures: dict[Hashable, Picture] = {}
        self._lock = threading.Lock()
        self._process = os.getpid()

    def __len__(self) -> int:
        """Returns the number of frames kept."""
        return len(self._pictures)

    def get(self, key: Hashable) -> "Picture | None":
        """Returns a frame, uint8 (height, width, 3), or None when it is not kept."""
        return self._pictures.get(key)

    def put(self, key: Hashable, picture: np.ndarray) -> None:
        """Keeps a copy of a frame, uint8 (height, width, 3), unless the cache is full."""
        if os.getpid() != self._process:
            return  # a forked process shares the file and would write to the same places
        try:
            with self._lock:
                if key in self._pictures or (place := self._room(picture.size)) is None:
                    return
            self._pictures[key] = self._storage.write(place, picture)
        except OSError as error:
            with self._lock:
                self._end_growth(logging.WARNING, f"because its disk is full ({error.strerror})")

    def _room(self, size: int) -> int | None:
        """Reserves a number of adjacent bytes and returns the position of the first one."""
        if self._is_full or size > PIECE_BYTES:
            return None
        if self._used + size > self._taken:
            if self._taken + PIECE_BYTES > self._max_bytes:
                self._end_growth(logging.INFO, "as config.data.picture_cache_gib says")
                return None
            self._storage.grow(self._taken)
            self._used, self._taken = self._taken, self._taken + PIECE_BYTES
        self._used += size
        return self._used - size

    def _end_growth(self, level: int, reason: str) -> None:
        if not self._is_full:
            logging.log(
                level,
                "the picture cache stops at %d pictures (%.1f GiB), %s; the others are decoded each time",
                len(self),
                self._taken / 2**30,
                reason,
            )
        self._is_full = True


class _Memory:
    """Storage in memory."""

    def __init__(self) -> None:
        self._pieces: list[np.ndarray] = []

    def grow(self, taken: int) -> None:
        """Adds a piece."""
        del taken
        self._pieces.append(np.empty(PIECE_BYTES, np.uint8))

    def write(self, place: int, picture: np.ndarray) -> np.ndarray:
        """Copies a frame to a position and returns the copy."""
        piece, first = divmod(place, PIECE_BYTES)
        kept = self._pieces[piece][first : first + picture.size].reshape(picture.shape)
        kept[...] = picture
        return kept


class _File:
    """Storage in a nameless file, which disappears with the process, however it ends.

    The operating system keeps frequently read parts in memory. The file is read instead of mapped. A disk fault is then
    an exception and not a signal that ends the process, and rows on the disk are read in one request instead of page by
    page.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            file = tempfile.TemporaryFile(dir=folder, buffering=0)
        except OSError as error:
            raise InputError(
                f"config.data.picture_cache_dir={str(folder)!r} cannot hold the picture cache ({error.strerror}); name "
                "a folder on a disk of this machine, or '' to keep pictures in memory"
            ) from None
        self._descriptor = file.fileno()
        weakref.finalize(self, file.close)

    def grow(self, taken: int) -> None:
        """Adds a piece.

        Args:
            taken: Current size in bytes.

        Raises:
            OSError: The disk has no space for it.
        """
        disk = os.fstatvfs(self._descriptor)
        left_free = min(_LEFT_FREE_BYTES, disk.f_blocks * disk.f_frsize // 10)
        if disk.f_bavail * disk.f_frsize < PIECE_BYTES + left_free:
            raise OSError(errno.ENOSPC, f"{left_free / 2**30:.1f} GiB of it stay free")
        if hasattr(os, "posix_fallocate"):  # missing on macOS, where writing a frame fails on a full disk
            os.posix_fallocate(self._descriptor, taken, PIECE_BYTES)

    def write(self, place: int, picture: np.ndarray) -> "PictureInFile":
        """Writes a frame at a position and returns its handle.

        Raises:
            OSError: The disk has no space for it.
        """
        if os.pwrite(self._descriptor, np.ascontiguousarray(picture).data, place) != picture.size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return PictureInFile(self, place, picture.shape)

    def read(self, place: int, shape: tuple[int, ...]) -> np.ndarray:
        """Reads bytes at a position.

        Raises:
            InputError: The disk does not return them.
        """
        array = np.empty(shape, np.uint8)
        try:
            if os.preadv(self._descriptor, [array.data], place) == array.size:
                return array
            reason = "bytes are missing"
        except OSError as error:
            reason = error.strerror
        raise InputError(
            f"the picture cache in config.data.picture_cache_dir={str(self._folder)!r} cannot be read ({reason}); name "
            "a folder on another disk, or '' to keep pictures in memory"
        )


class PictureInFile:
    """A frame in a file; `picture[first:end]` reads only these rows, uint8 (rows, width, 3).

    Attributes:
        shape: Shape of the frame, (height, width, 3).
    """

    __slots__ = ("_file", "_place", "shape")

    def __init__(self, file: _File, place: int, shape: tuple[int, ...]) -> None:
        self._file = file
        self._place = place
        self.shape = shape

    def __getitem__(self, rows: slice) -> np.ndarray:
        """Reads rows."""
        height, *row = self.shape
        first, end, _ = rows.indices(height)
        return self._file.read(self._place + first * math.prod(row), (end - first, *row))


Picture: TypeAlias = np.ndarray | PictureInFile
