"""Which videos train, validate and test: by video, balanced over the classes, the same everywhere."""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence

SPLITS = ("train", "validation", "test")
# Parts of every class, in the order of SPLITS: 16 videos make 11, 2 and 3.
PARTS = (11, 2, 3)
# A class needs one video for each split before any is taken from training.
MIN_VIDEOS_TO_SPLIT = len(SPLITS)


def assign_splits(video_ids: Sequence[str], labels: Mapping[str, str]) -> dict[str, str]:
    """Assigns every video to one split.

    Within each class the videos are put in the order of a hash of their ids, so that the outcome depends on
    nothing but the ids, and the first go to "train", the next to "validation", the last to "test", 11:2:3.

    Args:
        video_ids: ids without repetition, in any order.
        labels: id -> class, for at least those ids.

    Returns:
        id -> "train", "validation" or "test". A class of fewer than three videos is all "train"; of three or
        more, every split has at least one.

    Raises:
        ValueError: an id that comes twice, or has no class.
    """
    by_class: dict[str, list[str]] = defaultdict(list)
    for video_id in video_ids:
        if video_id not in labels:
            raise ValueError(f"video {video_id!r} has no class; add it to labels")
        by_class[labels[video_id]].append(video_id)
    splits: dict[str, str] = {}
    for members in by_class.values():
        ordered = sorted(members, key=_hash_of)
        names = [name for name, count in zip(SPLITS, split_sizes(len(ordered)), strict=True) for _ in range(count)]
        splits.update(zip(ordered, names, strict=True))
    if len(splits) != len(video_ids):
        repeated = next(video_id for video_id in splits if list(video_ids).count(video_id) > 1)
        raise ValueError(f"video id {repeated!r} comes more than once; ids must be unique")
    return splits


def split_sizes(videos: int) -> tuple[int, int, int]:
    """How many videos of a class train, validate and test."""
    if videos < MIN_VIDEOS_TO_SPLIT:
        return videos, 0, 0
    validation, test = (max(1, round(videos * part / sum(PARTS))) for part in PARTS[1:])
    return videos - validation - test, validation, test


def _hash_of(video_id: str) -> str:
    return hashlib.sha256(video_id.encode()).hexdigest()
