"""Sources of videos: each one lists `Video`s without decoding them."""

import dataclasses
from pathlib import Path
from typing import NamedTuple


@dataclasses.dataclass(frozen=True)
class Place:
    """Where the user says that the videos are.

    Attributes:
        videos: Root folder of the files.
        lists: Files that list the expected videos (ids, or paths and classes), for sources that use lists.
        label: One class for all videos; "" takes it from folders or lists.
    """

    videos: Path
    lists: tuple[Path, ...] = ()
    label: str = ""


@dataclasses.dataclass(frozen=True)
class FrameFolder:
    """Images that were extracted from a video earlier.

    Attributes:
        folder: Folder that holds `000001.jpg`, `000002.jpg` and so on.
        count: Number of images according to a list.
        fps: Images per second.
    """

    folder: Path
    count: int
    fps: float


@dataclasses.dataclass(frozen=True)
class Video:
    """One solo to prepare.

    Attributes:
        id: Id that is unique in its source and equal on every machine; valid Unicode.
        path: The video file, or the audio file when `pictures` are given.
        label: Class (the instrument); "unlabelled" when it is unknown.
        boxes_path: JSON file of the same name with the player's boxes, or None.
        pictures: Extracted images that belong to an audio file; None for a video.
    """

    id: str
    path: Path
    label: str
    boxes_path: Path | None = None
    pictures: FrameFolder | None = None


class Skipped(NamedTuple):
    """Something that a source skipped without opening it.

    Attributes:
        reason: Reason in a few words, by which skipped entries are counted, such as "missing".
        label: Class of the entry; "" when it is unknown.
    """

    reason: str
    label: str = ""


@dataclasses.dataclass(frozen=True)
class Listing:
    """The videos that a source found.

    Attributes:
        videos: Videos to decode, sorted by id.
        skipped: Id or relative path -> why it was skipped.
        listed_in: Id -> list that names it, when lists may stand for splits; empty for other sources.
    """

    videos: tuple[Video, ...]
    skipped: dict[str, Skipped]
    listed_in: dict[str, Path] = dataclasses.field(default_factory=dict)
