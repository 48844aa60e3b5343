"""Gives sounds to the user as files: one, or several in a ZIP that is made while it is sent."""

import io
import re
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mpnet_jax.demo.limits import RefusalError
from mpnet_jax.demo.separating import RESIDUAL
from mpnet_jax.demo.store import Record

_CHUNK = 1 << 18
_ZIP64_BYTES = 1 << 30


def rows(record: Record) -> dict[str, dict[str, Any]]:
    """Returns the facts of each row of the mixer by its key: the sound's number as text, or "residual"."""
    found = {str(sound["number"]): sound for sound in record.facts.get("sounds", ())}
    return found | {RESIDUAL: record.facts["residual"]} if record.facts else {}


def row(record: Record, key: str) -> dict[str, Any]:
    """Returns the facts of a row.

    Raises:
        RefusalError: There is no such row.
    """
    found = rows(record).get(key)
    if found is None:
        raise RefusalError(404, "There is no such sound.")
    return found


def shown_name(record: Record, key: str) -> str:
    """Returns the name that the user gave to a sound, or else that of the classifier; may be empty."""
    return record.names.get(key) or rows(record)[key].get("name") or ""


def file_name(record: Record, key: str) -> str:
    """Returns the name of the file of a row, such as "concert sound1 violin.wav"."""
    kind = RESIDUAL if key == RESIDUAL else f"sound{key}"
    return _plain(f"{Path(record.title).stem} {kind} {shown_name(record, key)}") + ".wav"


def _plain(text: str) -> str:
    """Returns a text in which everything but letters, digits, blanks, points and hyphens is left out."""
    return " ".join(re.sub(r"[^\w .-]", " ", text).split()).strip(" .")


def attachment(name: str) -> str:
    """Returns the value of `Content-Disposition` for a file name."""
    ascii_name = re.sub(r"[^A-Za-z0-9 ._-]", "_", name)
    return f"attachment; filename=\"{ascii_name}\"; filename*=UTF-8''{quote(name, safe='')}"


class _Pipe(io.RawIOBase):
    """A file that collects what is written to it."""

    def __init__(self) -> None:
        self.waiting = bytearray()

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, data: Any) -> int:
        """Appends."""
        self.waiting += data
        return len(data)

    def take(self) -> bytes:
        """Returns what was written since the last call."""
        taken, self.waiting = bytes(self.waiting), bytearray()
        return taken


def zipped(files: Sequence[tuple[Path, str]]) -> Iterator[bytes]:
    """Yields a ZIP file, in which the files are not compressed, as it is made.

    Args:
        files: Paths and names in the ZIP file.
    """
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w") as archive:
        for path, name in files:
            large = path.stat().st_size > _ZIP64_BYTES
            with path.open("rb") as source, archive.open(zipfile.ZipInfo(name), "w", force_zip64=large) as target:
                while chunk := source.read(_CHUNK):
                    target.write(chunk)
                    yield pipe.take()
    yield pipe.take()
