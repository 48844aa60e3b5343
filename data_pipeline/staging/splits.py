"""Assigns videos to train, validation and test: by a hash within each class, or as lists and files say."""

import hashlib
import json
import re
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from data_pipeline.command import InputError
from data_pipeline.foreign_text import read_json, read_text
from data_pipeline.sources import Skipped
from data_pipeline.sources.files import shortened
from data_pipeline.sources.list_files import csv_rows

SPLITS = ("train", "validation", "test")
# Shares of every class, in the order of SPLITS: of 16 videos, 11, 2 and 3.
PARTS = (11, 2, 3)
# The paper trains on 500 videos of MUSIC, reports on a validation set of 130, and has 40 duets without references.
# Which videos these were was never published. Here videos are assigned by hash in these proportions, with "test" for
# the 130 and "validation" for the 40. VEGAS has 2,000 test videos of about 28,000; the 1,000 for validation are this
# project's choice.
PROTOCOLS: dict[str, tuple[int, int, int]] = {
    "default": PARTS,
    "music": (500, 40, 130),
    "vegas": (25_000, 1_000, 2_000),
}
# A class with fewer videos than splits is used for training only.
MIN_VIDEOS_TO_SPLIT = len(SPLITS)
NOT_IN_SPLIT_FILE = "not in the split file"
_NAMES = {name: name for name in SPLITS} | {"val": "validation", "valid": "validation"}


class ListedSplits(NamedTuple):
    """Splits of videos according to a split file.

    Attributes:
        splits: Id -> split, of the videos that the file names.
        left_out: Id -> reason, of the videos that the file does not name.
        absent: Ids in the file without a video.
    """

    splits: dict[str, str]
    left_out: dict[str, Skipped]
    absent: tuple[str, ...]


def assign_splits(
    video_ids: Sequence[str],
    labels: Mapping[str, str],
    parts: tuple[int, int, int] = PARTS,
    groups: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Assigns every video to one split.

    Within each class the videos are sorted by a hash of their ids, so the result depends only on the ids. The first
    ones go to "train", the next ones to "validation", the last ones to "test". Classes are divided separately, so
    another class changes nothing. Each split of a class is within one video of its share, and except for small classes
    the totals are within a few.

    Args:
        video_ids: Ids without repetition, in any order.
        labels: Id -> class, for at least those ids.
        parts: Shares of the splits in the order of SPLITS, such as one of PROTOCOLS; 0 leaves a split empty.
        groups: Id -> name of what the video was cut from, for example from `groups_by`. The videos of a group share a
            split: groups of any size are assigned instead of videos, by the hash of their names, in the class of their
                smallest id. A video without a group is a group named by its id.

    Returns:
        Id -> "train", "validation" or "test". A class of fewer than three videos (groups) is all "train"; of three or
        more, every split with a share has at least one.

    Raises:
        ValueError: An id is repeated or has no class, or the parts are not valid shares.
    """
    if min(parts) < 0 or parts[0] < 1:
        raise ValueError(f"parts={parts} must be whole numbers from 0, the first from 1; try {PARTS}")
    members: dict[str, list[str]] = defaultdict(list)
    for video_id in video_ids:
        if video_id not in labels:
            raise ValueError(f"video {video_id!r} has no class; add it to labels")
        members[video_id if groups is None else groups.get(video_id, video_id)].append(video_id)
    by_class: dict[str, list[str]] = defaultdict(list)
    for group, ids in members.items():
        by_class[labels[min(ids)]].append(group)
    splits: dict[str, str] = {}
    for class_groups in by_class.values():
        ordered = sorted(class_groups, key=_hash_of)
        sizes = split_sizes(len(ordered), parts)
        names = [name for name, count in zip(SPLITS, sizes, strict=True) for _ in range(count)]
        for group, name in zip(ordered, names, strict=True):
            splits.update(dict.fromkeys(members[group], name))
    if len(splits) != len(video_ids):
        repeated = next(video_id for video_id in splits if list(video_ids).count(video_id) > 1)
        raise ValueError(f"video id {repeated!r} comes more than once; ids must be unique")
    return splits


def split_sizes(videos: int, parts: tuple[int, int, int] = PARTS) -> tuple[int, int, int]:
    """Returns how many videos of a class go to train, validation and test."""
    if videos < MIN_VIDEOS_TO_SPLIT:
        return videos, 0, 0
    validation, test = (max(1, round(videos * part / sum(parts))) if part else 0 for part in parts[1:])
    while validation + test >= videos:  # training keeps at least one
        validation, test = (validation - 1, test) if validation > test else (validation, test - 1)
    return videos - validation - test, validation, test


def check_leakage(splits: Mapping[str, str], groups: Mapping[str, str]) -> None:
    """Raises an error when a group lies in two splits, because a network would be tested on what it was trained on.

    Args:
        splits: Id -> split.
        groups: Id -> group of videos that belong together, such as the video they were cut from or a digest of their
            audio; a video without one is a group named by its id.

    Raises:
        InputError: A group lies in two splits.
    """
    first: dict[str, str] = {}
    for video_id in sorted(splits):
        group = groups.get(video_id, video_id)
        other = first.setdefault(group, video_id)
        if splits[other] != splits[video_id]:
            raise InputError(
                f"{other!r} ({splits[other]}) and {video_id!r} ({splits[video_id]}) belong together ({group!r}) but "
                "lie in two splits; put them into one"
            )


def read_split_file(path: Path) -> dict[str, str]:
    """Reads which split each video belongs to.

    Args:
        path: `.json` with {"train": [ids], "validation": [ids], "test": [ids]}, the `manifest.jsonl` of another set, or
            else CSV with rows of id,split and an optional header. "val" and "valid" mean "validation".

    Returns:
        Id -> "train", "validation" or "test".

    Raises:
        InputError: The file has another format, or puts one video into two splits.
    """
    if path.suffix.lower() == ".json":
        rows = _json_rows(path, read_json(path))
    else:
        rows = _manifest_rows(path) if path.suffix.lower() == ".jsonl" else _csv_rows(path)
    splits: dict[str, str] = {}
    for listed_id, split in rows:
        video_id = unicodedata.normalize("NFC", listed_id)  # as in `sources.files.safe_name`
        first = splits.setdefault(video_id, split)
        if first != split:
            raise InputError(f"{path} puts {video_id!r} into {first} and into {split}; remove it from one")
    if not splits:
        raise InputError(f"{path} names no videos; give rows of id,split or JSON of ids by split")
    return splits


def splits_from_file(video_ids: Sequence[str], labels: Mapping[str, str], listed: Mapping[str, str]) -> ListedSplits:
    """Selects the splits of a file for the available videos.

    Args:
        video_ids: Ids of the videos.
        labels: Id -> class.
        listed: Result of `read_split_file`.

    Returns:
        Splits, what was left out, and what is absent.

    Raises:
        InputError: The file names none of the videos.
    """
    splits = {video_id: listed[video_id] for video_id in video_ids if video_id in listed}
    if video_ids and not splits:
        raise InputError(
            f"the split file names none of the {len(video_ids)} videos: it has ids such as "
            f"{min(listed, default='')!r}, the videos such as {min(video_ids)!r}; write the ids as the videos have them"
        )
    left_out = {
        video_id: Skipped(NOT_IN_SPLIT_FILE, labels.get(video_id, ""))
        for video_id in video_ids
        if video_id not in splits
    }
    return ListedSplits(splits, left_out, tuple(sorted(listed.keys() - set(video_ids))))


def splits_by_list(listed_in: Mapping[str, Path]) -> dict[str, str]:
    """Derives splits from the names of lists such as `train.csv` and `music_val.csv`.

    Args:
        listed_in: Id -> list that names it, as in `Listing.listed_in`.

    Returns:
        Id -> split.

    Raises:
        InputError: The name of a list does not contain exactly one of the words train, val, validation and test.
    """
    names: dict[Path, str] = {}
    for path in dict.fromkeys(listed_in.values()):
        words = re.findall(r"[a-z]+", path.stem.lower())
        found = {_NAMES[word] for word in words if word in _NAMES}
        if len(found) != 1:
            raise InputError(f"{path} does not tell its split by its name; call it train.csv, val.csv or test.csv")
        names[path] = found.pop()
    return {video_id: names[path] for video_id, path in listed_in.items()}


def groups_by(pattern: str, video_ids: Sequence[str]) -> dict[str, str]:
    r"""Finds by a pattern which videos were cut from the same one.

    Args:
        pattern: Regular expression searched in each id; its first group, or the complete match when it has none, names
            the original: `(.*)_\d{6}` makes "violin/abc" of "violin/abc_000010".
        video_ids: Ids of the videos.

    Returns:
        Id -> name of the original; a video whose id does not match is its own original.

    Raises:
        InputError: The pattern is invalid or matches no id.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise InputError(f"the pattern {pattern!r} is no regular expression ({error}); fix it") from None
    groups: dict[str, str] = {}
    for video_id in video_ids:
        found = compiled.search(video_id)
        name = found and (found[1] if compiled.groups else found[0])
        if name:
            groups[video_id] = name
    if video_ids and not groups:
        raise InputError(
            f"the pattern {pattern!r} matches none of the ids, such as {shortened(sorted(video_ids))}; fix it"
        )
    return {video_id: groups.get(video_id, video_id) for video_id in video_ids}


def _hash_of(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def _json_rows(path: Path, content: Any) -> list[tuple[str, str]]:
    form = '{"train": [ids], "validation": [ids], "test": [ids]}'
    if not isinstance(content, dict):
        raise InputError(f"{path} does not hold {form}; write it so")
    rows: list[tuple[str, str]] = []
    for name, ids in content.items():
        if not isinstance(ids, list) or not all(isinstance(video_id, str) for video_id in ids):
            raise InputError(f"{path} does not hold a list of ids under {name!r}; write {form}")
        split = _split_named(name, str(path))
        rows += [(video_id, split) for video_id in ids]
    return rows


def _manifest_rows(path: Path) -> list[tuple[str, str]]:
    try:
        lines = [json.loads(line) for line in read_text(path).split("\n") if line.strip()]
        return [(str(line["name"]), _split_named(line["split"], str(path))) for line in lines if line.get("split")]
    except InputError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{path} is no manifest of a prepared set ({error}); give its manifest.jsonl") from None


def _csv_rows(path: Path) -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for number, (where, cells) in enumerate(csv_rows(path)):
        if len(cells) != 2 or not all(cells):
            raise InputError(f"{where} holds {','.join(cells)!r}, not id,split; fix that line")
        if number == 0 and cells[1].lower() == "split":
            continue  # a header
        rows.append((cells[0], _split_named(cells[1], where)))
    return rows


def _split_named(name: str, where: str) -> str:
    if name.lower() not in _NAMES:
        raise InputError(f"{where} names the split {name!r}; use one of {', '.join(SPLITS)}")
    return _NAMES[name.lower()]
