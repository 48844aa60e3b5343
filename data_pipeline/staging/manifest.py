"""Writes the manifest of a data set: one line for everything that a source listed or found, used or not."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from data_pipeline.atomic import write_atomically
from data_pipeline.foreign_text import as_text
from data_pipeline.sources import Skipped, Video
from data_pipeline.sources.files import MISSING
from data_pipeline.staging.splits import ListedSplits
from data_pipeline.staging.staged_video import Facts

MANIFEST_FILE = "manifest.jsonl"


def rows(
    videos: Sequence[Video],
    facts: Sequence[Facts],
    divided: ListedSplits,
    skipped: Mapping[str, Skipped],
    *,
    root: Path,
) -> Iterator[dict[str, Any]]:
    """Yields what became of each video.

    Args:
        videos: All videos that were opened.
        facts: Facts of each of them, in the same order.
        divided: Splits of the usable videos, the videos that the split file does not name, and ids without a video.
        skipped: Id or path -> why it was skipped without being opened.
        root: Folder that paths are relative to.

    Yields:
        `name` (id), `file`, `class`, `status` ("used", "skipped" or "missing"), `split`, `reason` and `message` (why it
        is not used), `remarks` (kind -> sentence), `seconds`, `chunks`, `level_dbfs`; videos first, by id.
    """
    for video, fact in zip(videos, facts, strict=True):
        reason = divided.left_out[video.id].reason if video.id in divided.left_out else fact.reason
        used = reason is None
        yield {
            "name": video.id,
            "file": _relative(video.path, root),
            "class": video.label,
            "status": "used" if used else "skipped",
            "split": divided.splits.get(video.id),
            "reason": reason,
            "message": fact.message or None,
            "remarks": fact.remarks,
            "seconds": round(fact.seconds, 3) if used else None,
            "chunks": fact.chunks if used else None,
            "level_dbfs": round(20 * math.log10(fact.video_rms), 1) if used and fact.video_rms > 0 else None,
        }
    unseen = dict(skipped)
    for name in divided.absent:
        unseen.setdefault(name, Skipped(MISSING))
    for name in sorted(unseen.keys() - {video.id for video in videos}):
        yield {
            "name": name,
            "class": unseen[name].label or None,
            "status": "missing" if unseen[name].reason == MISSING else "skipped",
            "reason": unseen[name].reason,
        }


def write(folder: Path, lines: Sequence[Mapping[str, Any]]) -> Path:
    """Writes the manifest as JSON lines in ASCII, so that any name fits on one line.

    Returns:
        The file.

    Raises:
        OSError: The file cannot be written.
    """
    path = folder / MANIFEST_FILE
    write_atomically(path, "".join(json.dumps(line) + "\n" for line in lines))
    return path


def _relative(path: Path, root: Path) -> str:
    return as_text(path.relative_to(root) if path.is_relative_to(root) else path)
