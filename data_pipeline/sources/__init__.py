"""Where videos come from: each source lists `Video`s; decoding is somebody else's work."""

import dataclasses
from pathlib import Path
from typing import NamedTuple


@dataclasses.dataclass(frozen=True)
class Place:
    """What a user says about where the videos are.

    Attributes:
        videos: root folder of the files.
        lists: files that list what should be there (ids, or paths and classes), where a source takes some.
        label: one class for all videos; "" takes it from folders or lists.
    """

    videos: Path
    lists: tuple[Path, ...] = ()
    label: str = ""


@dataclasses.dataclass(frozen=True)
class FrameFolder:
    """Pictures that somebody extracted from a video before.

    Attributes:
        folder: holds `000001.jpg`, `000002.jpg` and so on.
        count: number of pictures that a list states.
        fps: pictures a second.
    """

    folder: Path
    count: int
    fps: float


@dataclasses.dataclass(frozen=True)
class Video:
    """One solo to prepare.

    Attributes:
        id: unique in its source, and stable from one machine to the next; valid Unicode.
        path: the video file, or the sound file where `pictures` are given.
        label: class (the instrument); "unlabelled" where nothing says.
        boxes_path: JSON file beside the video with the player's boxes, or None.
        pictures: extracted pictures that belong to a sound file; None for a video.
    """

    id: str
    path: Path
    label: str
    boxes_path: Path | None = None
    pictures: FrameFolder | None = None


class Skipped(NamedTuple):
    """Something that a source passed over without opening it.

    Attributes:
        reason: in a few words, to count by, such as "missing".
        label: class it would have had; "" where nothing says.
    """

    reason: str
    label: str = ""


@dataclasses.dataclass(frozen=True)
class Listing:
    """What a source found.

    Attributes:
        videos: usable so far, sorted by id.
        skipped: id or relative path -> why it was passed over.
        listed_in: id -> the list that names it, where lists may stand for splits; empty elsewhere.
    """

    videos: tuple[Video, ...]
    skipped: dict[str, Skipped]
    listed_in: dict[str, Path] = dataclasses.field(default_factory=dict)
