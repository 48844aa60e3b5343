"""Writes files and folders under a temporary name and renames them when they are complete.

A process may be killed and a disk may fill up at any moment. With a rename at the end, a file of the right name is
always whole, and an earlier version stays until the new one is finished.
"""

import contextlib
import hashlib
import itertools
import os
import shutil
import uuid
from collections.abc import Collection, Iterator
from pathlib import Path

from data_pipeline.command import InputError

_MOST_BYTES_OF_A_NAME = 255


@contextlib.contextmanager
def atomic_file(path: Path, *, shared: bool = False) -> Iterator[Path]:
    """Yields a hidden temporary path beside `path` and renames it to `path` when the block ends without an error.

    Args:
        path: the file to write; its folder is created when missing.
        shared: other processes, perhaps on other machines, may write the same file at the same time: the temporary
            name is then a random one.

    Raises:
        OSError: the file cannot be written; the error names `path`, not the temporary file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unique = f".{uuid.uuid4().hex}" if shared else ""
    draft = path.with_name(_temporary_name(path.name, f"{unique}.part"))
    try:
        yield draft
        os.replace(draft, path)
    except OSError as error:
        if error.filename in (None, str(draft)):
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise
    finally:
        draft.unlink(missing_ok=True)


def write_atomically(path: Path, content: str | bytes, *, shared: bool = False) -> None:
    """Writes a whole file by `atomic_file`; a string is encoded as UTF-8."""
    with atomic_file(path, shared=shared) as draft:
        draft.write_bytes(content.encode() if isinstance(content, str) else content)


@contextlib.contextmanager
def atomic_folder(directory: Path, parts: Collection[str]) -> Iterator[Path]:
    """A new folder that takes the place of `directory` at the end, and of nothing after an error.

    Args:
        directory: made when missing, a link is followed; its parent must be writable.
        parts: names of all that such a report may hold.

    Yields:
        An empty folder to write into.

    Raises:
        InputError: `directory` is something else than such a report, or a mount point, and is left as it is.
    """
    target = directory.resolve()
    refuse_what_is_no_report(target, parts)
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = _new_folder(target)
    try:
        yield fresh
        if target.exists():
            old = _new_folder(target)
            try:
                os.replace(target, old)
            except OSError:
                old.rmdir()
                raise
            try:
                os.replace(fresh, target)
            except OSError:
                os.replace(old, target)
                raise
            shutil.rmtree(old)
        else:
            os.replace(fresh, target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def refuse_what_is_no_report(target: Path, parts: Collection[str]) -> None:
    """Raises InputError where `target` is a file, or a folder that holds anything but `parts`."""
    if not target.exists():
        return
    if not target.is_dir():
        raise InputError(f"{target} is a file; a report needs a folder of its own")
    refuse_mount_point(target)
    others = sorted(entry.name for entry in target.iterdir() if entry.name not in parts)
    if others:
        raise InputError(
            f"{target} holds {others[0]!r}, which no report does, and would be replaced whole; "
            "choose a new or empty folder"
        )


def refuse_mount_point(folder: Path) -> None:
    """Raises InputError where another file system begins: nothing can take the place of such a folder."""
    if folder.resolve().is_mount():
        raise InputError(
            f"{folder} is a mount point and cannot be replaced; name a folder in it, {folder / 'results'} say"
        )


def _new_folder(target: Path) -> Path:
    """A hidden folder beside `target`, on the same file system, with ordinary permissions."""
    for attempt in itertools.count():
        folder = target.parent / _temporary_name(target.name, f".{os.getpid()}-{attempt}")
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
    raise AssertionError


def _temporary_name(name: str, suffix: str) -> str:
    """Returns a hidden name for an unfinished file or folder; a hash stands for a name that would be too long."""
    hidden = f".{name}{suffix}"
    if len(os.fsencode(hidden)) <= _MOST_BYTES_OF_A_NAME:
        return hidden
    return f".{hashlib.sha256(os.fsencode(name)).hexdigest()}{suffix}"
