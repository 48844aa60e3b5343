"""Where videos come from: each source lists `Video`s; decoding is somebody else's work."""

import dataclasses
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Video:
    """One solo to prepare.

    Attributes:
        id: unique in its source, and stable from one machine to the next.
        path: the video file.
        label: class (the instrument); "unlabelled" where nothing says.
        boxes_path: JSON file beside the video with the player's boxes, or None.
    """

    id: str
    path: Path
    label: str
    boxes_path: Path | None = None


@dataclasses.dataclass(frozen=True)
class Listing:
    """What a source found.

    Attributes:
        videos: usable so far, sorted by id.
        skipped: id -> reason, for what was passed over without being opened.
    """

    videos: tuple[Video, ...]
    skipped: dict[str, str]
