"""A General MIDI soundfont on disk: checks that it is one and says which one it is."""

import dataclasses
import functools
import hashlib
import importlib.resources
import pathlib

from data_pipeline.command import InputError

# TimGM6mb by Tim Brechbill, the file in the pretty_midi wheel; Debian (`timgm6mb-soundfont`) and Alpine
# (`soundfont-timgm`, GPL-2.0-only) distribute the same bank.
_BUNDLED_SHA256 = "82475b91a76de15cb28a104707d3247ba932e228bada3f47bba63c6b31aaf7a1"
_BUNDLED_LICENCE = "GPL-2.0-only (TimGM6mb by Tim Brechbill)"


@dataclasses.dataclass(frozen=True)
class SoundFont:
    """Which soundfont a sound was made with.

    Attributes:
        path: the file.
        name: the name that the bank gives itself, or the file's name.
        sha256: digest of the whole file in hexadecimal digits.
        licence: its licence where known, else what the file says about its copyright.
        bundled: whether it is the one that `pretty_midi` carries.
    """

    path: pathlib.Path
    name: str
    sha256: str
    licence: str
    bundled: bool = False


def bundled_path() -> pathlib.Path:
    """Path of the soundfont which `pretty_midi` carries."""
    # Located without importing pretty_midi, which takes half a second.
    return pathlib.Path(str(importlib.resources.files("pretty_midi"))) / "TimGM6mb.sf2"


def describe_soundfont(path: pathlib.Path) -> SoundFont:
    """Checks a soundfont's header and describes it.

    Raises:
        InputError: no such file, or not a RIFF file of type `sfbk`.
    """
    if not path.is_file():
        raise InputError(f"soundfont {path} is not a file; give an .sf2 file, or leave --soundfont out")
    content = read_soundfont(path)
    if content[:4] != b"RIFF" or content[8:12] != b"sfbk":
        raise InputError(
            f"soundfont {path} begins with {content[:12]!r} instead of RIFF....sfbk, so it is no SoundFont 2 "
            "file; give an .sf2 file, or leave --soundfont out"
        )
    digest = hashlib.sha256(content).hexdigest()
    if digest == _BUNDLED_SHA256:
        licence = _BUNDLED_LICENCE
    else:
        licence = _info_text(content, b"ICOP") or "unknown; the file names none"
    return SoundFont(
        path=path,
        name=_info_text(content, b"INAM") or path.stem,
        sha256=digest,
        licence=licence,
        bundled=digest == _BUNDLED_SHA256,
    )


@functools.lru_cache(maxsize=2)
def read_soundfont(path: pathlib.Path) -> bytes:
    """Content of a soundfont file, kept so that a worker reads it once."""
    return path.read_bytes()


def _info_text(content: bytes, key: bytes) -> str:
    """A text from the INFO list at the beginning of the file, or an empty string."""
    if content[12:16] != b"LIST" or content[20:24] != b"INFO":
        return ""
    place, end = 24, 20 + int.from_bytes(content[16:20], "little")
    while place + 8 <= end:
        size = int.from_bytes(content[place + 4 : place + 8], "little")
        if content[place : place + 4] == key:
            return content[place + 8 : place + 8 + size].split(b"\0")[0].decode("latin-1").strip()
        place += 8 + size + size % 2
    return ""
