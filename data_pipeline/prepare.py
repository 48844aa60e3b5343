"""Turns video files into a TFDS data set that the loader reads at random.

    python -m data_pipeline.prepare --source=folder --videos=DIR --data_dir=data --name=my_solos

Every video is decoded once, in parallel, into staged files; an interrupted run resumes. The set is then built in a
temporary folder and renamed to DATA_DIR/NAME/1.0.0 in one step, so an incomplete set never has the final name. Its
`manifest.jsonl` lists every file: whether it is used, or why not, and what is unusual about it.
"""

import dataclasses
import importlib.util
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

from absl import flags, logging

from data_pipeline import command
from data_pipeline.command import InputError
from data_pipeline.sources import Listing, Place, folder, index_csv, music_list, vegas
from data_pipeline.sources.files import class_name, safe_name
from data_pipeline.staging import staged_set
from data_pipeline.staging import summary as summaries
from data_pipeline.staging.cutting import CutSpec
from data_pipeline.staging.division import Division
from data_pipeline.staging.pool import stage_all
from data_pipeline.staging.splits import PROTOCOLS, SPLITS
from data_pipeline.staging.staged_set import StagedSet
from data_pipeline.staging.staged_video import Facts

SOURCES = {
    "folder": folder.find_videos,
    "index_csv": index_csv.find_videos,
    "music": music_list.find_videos,
    "vegas": vegas.find_videos,
}
SET_VERSION = "1.0.0"
_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclasses.dataclass(frozen=True)
class Options:
    """What to prepare.

    Attributes:
        source: Kind of source, one of SOURCES.
        place: Where the videos are.
        data_dir: Folder of data sets.
        name: Name of the new set.
        cut: How videos are cut into records.
        workers: Number of processes that decode; 1 decodes in this process.
        division: How videos are assigned to splits.
        beam: Options of Apache Beam, such as "runner=FlinkRunner"; with any, its workers decode and write the set.

    Raises:
        InputError: A value is invalid.
    """

    source: str
    place: Place
    data_dir: Path
    name: str
    cut: CutSpec
    workers: int
    division: Division = dataclasses.field(default_factory=Division)
    beam: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.source not in SOURCES:
            raise InputError(f"--source={self.source} is unknown; use one of {', '.join(sorted(SOURCES))}")
        if not _NAME.fullmatch(self.name):
            raise InputError(
                f"--name={self.name} must be lower-case letters, digits and underscores, a letter first; "
                "try --name=my_solos"
            )
        if self.workers < 1:
            raise InputError(f"--workers={self.workers} must be at least 1")
        if self.beam and importlib.util.find_spec("apache_beam") is None:
            raise InputError("--beam_options needs Apache Beam; install it: pip install -e '.[beam]'")

    @property
    def set_dir(self) -> Path:
        """Folder of the finished set."""
        return self.data_dir / self.name / SET_VERSION

    @property
    def parameters(self) -> dict[str, Any]:
        """Values that must be equal for staged videos to be used again."""
        return {"source": self.source, **dataclasses.asdict(self.cut)}


def prepare(options: Options) -> None:
    """Prepares a data set and prints a summary; an identical existing set is kept.

    Raises:
        InputError: No usable videos, an existing set of that name with other parameters or videos, a worker that died,
            or another run that is preparing the same set.
    """
    listing = SOURCES[options.source](options.place)
    recorded = {
        **options.parameters,
        "split": options.division.recorded,
        "videos_fingerprint": staged_set.fingerprint(listing.videos),
    }
    stage = options.data_dir / staged_set.STAGING / options.name
    with staged_set.staging_folder(stage, options.set_dir, options.parameters):
        if options.set_dir.exists():
            staged_set.require_same(options.set_dir, recorded, "choose another --name, or remove that folder")
            outcome = f"{options.set_dir} is there already\n"
        else:
            facts = _stage(options, listing, stage)
            staged = staged_set.deal(facts, listing, stage, division=options.division, root=options.place.videos)
            _build(options, staged, recorded | {"skipped": staged.skipped_counts})
            outcome = summaries.as_text(staged.summary) + f"{options.set_dir} is ready\n"
    sys.stdout.write(outcome)


def _stage(options: Options, listing: Listing, stage: Path) -> list[Facts]:
    """Decodes all videos, on this machine or on Beam's workers."""
    if not options.beam:
        return stage_all(listing.videos, options.cut, stage, options.workers)
    from data_pipeline.builders import beam_staging

    return beam_staging.stage_all(listing.videos, options.cut, stage, beam_staging.pipeline_options(options.beam))


def _build(options: Options, staged: StagedSet, recorded: dict[str, Any]) -> None:
    """Builds the set inside the staging folder and moves the complete folder to its place."""
    logging.info("building %s", options.set_dir)
    # Imported here because TensorFlow takes seconds to load, and bad input should be reported before that.
    from data_pipeline.builders import video_chunks

    build_dir = staged.folder / "build"
    shutil.rmtree(build_dir, ignore_errors=True)  # a killed run may have left one
    beam_options = None
    if options.beam:
        from data_pipeline.builders import beam_staging

        beam_options = beam_staging.pipeline_options(options.beam)
    built = video_chunks.build(build_dir, options.name, staged, recorded, beam_options=beam_options)
    options.set_dir.parent.mkdir(parents=True, exist_ok=True)
    os.rename(built, options.set_dir)


def _define_flags() -> None:
    """Defines the flags when this module is the program; other programs import it and have their own flags."""
    defaults = CutSpec()
    flags.DEFINE_enum("source", "folder", sorted(SOURCES), "Kind of source.")
    command.define_path("videos", None, "Folder of videos; relative paths in lists start here.", required=True)
    command.define_paths("list", [], "Files that list the videos, separated by commas, for sources that use lists.")
    flags.DEFINE_string("label", "", "One class for all videos instead of the names of their folders.")
    command.define_path("data_dir", "data", "Folder of data sets.")
    flags.DEFINE_string("name", None, "Name of the new data set.", required=True)
    flags.DEFINE_integer("rate_hz", defaults.rate_hz, "Sample rate of the stored audio.")
    flags.DEFINE_float("fps", defaults.fps, "Stored frames per second.")
    flags.DEFINE_integer("frame_px", defaults.frame_px, "Shorter side of the stored frames, in pixels.")
    flags.DEFINE_float("chunk_seconds", defaults.chunk_seconds, "Longest part of a video in one record.")
    flags.DEFINE_float("min_seconds", defaults.min_seconds, "Shortest part that becomes a record.")
    flags.DEFINE_float("silence_dbfs", defaults.silence_dbfs, "Level below which a video is silent.")
    flags.DEFINE_integer("audio_track", None, "Audio track of every video, from 1; chosen for each video by default.")
    flags.DEFINE_integer("video_track", None, "Video track of every video, from 1; chosen for each video by default.")
    flags.DEFINE_enum("split", "", ("", *SPLITS), "The one split of all videos; by default all splits are filled.")
    command.define_path("split_file", None, "JSON or CSV file that says which video goes to which split.")
    flags.DEFINE_bool("split_by_list", False, "Each list is the split that its name says, such as train.csv.")
    flags.DEFINE_enum("protocol", "", ("", *PROTOCOLS), "Proportions of the splits; by default 11:2:3.")
    flags.DEFINE_string("group", "", "Regular expression for ids; its first group names the original of a video.")
    flags.DEFINE_integer("workers", os.cpu_count() or 1, "Number of processes that decode.")
    flags.DEFINE_list("beam_options", [], "Options of Apache Beam, such as runner=FlinkRunner, to use its workers.")


def main() -> None:
    """Runs the command with absl's flags."""
    values = flags.FLAGS
    cut = CutSpec(
        rate_hz=values.rate_hz,
        fps=values.fps,
        frame_px=values.frame_px,
        chunk_seconds=values.chunk_seconds,
        min_seconds=values.min_seconds,
        silence_dbfs=values.silence_dbfs,
        audio_track=values.audio_track,
        video_track=values.video_track,
    )
    prepare(
        Options(
            source=values.source,
            place=Place(values.videos, tuple(values.list), class_name(safe_name(values.label)) if values.label else ""),
            data_dir=values.data_dir,
            name=values.name,
            cut=cut,
            workers=values.workers,
            division=Division(
                split=values.split,
                file=values.split_file,
                by_list=values.split_by_list,
                protocol=values.protocol,
                group=values.group,
            ),
            beam=tuple(values.beam_options),
        )
    )


if __name__ == "__main__":
    _define_flags()
    command.run(main)
