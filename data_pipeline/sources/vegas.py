"""Lists videos of VEGAS: a folder for each class, or a CSV list of paths and classes.

The data set was not available when this was written. Public programs that use it read the first of these layouts; both
are accepted, at any depth below the root:

    ROOT/dog/videos/video_00001.mp4
    ROOT/dog/video_00001.mp4

A list has rows of `path,class` with a path that is absolute or relative to the root. A first row whose path has no
suffix and does not exist is a header.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from data_pipeline.command import InputError
from data_pipeline.sources import Listing, Place, Skipped, Video, files, list_files, video_files

NO_CLASS = "in no class folder"
_LEVEL = "videos"


def find_videos(place: Place) -> Listing:
    """Lists the videos of class folders, or those in lists.

    Args:
        place: The folder, optionally with lists and with one label for all. Without a list the class is the nearest
            folder above the file that is not called `videos`.

    Returns:
        Videos with ids such as "dog/video_00001": class folder and name, without other folders. Skipped are files in no
        class folder and whatever `files.find_files` skips. Of a list, rows whose file is missing or cannot be used are
        skipped, and a second class of a file.

    Raises:
        InputError: The folder does not exist, a list is invalid, or there is no video.
    """
    folder = place.videos
    root = files.require_folder(folder)
    videos: dict[str, Video] = {}
    skipped: dict[str, Skipped] = {}
    for path, label in _listed(place, root, skipped) if place.lists else _in_class_folders(place, skipped):
        video_id = f"{_class_folder(path, folder) or label}/{files.safe_name(video_files.stem(path.name))}"
        files.add_video(videos, Video(video_id, path, label, files.boxes_beside(path, root)), skipped, folder)
    if not videos:
        where = files.safe_name(str(folder))
        raise InputError(
            f"--videos={where} holds none of the listed videos; give the folder that the list's paths start from"
            if place.lists
            else f"--videos={where} holds no videos in class folders; give the folder ROOT of ROOT/dog/video_00001.mp4"
        )
    return Listing(files.in_order(videos), skipped)


def _in_class_folders(place: Place, skipped: dict[str, Skipped]) -> Iterator[tuple[Path, str]]:
    """Yields (file, class) of every video below the root."""
    for path in files.find_files(place.videos, skipped):
        folder_name = _class_folder(path, place.videos)
        if place.label or folder_name:
            yield path, place.label or files.class_name(folder_name)
        else:
            skipped[files.relative_name(path, place.videos)] = Skipped(NO_CLASS)


def _listed(place: Place, root: Path, skipped: dict[str, Skipped]) -> Iterator[tuple[Path, str]]:
    """Yields (file, class) of every row whose file can be used."""
    labels: dict[Path, str] = {}
    for path in place.lists:
        for row, (where, cells) in enumerate(list_files.csv_rows(path)):
            if len(cells) != 2 or not all(cells):
                raise InputError(f"{where} holds {','.join(cells)!r}, not path,class; fix that line")
            name, label = cells[0], place.label or files.class_name(cells[1])
            file, inside = list_files.listed_path(name, place.videos, where)
            if row == 0 and not Path(name).suffix and not os.path.lexists(file):
                continue  # a header
            if file in labels:
                if labels[file] != label:
                    skipped[f"{files.safe_name(name)} under {label}"] = Skipped(files.TWO_CLASSES, label)
                continue
            labels[file] = label
            reason = files.reason_to_skip_video(file, root if inside else None)
            if reason is None:
                yield file, label
            else:
                skipped[files.safe_name(name)] = Skipped(reason, label)


def _class_folder(path: Path, folder: Path) -> str:
    """Returns the nearest folder not called `videos`; "" when that is the root and the path lies below it."""
    parents = path.relative_to(folder).parts[:-1] if path.is_relative_to(folder) else path.parts[1:-1]
    return files.safe_name(next((name for name in reversed(parents) if name != _LEVEL), ""))
