"""A report's folder: nothing else is ever replaced, and an earlier report stays until the new one is whole."""

import itertools
import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from data_pipeline.command import InputError


@contextmanager
def replacing(directory: Path, parts: Collection[str]) -> Iterator[Path]:
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
        folder = target.parent / f".{target.name}.{os.getpid()}-{attempt}"
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
    raise AssertionError
