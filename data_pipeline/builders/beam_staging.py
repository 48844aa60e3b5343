"""Stages and writes through Apache Beam, for sets too large for one machine; `pip install 'mpnet_jax[beam]'`.

It does the work of `pool` and `staged_set` on Beam's workers, which must see the videos and the data folder under the
same paths.
"""

from collections.abc import Sequence
from pathlib import Path

import apache_beam as beam  # pyright: ignore[reportMissingImports]
from absl import logging
from apache_beam.options.pipeline_options import PipelineOptions, TypeOptions  # pyright: ignore[reportMissingImports]

from data_pipeline.command import InputError
from data_pipeline.sources import Video
from data_pipeline.staging import staged_video
from data_pipeline.staging.cutting import CutSpec
from data_pipeline.staging.staged_set import StagedSet, keyed_chunks
from data_pipeline.staging.staged_video import Facts


def pipeline_options(given: Sequence[str]) -> PipelineOptions:
    """Returns the options of `--beam_options`, such as `runner=FlinkRunner`, as Beam takes them."""
    options = PipelineOptions([f"--{option.removeprefix('--')}" for option in given])
    options.view_as(TypeOptions).pipeline_type_check = False  # as in TFDS
    return options


def stage_all(videos: Sequence[Video], cut: CutSpec, stage: Path, options: PipelineOptions) -> list[Facts]:
    """Decodes the videos that are not staged yet, each on some worker.

    Args:
        videos: All videos.
        cut: How to cut them.
        stage: Folder of staged videos, which all workers see.
        options: Options of the pipeline.

    Returns:
        Facts of every video, in the order of `videos`.

    Raises:
        InputError: A worker wrote to another folder.
    """
    staged_video.busy_videos(stage)  # removes the marks of an earlier run
    todo = [video for video in videos if staged_video.staged_facts(video, stage) is None]
    logging.info("%d of %d videos are staged already", len(videos) - len(todo), len(videos))
    if todo:
        with beam.Pipeline(options=options) as pipeline:
            _ = pipeline | beam.Create(todo) | beam.Reshuffle() | beam.Map(_stage, cut=cut, stage=stage)
    facts = [staged_video.staged_facts(video, stage) for video in videos]
    if None in facts:
        raise InputError(
            f"{videos[facts.index(None)].path} was staged elsewhere than in {stage}; Beam's workers need the same "
            "folders under the same paths, so give a --data_dir and --videos that all of them see"
        )
    return [fact for fact in facts if fact is not None]


def examples(staged: StagedSet, split: str) -> beam.PTransform:
    """Returns a transform that yields the (key, example) pairs of one split; TFDS then writes through Beam."""
    return beam.Create(staged.facts_of(split)) | beam.Reshuffle() | beam.FlatMap(keyed_chunks, folder=staged.folder)


def _stage(video: Video, cut: CutSpec, stage: Path) -> str | None:
    """Stages one video; the caller reads the facts from the folder, as a resumed run does."""
    return staged_video.stage_video(video, cut, stage).reason
