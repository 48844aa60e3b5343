"""Lists audio files with extracted images from CSV files in the format of PixelPlayer and of the authors' code.

    ./data/audio/violin/abc.mp3,./data/frames/violin/abc.mp4,1580

Rows have no header: audio file, folder of its images, number of images. The images are `000001.jpg` and so on, eight
per second. Several lists are usually splits (train.csv and val.csv): `Listing.listed_in` says which list names a video,
and `splits.splits_by_list` derives the splits.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from data_pipeline.command import InputError
from data_pipeline.sources import FrameFolder, Listing, Place, Skipped, Video, files, list_files

FPS = 8.0
SOUND_EXTENSIONS = (".mp3", ".npy", ".wav")
NO_PICTURE = "no picture"
NOT_A_SOUND = "not a sound's name"
_ROW_FORM = "sound file,folder of pictures,number of pictures"
_MOST_DIGITS = 9


class _Row(NamedTuple):
    where: str
    sound: Path
    sound_inside: bool
    pictures: Path
    pictures_inside: bool
    picture_count: int


def find_videos(place: Place) -> Listing:
    """Lists the audio files and images of one or more index files.

    Args:
        place: The folder that relative paths start from, the lists, and optionally one label for all. Absolute paths
            are used as they are, because the user wrote them. Relative paths must stay in the folder, also after links
            are followed.

    Returns:
        Videos with `pictures`. The id is the path of the audio below the folder without its suffix, or, for an absolute
        path elsewhere, its last folder and name ("violin/abc"). The class is the folder that holds the audio. Skipped
        are rows whose audio or image folder is missing or cannot be used.

    Raises:
        InputError: A list is missing or invalid, the folder does not exist, an audio file is in two lists or in two
            different rows, two audio files have one id, or none of the listed files exist.
    """
    lists = list_files.require_lists(place, f"with rows of {_ROW_FORM}")
    root = files.require_folder(place.videos)
    videos: dict[str, Video] = {}
    skipped: dict[str, Skipped] = {}
    listed_in: dict[str, Path] = {}
    rows = _distinct_rows(place, lists)
    for row, listed in rows:
        video_id, label = _id_of(row.sound, place.videos, root), place.label or _class_of(row, place.videos)
        reason = _reason_to_skip(row, root)
        if reason is not None:
            skipped[video_id] = Skipped(reason, label)
            continue
        pictures = FrameFolder(row.pictures, row.picture_count, FPS)
        if video_id in videos:
            first, second = (files.safe_name(str(path)) for path in (videos[video_id].path, row.sound))
            raise InputError(f"{first} and {second} have one id, {video_id!r}; remove or rename one")
        videos[video_id] = Video(video_id, row.sound, label, pictures=pictures)
        listed_in[video_id] = listed
    if not videos:
        name, reason = next(iter(skipped.items()), ("", Skipped("the lists are empty")))
        raise InputError(
            f"--videos={files.safe_name(str(place.videos))} holds none of the {len(rows)} listed sounds with their "
            f"pictures ({': '.join(filter(None, [name, reason.reason]))}); give the folder that the list's paths start "
            "from"
        )
    return Listing(files.in_order(videos), skipped, listed_in)


def _distinct_rows(place: Place, lists: tuple[Path, ...]) -> list[tuple[_Row, Path]]:
    """Returns (row, list) for every audio file once."""
    found: dict[Path, tuple[_Row, Path]] = {}
    for listed in lists:
        for row in _rows(listed, place.videos):
            first, first_list = found.setdefault(row.sound, (row, listed))
            if first_list != listed:
                raise InputError(
                    f"{row.where} names {files.safe_name(str(row.sound))}, which {first.where} names too; lists are "
                    "splits, so remove it from one"
                )
            if first[1:] != row[1:]:
                raise InputError(
                    f"{row.where} and {first.where} give {files.safe_name(str(row.sound))} different pictures; "
                    "remove one"
                )
    return list(found.values())


def _rows(listed: Path, folder: Path) -> Iterator[_Row]:
    for where, cells in list_files.csv_rows(listed):
        if len(cells) != 3 or not all(cells):
            raise InputError(f"{where} holds {','.join(cells)!r}, which is no row of {_ROW_FORM}; fix that line")
        if not (cells[2].isascii() and cells[2].isdecimal() and len(cells[2]) <= _MOST_DIGITS):
            raise InputError(
                f"{where} gives {cells[2]!r} as the number of pictures; write a whole number there (a header is not "
                "needed)"
            )
        sound, sound_inside = list_files.listed_path(cells[0], folder, where)
        pictures, pictures_inside = list_files.listed_path(cells[1], folder, where)
        yield _Row(where, sound, sound_inside, pictures, pictures_inside, int(cells[2]))


def _reason_to_skip(row: _Row, root: Path) -> str | None:
    if row.sound.suffix.lower() not in SOUND_EXTENSIONS:
        return NOT_A_SOUND
    reason = files.reason_to_skip(row.sound, root if row.sound_inside else None)
    if reason is None:
        reason = files.reason_to_skip_folder(row.pictures, root if row.pictures_inside else None)
    return reason or (None if row.picture_count else NO_PICTURE)


def _id_of(sound: Path, folder: Path, root: Path) -> str:
    stem = sound.with_suffix("")
    for top in (folder, root):
        if stem.is_relative_to(top):
            return files.relative_name(stem, top)
    return files.safe_name("/".join(stem.parts[1:][-2:]))


def _class_of(row: _Row, folder: Path) -> str:
    if row.sound.parent == folder:
        return files.UNLABELLED
    return files.class_name(files.safe_name(row.sound.parent.name))
