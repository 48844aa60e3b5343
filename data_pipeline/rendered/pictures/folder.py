"""Lists the pictures of a folder by class and accounts for every file that is left out."""

import dataclasses
import hashlib
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path

from data_pipeline.command import InputError
from data_pipeline.rendered.pictures.raster import SUFFIXES, UnusablePicture, read_cutout

_SHOWN = 5


@dataclasses.dataclass(frozen=True)
class Picture:
    """A usable picture.

    Attributes:
        path: The file.
        label: Class of the instrument that it shows.
        sha256: Hash of the file's content, by which pictures are ordered and assigned to splits.
    """

    path: Path
    label: str
    sha256: str

    @property
    def name(self) -> str:
        """Name of the file with its class, such as "violin/a.png"."""
        return f"{self.label}/{self.path.name}"


@dataclasses.dataclass(frozen=True)
class HeldPicture:
    """The picture that a player holds.

    Attributes:
        picture: The picture.
        split: Split that the picture belongs to.
    """

    picture: Picture
    split: str

    @property
    def facts(self) -> dict[str, str]:
        """Facts for the JSON file of a solo."""
        return {"file": self.picture.name, "sha256": self.picture.sha256, "split": self.split}


@dataclasses.dataclass(frozen=True)
class FoundPictures:
    """The pictures of a folder.

    Attributes:
        pictures: Usable pictures, ordered by class and hash.
        remarks: One line for each kind of file that was left out, and one that lists the classes without pictures.
    """

    pictures: tuple[Picture, ...]
    remarks: tuple[str, ...]


def find_pictures(folder: Path, classes: Collection[str]) -> FoundPictures:
    """Lists and checks the pictures `folder/<class>/*.png` (or .svg, .jpg, .jpeg, .webp).

    Every picture is decoded once, so that a damaged one is reported before anything is rendered. Links are followed.
    Hidden files and files beside the class folders, such as a list of licences, are no pictures.

    Args:
        folder: The folder.
        classes: Names of the known classes.

    Raises:
        InputError: The folder does not exist, cannot be read, or holds no usable picture.
    """
    if not folder.is_dir():
        raise InputError(f"--pictures={folder} is no folder; name one that holds pictures as violin/*.png and so on")
    try:
        listed = _list_files(folder)
    except OSError as error:
        raise InputError(
            f"--pictures={folder} cannot be read ({error.strerror}); change its permissions or name another folder"
        ) from error
    first: dict[str, Picture] = {}
    left_out: dict[str, list[str]] = defaultdict(list)
    for name in sorted(set(listed) & set(classes)):
        for path in listed[name]:
            picture = _check(path, name, left_out)
            if picture and first.setdefault(picture.sha256, picture) is not picture:
                left_out["copies of others"].append(picture.name)
    unknown = {name: len(paths) for name, paths in sorted(listed.items()) if name not in classes and paths}
    pictures = tuple(sorted(first.values(), key=lambda picture: (picture.label, picture.sha256)))
    if not pictures:
        found = sum(map(len, left_out.values())) + sum(unknown.values())
        raise InputError(
            f"--pictures={folder} holds no usable picture of {', '.join(classes)} ({found} files left out); put them "
            f"into folders of these names, as {' '.join(SUFFIXES)}"
        )
    remarks = [f"skipped {len(names)} pictures ({why}): {_shortened(names)}" for why, names in sorted(left_out.items())]
    if unknown:
        remarks.append(
            f"skipped {sum(unknown.values())} pictures of {len(unknown)} unknown classes: {_shortened(list(unknown))}"
        )
    missing = sorted(set(classes) - {picture.label for picture in pictures})
    if missing:
        remarks.append(f"no pictures of {', '.join(missing)}: these instruments are drawn")
    return FoundPictures(pictures, tuple(remarks))


def _list_files(folder: Path) -> dict[str, list[Path]]:
    """Returns the files with a picture's suffix of every sub-folder, sorted by name."""
    found: dict[str, list[Path]] = {}
    for entry in sorted(folder.iterdir()):
        if entry.is_dir() and not entry.name.startswith("."):
            files = [path for path in entry.iterdir() if path.suffix.lower() in SUFFIXES and path.name[0] != "."]
            found[entry.name] = sorted(files)
    return found


def _check(path: Path, label: str, left_out: dict[str, list[str]]) -> Picture | None:
    try:
        read_cutout(path)
        return Picture(path, label, hashlib.sha256(path.read_bytes()).hexdigest())
    except UnusablePicture as error:
        left_out[str(error)].append(f"{label}/{path.name}")
        return None


def _shortened(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(name.encode("utf-8", "replace").decode() for name in names[:_SHOWN]) + more
