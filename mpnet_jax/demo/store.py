"""The demo's folder: one subfolder with a random name for each result, and the uploads that are still arriving."""

import contextlib
import dataclasses
import fcntl
import json
import os
import re
import secrets
import shutil
import threading
import time
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from absl import logging

from data_pipeline.atomic import write_atomically
from data_pipeline.command import InputError
from mpnet_jax.demo.limits import RefusalError

WAITING, RUNNING, DONE, FAILED = "waiting", "running", "done", "failed"
_IDENTIFIER = re.compile(r"[0-9a-f]{24}")
_LONGEST_TITLE = 120
_LONGEST_NAME = 60
_INCOMING = "incoming"
_RECORD = "record.json"


@dataclasses.dataclass
class Record:
    """A video and what became of it; `record.json` of its folder.

    Attributes:
        id: Random name of the folder.
        title: The file's name as shown to the user; it is never used as a path.
        created: Seconds since 1970.
        state: One of `WAITING`, `RUNNING`, `DONE` and `FAILED`.
        sounds: The number of sounds that the user chose; None for that of the recursion.
        sample: Name of the rendered sample; None for an uploaded video.
        error: Why it failed; None otherwise.
        seconds: Duration of the recording; None before the separation.
        names: Names that the user gave, by the sound's number as text.
        facts: What the page shows of a finished separation.
    """

    id: str
    title: str
    created: float
    state: str = WAITING
    sounds: int | None = None
    sample: str | None = None
    error: str | None = None
    seconds: float | None = None
    names: dict[str, str] = dataclasses.field(default_factory=dict)
    facts: dict[str, Any] = dataclasses.field(default_factory=dict)


class Store:
    """Keeps the results in a folder; its methods may be called from several threads.

    Args:
        folder: The folder; created when missing.
        most: Maximum number of results.

    Raises:
        InputError: The folder cannot be used, or another server uses it.
    """

    def __init__(self, folder: Path, *, most: int) -> None:
        self._folder, self._most, self._lock = folder.absolute(), most, threading.RLock()
        try:
            (self._folder / _INCOMING).mkdir(parents=True, exist_ok=True)
            self._held = (self._folder / ".lock").open("w", encoding="utf-8")
        except OSError as error:
            raise InputError(f"--folder={folder} cannot be used: {error.strerror}; name another folder") from None
        try:
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._held.close()
            raise InputError(f"--folder={folder} is used by another demo; stop it, or name another folder") from None
        for left in (self._folder / _INCOMING).iterdir():
            left.unlink()
        self._records = {record.id: record for record in self._read()}

    def close(self) -> None:
        """Releases the folder for other servers."""
        self._held.close()

    def _read(self) -> Iterator[Record]:
        """Yields the records of the folder; a damaged one is reported and left alone."""
        for folder in sorted(self._folder.iterdir()):
            if not _IDENTIFIER.fullmatch(folder.name):
                continue
            try:
                record = Record(**json.loads((folder / _RECORD).read_text(encoding="utf-8")))
            except (OSError, ValueError, TypeError) as error:
                logging.warning("the result in %s cannot be read and is not listed: %s", folder, error)
                continue
            if record.id != folder.name:
                logging.warning("the result in %s is that of another folder and is not listed", folder)
                continue
            if record.state == RUNNING:
                record.state, record.error = FAILED, "The server ended during the separation; separate the video again."
            yield record

    @property
    def folder(self) -> Path:
        """The absolute path of the folder."""
        return self._folder

    def records(self) -> list[Record]:
        """Returns all records, the newest first."""
        with self._lock:
            return sorted(self._records.values(), key=lambda record: -record.created)

    def get(self, identifier: str) -> Record:
        """Returns a record.

        Raises:
            RefusalError: There is none of this name.
        """
        with self._lock:
            if identifier not in self._records:
                raise RefusalError(404, "There is no such result; it may have been deleted.")
            return self._records[identifier]

    def path(self, record: Record, *parts: str) -> Path:
        """Returns a path in the folder of a record; `parts` never come from a request."""
        return self._folder.joinpath(record.id, *parts)

    def require_room(self) -> None:
        """Raises RefusalError if there are as many results as are kept."""
        with self._lock:
            if len(self._records) >= self._most:
                raise RefusalError(409, f"There are already {self._most} results; delete one of them first.")

    @contextlib.contextmanager
    def incoming(self) -> Iterator[Path]:
        """Gives the path of a file that does not exist yet; what is left of it is removed at the end."""
        path = self._folder / _INCOMING / secrets.token_hex(12)
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    def add(self, title: str, *, sounds: int | None = None, sample: str | None = None, upload: Path | None) -> Record:
        """Adds a video.

        Args:
            title: Name of the file, of any content.
            sounds: Number of sounds; None lets the recursion stop by itself.
            sample: Name of the sample that has to be rendered.
            upload: The video, which is moved if it lies in `incoming` and else linked; None if it has to be rendered.

        Raises:
            RefusalError: There are too many results.
        """
        record = Record(secrets.token_hex(12), clean_title(title), time.time(), sounds=sounds, sample=sample)
        with self._lock:
            self.require_room()
            self.path(record).mkdir()
            if upload is not None and upload.parent.name == _INCOMING:
                upload.rename(self.path(record, "video"))
            elif upload is not None:
                _link(upload, self.path(record, "video"))
            self._records[record.id] = record
            self.save(record)
        return record

    def save(self, record: Record) -> None:
        """Writes a record to its folder."""
        with self._lock:
            if record.id in self._records:
                text = json.dumps(dataclasses.asdict(record), indent=1, allow_nan=False)
                write_atomically(self.path(record, _RECORD), text + "\n")

    def delete(self, record: Record) -> None:
        """Removes a record with all its files."""
        with self._lock:
            self._records.pop(record.id, None)
            # Without its record, the rest of an interrupted deletion is not listed.
            self.path(record, _RECORD).unlink(missing_ok=True)
        shutil.rmtree(self.path(record), ignore_errors=True)


def _link(source: Path, target: Path) -> None:
    """Links a file, or copies it where the file system has no links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def clean_title(title: str) -> str:
    """Returns a file name as a title: its last part, printable and not too long."""
    last = re.split(r"[/\\]", title.encode("utf-8", "replace").decode())[-1]
    text = "".join(" " if unicodedata.category(letter)[0] in "CZ" else letter for letter in last)
    text = " ".join(text.split())
    return text[:_LONGEST_TITLE] if text.strip(". ") else "video"


def clean_name(name: str) -> str:
    """Returns the name of a sound on one line; it may be empty."""
    text = name.encode("utf-8", "replace").decode()
    text = "".join(" " if unicodedata.category(letter)[0] in "CZ" else letter for letter in text)
    return " ".join(text.split())[:_LONGEST_NAME]
