"""Finds folders of recorded notes: `DIR/<class>/A4.mp3`, or several instruments of a class in subfolders."""

import dataclasses
import hashlib
import os
import pathlib
import re
from collections.abc import Iterator, Mapping

from data_pipeline.command import InputError
from data_pipeline.rendered.sound.instruments import CLASSES

SUFFIXES = (".mp3", ".wav", ".flac", ".ogg", ".m4a")
_STEPS = {"c": 0, "d": 2, "e": 4, "f": 5, "g": 7, "a": 9, "b": 11}
_ACCIDENTALS = {"": 0, "s": 1, "#": 1, "b": -1}
# A text after the note, as in "F2 v2", marks another recording of the same note.
_NOTE = re.compile(r"([A-Ga-g])([s#b]?)(-1|\d)(?:[ _.-].*)?")
_LICENCE_FILE = re.compile(r"(licen[sc]e|copying|copyright)", re.IGNORECASE)
_LICENCE_SECTION = re.compile(r"^#+\s*licen[sc]e\s*$(.+)", re.IGNORECASE | re.MULTILINE | re.DOTALL)
_MOST_LICENCE_CHARACTERS = 400


@dataclasses.dataclass(frozen=True)
class NoteSet:
    """Recorded notes of one instrument.

    Attributes:
        name: Path of its folder relative to the folder of all classes.
        files: (MIDI pitch, file) of each recording, by pitch and then by file name.
    """

    name: str
    files: tuple[tuple[int, pathlib.Path], ...]


@dataclasses.dataclass(frozen=True)
class NoteFolder:
    """Identity of a folder of recorded notes.

    Attributes:
        path: The folder.
        name: Its name.
        sha256: Hexadecimal digest of names and contents of the recordings.
        licence: Beginning of a licence text in the folder, if there is one.
        sets: Instruments of each class.
        bundled: Always false; see `SoundFont`.
    """

    path: pathlib.Path
    name: str
    sha256: str
    licence: str
    sets: Mapping[str, tuple[NoteSet, ...]]
    bundled: bool = False


def parse_note(stem: str) -> int | None:
    """Returns the MIDI pitch of a file name without its suffix, such as `A4`, `As3`, `C#5` or `Db4`; C4 is 60.

    Returns None for other names.
    """
    found = _NOTE.fullmatch(stem)
    if not found:
        return None
    step, accidental, octave = found.groups()
    return 12 * (int(octave) + 1) + _STEPS[step.lower()] + _ACCIDENTALS[accidental]


def describe_folder(path: pathlib.Path) -> NoteFolder:
    """Finds the recorded notes of a folder.

    Args:
        path: Folder with a subfolder for each class. Recordings lie in it, or in any of its subfolders, each of which
            is an instrument of its own. Links to folders are followed.

    Raises:
        InputError: No class has a recorded note.
    """
    sets: dict[str, tuple[NoteSet, ...]] = {}
    for name in CLASSES:
        found = tuple(_find_sets(path, path / name))
        if found:
            sets[name] = found
    if not sets:
        raise InputError(
            f"soundfont {path} holds no recorded notes; it needs files such as {path / CLASSES[0] / 'A4.mp3'}, for one "
            f"or more of {', '.join(CLASSES)}"
        )
    digest = hashlib.sha256()
    for found in sets.values():
        for note_set in found:
            for pitch, file in note_set.files:
                content = hashlib.sha256(file.read_bytes()).hexdigest()
                digest.update(f"{note_set.name}/{pitch}/{content}\n".encode())
    return NoteFolder(
        path=path, name=path.resolve().name, sha256=digest.hexdigest(), licence=_find_licence(path, sets), sets=sets
    )


def _find_sets(root: pathlib.Path, folder: pathlib.Path) -> Iterator[NoteSet]:
    for here, folders, files in os.walk(folder, followlinks=True):
        folders.sort()
        found = []
        for name in sorted(files):
            file = pathlib.Path(here, name)
            pitch = parse_note(file.stem) if file.suffix.lower() in SUFFIXES else None
            if pitch is not None:
                found.append((pitch, file))
        if found:
            yield NoteSet(str(pathlib.Path(here).relative_to(root)), tuple(sorted(found)))


def _find_licence(path: pathlib.Path, sets: Mapping[str, tuple[NoteSet, ...]]) -> str:
    """Returns the first licence text in the folder or an instrument's folder, or a README's section of this name."""
    places = [path, *(file.parent for found in sets.values() for note_set in found for _, file in note_set.files[:1])]
    files = [file for place in places for file in sorted(place.iterdir()) if file.is_file()]
    for file in files:
        if _LICENCE_FILE.match(file.name):
            return _shorten(file.read_text(encoding="utf-8", errors="replace"))
    for file in files:
        if file.name.lower().startswith("readme"):
            section = _LICENCE_SECTION.search(file.read_text(encoding="utf-8", errors="replace"))
            if section:
                return _shorten(section[1])
    return "unknown; the folder names none"


def _shorten(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= _MOST_LICENCE_CHARACTERS else words[: _MOST_LICENCE_CHARACTERS - 3] + "..."
