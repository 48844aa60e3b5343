"""Staged videos as a set: locks the staging folder, assigns splits, and writes manifest and summary.

This module imports no TensorFlow.
"""

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import logging

from data_pipeline.command import InputError
from data_pipeline.sources import Listing, Video
from data_pipeline.staging import manifest, staged_video
from data_pipeline.staging import summary as summaries
from data_pipeline.staging.division import Division
from data_pipeline.staging.pool import file_bytes
from data_pipeline.staging.splits import SPLITS
from data_pipeline.staging.staged_video import Facts

SUMMARY_FILE = "prepare_summary.json"
METADATA_FILE = "metadata.json"
STAGING = ".staging"


@dataclasses.dataclass(frozen=True)
class StagedSet:
    """Staged videos with their splits.

    Attributes:
        folder: Folder of the staged files.
        kept: Facts of the videos that are used.
        splits: Id -> split of those videos.
        rows: Manifest of everything that was listed or found, see `manifest.rows`.
        summary: Counts of the manifest, see `summary.summarise`.
    """

    folder: Path
    kept: tuple[Facts, ...]
    splits: dict[str, str]
    rows: tuple[dict[str, Any], ...]
    summary: dict[str, Any]

    @property
    def classes(self) -> list[str]:
        """Names of the classes of the used videos, sorted."""
        return sorted({fact.label for fact in self.kept})

    @property
    def split_names(self) -> tuple[str, ...]:
        """Splits that have a video, because TFDS refuses an empty split."""
        return tuple(name for name in SPLITS if name in self.splits.values())

    @property
    def skipped_counts(self) -> dict[str, int]:
        """Reason -> number of videos that were left out for it."""
        return {reason: len(names) for reason, names in self.summary["skipped"].items()}

    def facts_of(self, split: str) -> list[Facts]:
        """Returns the facts of the videos of one split."""
        return [fact for fact in self.kept if self.splits[fact.video_id] == split]

    def examples(self, split: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yields the (key, example) pairs of one split, as TFDS writes them."""
        for fact in self.facts_of(split):
            yield from keyed_chunks(fact, self.folder)

    def write_account(self, folder: Path, parameters: Mapping[str, Any]) -> None:
        """Writes manifest and summary to the folder of the records.

        Args:
            folder: Folder of the set.
            parameters: JSON values that say how the set was cut.
        """
        manifest.write(folder, self.rows)
        (folder / SUMMARY_FILE).write_text(
            json.dumps({"parameters": parameters, **self.summary}, indent=2) + "\n", encoding="utf-8"
        )


def keyed_chunks(fact: Facts, folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields the (key, example) pairs of one staged video; keys are the same on every machine."""
    for example in staged_video.staged_chunks(fact, folder):
        yield f"{fact.video_id}#{example['chunk']:06d}", example


def deal(facts: Sequence[Facts], listing: Listing, folder: Path, *, division: Division, root: Path) -> StagedSet:
    """Assigns the usable staged videos to splits.

    Args:
        facts: Facts of every video of the listing, from `pool.stage_all`.
        listing: What the source found.
        folder: Folder of the staged files.
        division: How to assign splits.
        root: Folder of the videos.

    Raises:
        InputError: None of the videos can be used, or they cannot be divided this way.
    """
    usable = [fact for fact in facts if fact.reason is None]
    divided = division.divide(usable, listing.listed_in)
    rows = tuple(manifest.rows(listing.videos, facts, divided, listing.skipped, root=root))
    kept = tuple(fact for fact in usable if fact.video_id in divided.splits)
    staged = StagedSet(folder, kept, divided.splits, rows, summaries.summarise(rows))
    if not kept:
        raise InputError(
            f"none of the {len(facts)} videos in {root} can be used: "
            + "; ".join(f"{reason}: {count}" for reason, count in staged.skipped_counts.items())
            + f"; the first: {facts[0].message}; all are in {manifest.write(folder, rows)}"
        )
    return staged


def require_same(set_dir: Path, recorded: Mapping[str, Any], remedy: str) -> None:
    """Raises an error when the set in a folder was prepared with other parameters or from other videos.

    Args:
        set_dir: Folder of an existing set.
        recorded: JSON values that its metadata must have.
        remedy: What the user can do, for the message.

    Raises:
        InputError: The set differs, or has no readable metadata.
    """
    try:
        metadata = json.loads((set_dir / METADATA_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise InputError(f"{set_dir} is there and does not say how it was made; {remedy}") from None
    for key, value in recorded.items():
        # Earlier versions recorded no split.
        if metadata.get(key, "" if key == "split" else None) != value:
            how = (
                "from other videos"
                if key == "videos_fingerprint"
                else f"with {key}={metadata.get(key)}, not {value or 'none'}"
            )
            raise InputError(f"{set_dir} is there already and was made {how}; {remedy}")


def fingerprint(videos: Sequence[Video]) -> str:
    """Returns a hash of ids, classes and sizes of the videos, without times, because copying changes them."""
    rows = [
        [video.id, video.label, file_bytes(video), *([video.pictures.count] if video.pictures else [])]
        for video in videos
    ]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


@contextlib.contextmanager
def staging_folder(stage: Path, set_dir: Path, parameters: Mapping[str, Any]) -> Iterator[Path]:
    """Yields the locked folder of a set's staged videos.

    The folder survives an error, an interrupt and a kill, so the next run resumes from it. It is removed when the block
    ends without an error, because the set is then complete. A folder that was cut with other parameters is emptied
    first.

    Args:
        stage: The folder; its parent holds those of other sets.
        set_dir: Folder of the finished set, for the message.
        parameters: JSON values that must be equal for staged videos to be used again.

    Raises:
        InputError: Another process uses the folder.
    """
    stage.mkdir(parents=True, exist_ok=True)
    with (stage.parent / f"{stage.name}.lock").open("w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"another run prepares {set_dir}; wait for it or choose another name") from None
        note = stage / "parameters.txt"
        wanted = json.dumps(parameters)
        if note.exists() and note.read_text(encoding="utf-8") != wanted:
            logging.info("staged videos in %s were cut with other parameters; starting again", stage)
            shutil.rmtree(stage)
            stage.mkdir()
        note.write_text(wanted, encoding="utf-8")
        yield stage
        shutil.rmtree(stage)
        os.unlink(lock.name)
    with contextlib.suppress(OSError):  # not empty when another set is staged there
        stage.parent.rmdir()
