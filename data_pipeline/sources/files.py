"""Finds files below a folder, accounts for every one, and assigns their names; shared by all sources.

Only files whose names do not tell what they are, are opened; see `video_files`. Pipes never are, because opening one
without a writer blocks for ever.
"""

import os
import stat
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

from data_pipeline.command import InputError
from data_pipeline.sources import Skipped, Video, video_files

UNLABELLED = "unlabelled"
# Files that this project's own commands write to the folder of the videos.
RECORD_NAMES = ("download.json", "rendered_solos.json")
BROKEN_LINK = "broken link"
HIDDEN = "hidden"
LINK_OUT = "link out of the folder"
LINK_TO_FOLDER = "link to a folder"
MISSING = "missing"
NOT_A_FILE = "not a file"
NOT_A_VIDEO = "other file"
NOT_READABLE = "not readable"
TWIN = "another file has its id"
TWO_CLASSES = "listed under another class before"
# A folder may hold a hundred thousand extracted images; above this number they are counted instead of named.
_OTHERS_NAMED = 100


def require_folder(folder: Path) -> Path:
    """Resolves the root folder of a source.

    Raises:
        InputError: The folder does not exist.
    """
    if not os.path.isdir(folder):  # Path.is_dir may raise
        raise InputError(f"--videos={safe_name(str(folder))} is not a folder; give one that holds videos")
    return folder.resolve()


def find_files(folder: Path, skipped: dict[str, Skipped], *, lists: Sequence[Path] = ()) -> Iterator[Path]:
    """Finds videos at any depth.

    Args:
        folder: Folder to search.
        skipped: Receives everything else by relative path: hidden files and folders, linked folders (which may form
            cycles), links that lead out of the folder or nowhere, pipes and devices, unreadable files, and other files.
            JSON files with the name of a video in the same folder and this project's records are not entered.
        lists: Files that are not videos and are not entered either.

    Yields:
        Readable regular files, in an order that is the same on every machine.

    Raises:
        InputError: The folder does not exist or cannot be read.
    """
    root = require_folder(folder)
    known = {path.resolve() for path in lists}

    def cannot_list(error: OSError) -> None:
        if Path(error.filename) == folder:
            raise InputError(
                f"--videos={safe_name(str(folder))} cannot be read ({error.strerror}); allow it with chmod, or give "
                "another folder"
            )
        skipped[relative_name(Path(error.filename), folder)] = Skipped(NOT_READABLE)

    for parent_name, folders, names in os.walk(folder, onerror=cannot_list):
        parent = Path(parent_name)
        _pass_over_folders(parent, folders, folder, skipped)
        notes: set[str] = set()
        others: list[str] = []
        for name in sorted(names):
            path = parent / name
            if name.startswith("."):
                skipped[relative_name(path, folder)] = Skipped(HIDDEN)
                continue
            reason = reason_to_skip_video(path, root)
            if reason == NOT_A_VIDEO:
                others.append(name)
                continue
            notes.add(f"{video_files.stem(name)}.json")
            if reason is None:
                yield path
            else:
                skipped[relative_name(path, folder)] = Skipped(reason)
        others = [
            name
            for name in others
            if name not in notes and name not in RECORD_NAMES and not (known and (parent / name).resolve() in known)
        ]
        if len(others) > _OTHERS_NAMED:
            skipped[f"{relative_name(parent, folder)}/ ({len(others)} files)"] = Skipped(NOT_A_VIDEO)
        else:
            skipped.update((relative_name(parent / name, folder), Skipped(NOT_A_VIDEO)) for name in others)


def reason_to_skip_video(path: Path, root: Path | None) -> str | None:
    """Returns why a file is not a usable video; see `reason_to_skip` and `video_files`."""
    if not video_files.may_be_video(path.name):
        return NOT_A_VIDEO
    reason = reason_to_skip(path, root)
    if reason is None:
        return None if video_files.is_video(path) else NOT_A_VIDEO
    return reason if video_files.has_video_suffix(path.name) else NOT_A_VIDEO


def reason_to_skip(path: Path, root: Path | None) -> str | None:
    """Returns why a file cannot be used, without opening it.

    Args:
        path: The file.
        root: Resolved folder that must contain the file after links are followed; None allows any folder.

    Returns:
        The reason in a few words; None when the file may be usable.
    """
    reason = _reason_unreachable(path, root)
    if reason is not None:
        return reason
    if not stat.S_ISREG(path.stat().st_mode):
        return NOT_A_FILE
    return None if os.access(path, os.R_OK) else NOT_READABLE


def reason_to_skip_folder(path: Path, root: Path | None) -> str | None:
    """Returns why a folder of images cannot be used; a path that is not a folder counts as missing."""
    reason = _reason_unreachable(path, root)
    if reason is not None:
        return reason
    if not stat.S_ISDIR(path.stat().st_mode):
        return MISSING
    return None if os.access(path, os.R_OK | os.X_OK) else NOT_READABLE


def boxes_beside(path: Path, root: Path) -> Path | None:
    """Returns the JSON file with the video's name in the same folder, which may hold the player's boxes, or None."""
    boxes = path.with_name(f"{video_files.stem(path.name)}.json")
    return boxes if reason_to_skip(boxes, root) is None else None


def add_video(videos: dict[str, Video], video: Video, skipped: dict[str, Skipped], folder: Path) -> None:
    """Adds a video under its id; when another file has that id, such as `a.webm` after `a.mp4`, it is skipped."""
    if video.id in videos:
        skipped[relative_name(video.path, folder)] = Skipped(TWIN, video.label)
    else:
        videos[video.id] = video


def relative_name(path: Path, folder: Path) -> str:
    """Returns the path below a folder with "/" as separator, escaped by `safe_name`."""
    return safe_name(path.relative_to(folder).as_posix())


def safe_name(name: str) -> str:
    r"""Returns a file name as valid Unicode on one line, the same on every machine.

    Bytes that are not UTF-8 and characters that break lines become escapes such as `\xff` and `\n`. Accented letters
    are composed (NFC), because macOS and some archives store them decomposed. Two names that become equal have the same
    id.
    """
    text = unicodedata.normalize("NFC", os.fsencode(name).decode("utf-8", "backslashreplace"))
    return "".join(
        char.encode("unicode_escape").decode() if unicodedata.category(char) in ("Cc", "Zl", "Zp") else char
        for char in text
    )


def class_name(text: str) -> str:
    """Returns the class that a folder or a list names: composed (NFC) and without white space around it.

    TFDS removes that white space when it reads the classes of a set, so two classes must not differ by it. A name of
    nothing but white space means `UNLABELLED`.
    """
    return unicodedata.normalize("NFC", text.strip()) or UNLABELLED


def in_order(videos: dict[str, Video]) -> tuple[Video, ...]:
    """Returns the videos sorted by id."""
    return tuple(videos[key] for key in sorted(videos))


def shortened(names: Sequence[str], most: int = 3) -> str:
    """Returns the first few of some names, for a message."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _pass_over_folders(parent: Path, folders: list[str], top: Path, skipped: dict[str, Skipped]) -> None:
    """Records sub-folders that are skipped, and sorts the others in place."""
    for name in folders:
        path = parent / name
        if name.startswith("."):
            skipped[relative_name(path, top)] = Skipped(HIDDEN)
        elif path.is_symlink():
            skipped[relative_name(path, top)] = Skipped(LINK_TO_FOLDER)
    folders[:] = sorted(name for name in folders if not name.startswith("."))


def _reason_unreachable(path: Path, root: Path | None) -> str | None:
    try:
        path.stat()
        # Only after stat, because some Python versions raise an error for a link that leads to itself.
        outside = root is not None and not path.resolve().is_relative_to(root)
    except ValueError:  # a zero byte, which a list may contain
        return MISSING
    except PermissionError:
        return NOT_READABLE
    except OSError:
        return BROKEN_LINK if os.path.islink(path) else MISSING
    return LINK_OUT if outside else None
