"""Lists videos of MUSIC, MUSIC-21 or any list in their format: JSON of YouTube ids by class, and files named by id.

    {"version": 1.0, "videos": {"flute": ["jW_AuF6dQYY", ...], "acoustic_guitar violin": [...]}}

Source: https://github.com/roudimit/MUSIC_dataset. The class of a duet is its key, such as "acoustic_guitar violin".
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data_pipeline.command import InputError
from data_pipeline.foreign_text import read_json
from data_pipeline.sources import Listing, Place, Skipped, Video, files, list_files, video_files

NOT_LISTED = "not in the list"
_FORM = 'such as MUSIC_solo_videos.json ({"videos": {class: [ids]}}) from https://github.com/roudimit/MUSIC_dataset'
# Downloaders write `title [id].mp4`. `<id>_something` is not accepted: ids may contain "_", and such files are often
# parts of a video.
_ID_IN_BRACKETS = re.compile(r"\[([^\[\]]+)\]$")


def find_videos(place: Place) -> Listing:
    """Lists the videos of one or more id lists that lie below a folder.

    Args:
        place: The folder and the lists. A file belongs to the id that equals its name without the suffix, or else to
            the id in brackets at the end of its name, in any folder. The list alone gives the class, unless one label
            is given for all.

    Returns:
        The videos under their ids. Skipped are listed ids without a file ("missing"), files that are in no list, a
        second class of an id (the first one is used), and whatever `files.find_files` skips.

    Raises:
        InputError: A list is missing or invalid, the folder does not exist, or it holds none of the videos.
    """
    labels, skipped = read_labels(list_files.require_lists(place, _FORM))
    folder = place.videos
    root = files.require_folder(folder)
    videos: dict[str, Video] = {}
    for path in files.find_files(folder, skipped, lists=place.lists):
        video_id = _id_of(files.safe_name(video_files.stem(path.name)), labels)
        if video_id is None:
            skipped[files.relative_name(path, folder)] = Skipped(NOT_LISTED)
            continue
        label = place.label or labels[video_id]
        files.add_video(videos, Video(video_id, path, label, files.boxes_beside(path, root)), skipped, folder)
    if not videos:
        raise InputError(
            f"--videos={files.safe_name(str(folder))} holds none of the {len(labels)} listed videos as <id>.mp4; fetch "
            "them with python -m data_pipeline.download, or give the folder that holds them"
        )
    for video_id, label in labels.items():
        if video_id not in videos:
            skipped[video_id] = Skipped(files.MISSING, place.label or label)
    return Listing(files.in_order(videos), skipped)


def read_labels(lists: Sequence[Path]) -> tuple[dict[str, str], dict[str, Skipped]]:
    """Reads id lists.

    Args:
        lists: JSON files; an id may be in several, as every solo of MUSIC is in MUSIC-21, too.

    Returns:
        (id -> class in the order of the lists, "id under class" -> why that entry was skipped).

    Raises:
        InputError: A file does not contain classes and ids.
    """
    labels: dict[str, str] = {}
    skipped: dict[str, Skipped] = {}
    for path in lists:
        for name, ids in _classes(path, read_json(path)).items():
            label = files.class_name(name)
            for video_id in ids:
                first = labels.setdefault(video_id, label)
                if first != label:
                    skipped[f"{video_id} under {label}"] = Skipped(files.TWO_CLASSES, label)
    return labels, skipped


def _classes(path: Path, content: Any) -> dict[str, list[str]]:
    classes = content.get("videos") if isinstance(content, dict) else None
    if not isinstance(classes, dict) or not classes:
        raise InputError(f'{path} does not hold {{"videos": {{class: [ids]}}}}; give a list {_FORM}')
    for label, ids in classes.items():
        if not label.strip() or not isinstance(ids, list) or not all(isinstance(video, str) and video for video in ids):
            raise InputError(f"{path} does not hold a list of ids under class {label!r}; give a list {_FORM}")
    if not any(classes.values()):
        raise InputError(f"{path} lists no videos; give a list {_FORM}")
    return classes


def _id_of(stem: str, labels: dict[str, str]) -> str | None:
    if stem in labels:
        return stem
    found = _ID_IN_BRACKETS.search(stem)
    return found[1] if found and found[1] in labels else None
