"""Videos in a folder: the first-level sub-folder names the class."""

import os
from collections.abc import Iterator
from pathlib import Path

from data_pipeline.command import InputError
from data_pipeline.sources import Listing, Place, Skipped, Video

EXTENSIONS = (".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ts", ".webm", ".wmv")
UNLABELLED = "unlabelled"
_LINK_OUT = "link out of the folder"


def find_videos(place: Place) -> Listing:
    """Lists the videos under a folder, at any depth.

    Args:
        place: the folder; `folder/violin/a.mp4` has the id "violin/a" and the class "violin", `folder/b.mp4` the id
            "b" and the class "unlabelled", unless one label is given for all. Hidden files and folders are not looked
            at. A JSON file with the video's name beside it may hold the player's boxes.

    Returns:
        The videos; a link that leaves the folder is never followed, and is listed as skipped.

    Raises:
        InputError: no such folder, no video in it, or two files with one id.
    """
    folder = place.videos
    if not folder.is_dir():
        raise InputError(f"--videos={folder} is not a folder; give one that holds videos")
    root = folder.resolve()
    videos: dict[str, Video] = {}
    skipped: dict[str, Skipped] = {}
    for path in _candidates(folder, skipped):
        relative = path.relative_to(folder)
        video_id = relative.with_suffix("").as_posix()
        if not path.resolve().is_relative_to(root):
            skipped[relative.as_posix()] = Skipped(_LINK_OUT)
            continue
        if video_id in videos:
            raise InputError(f"{videos[video_id].path} and {path} have one id, {video_id!r}; remove or rename one")
        label = place.label or (relative.parts[0] if len(relative.parts) > 1 else UNLABELLED)
        videos[video_id] = Video(video_id, path, label, _boxes_beside(path, root))
    if not videos:
        raise InputError(f"--videos={folder} holds no videos; accepted are files ending in {' '.join(EXTENSIONS)}")
    return Listing(tuple(videos[key] for key in sorted(videos)), skipped)


def _candidates(folder: Path, skipped: dict[str, Skipped]) -> Iterator[Path]:
    """Files with a video's extension; linked folders are noted, since following them may never end."""
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in folders:
            if (Path(parent) / name).is_symlink():
                skipped[(Path(parent) / name).relative_to(folder).as_posix()] = Skipped("link to a folder")
        for name in sorted(names):
            if not name.startswith(".") and Path(name).suffix.lower() in EXTENSIONS:
                yield Path(parent) / name


def _boxes_beside(path: Path, root: Path) -> Path | None:
    beside = path.with_suffix(".json")
    return beside if beside.is_file() and beside.resolve().is_relative_to(root) else None
