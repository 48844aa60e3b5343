"""Checks General MIDI soundfont files and identifies them."""

import dataclasses
import hashlib
import importlib.resources
import pathlib

from data_pipeline.command import InputError

# TimGM6mb by Tim Brechbill, the file in the pretty_midi wheel; Debian (`timgm6mb-soundfont`) and Alpine
# (`soundfont-timgm`, GPL-2.0-only) distribute the same bank.
_BUNDLED_SHA256 = "82475b91a76de15cb28a104707d3247ba932e228bada3f47bba63c6b31aaf7a1"
# The INFO list with the name and the copyright text stands at the beginning of a file.
_HEADER_BYTES = 1 << 18
_BUNDLED_LICENCE = "GPL-2.0-only (TimGM6mb by Tim Brechbill)"


@dataclasses.dataclass(frozen=True)
class SoundFont:
    """Identity of a soundfont.

    Attributes:
        path: The file.
        name: Name in the file, or the file's name.
        sha256: Hexadecimal digest of the file.
        licence: Licence when it is known, else the copyright text in the file.
        bundled: Whether it is the one that `pretty_midi` contains.
    """

    path: pathlib.Path
    name: str
    sha256: str
    licence: str
    bundled: bool = False


def bundled_path() -> pathlib.Path:
    """Returns the path of the soundfont that `pretty_midi` contains."""
    # Located without importing pretty_midi, which takes half a second.
    return pathlib.Path(str(importlib.resources.files("pretty_midi"))) / "TimGM6mb.sf2"


def describe_soundfont(path: pathlib.Path) -> SoundFont:
    """Checks a soundfont's header and describes it.

    Raises:
        InputError: The file does not exist, or is not a RIFF file of type `sfbk`.
    """
    if not path.is_file():
        raise InputError(
            f"soundfont {path} is neither a file nor a folder; give an .sf2 or .sf3 file, a folder of recorded "
            "notes, or leave --soundfont out"
        )
    with path.open("rb") as file:
        content = file.read(_HEADER_BYTES)
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if content[:4] != b"RIFF" or content[8:12] != b"sfbk":
        raise InputError(
            f"soundfont {path} begins with {content[:12]!r} instead of RIFF....sfbk, so it is no SoundFont 2 "
            "file; give an .sf2 or .sf3 file, or leave --soundfont out"
        )
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


def _info_text(content: bytes, key: bytes) -> str:
    """Returns a text from the INFO list at the beginning of the file, or an empty string."""
    if content[12:16] != b"LIST" or content[20:24] != b"INFO":
        return ""
    place, end = 24, min(20 + int.from_bytes(content[16:20], "little"), len(content))
    while place + 8 <= end:
        size = int.from_bytes(content[place + 4 : place + 8], "little")
        if content[place : place + 4] == key:
            return content[place + 8 : place + 8 + size].split(b"\0")[0].decode("latin-1").strip()
        place += 8 + size + size % 2
    return ""
