"""Staging and writing through Apache Beam, for sets too large for one machine; `pip install 'mpnet_jax[beam]'`.

The work is that of `pool` and `staged_set`, spread over Beam's workers, which must see the videos and the data folder
under the same paths.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam  # pyright: ignore[reportMissingImports]
from absl import logging
from apache_beam.options.pipeline_options import PipelineOptions, TypeOptions  # pyright: ignore[reportMissingImports]

from data_pipeline.command import InputError
from data_pipeline.sources import Video
from data_pipeline.staging import staged_video
from data_pipeline.staging.cutting import CutSpec
from data_pipeline.staging.staged_set import StagedSet, keyed_chunks
from data_pipeline.staging.staged_video import Facts


def stage_all(
    videos: Sequence[Video], cut: CutSpec, stage: Path, *, runner: Any = None, options: Any = None
) -> list[Facts]:
    """Decodes the videos that were not staged before, each on some worker.

    Args:
        videos: all of them.
        cut: how to cut them.
        stage: folder of staged videos; all workers see it.
        runner: Beam's runner, or its name; None takes it from the options.
        options: of the pipeline (`PipelineOptions`); None for Beam's own.

    Returns:
        Facts of every video, in the order of `videos`.

    Raises:
        InputError: a worker wrote somewhere else.
    """
    staged_video.busy_videos(stage)  # marks that an earlier run left
    todo = [video for video in videos if staged_video.staged_facts(video, stage) is None]
    logging.info("%d of %d videos are staged already", len(videos) - len(todo), len(videos))
    if todo:
        options = options or PipelineOptions()
        options.view_as(TypeOptions).pipeline_type_check = False  # as TFDS has it for the same workers
        with beam.Pipeline(runner=runner, options=options) as pipeline:
            _ = pipeline | beam.Create(todo) | beam.Reshuffle() | beam.Map(_stage, cut=cut, stage=stage)
    facts = [staged_video.staged_facts(video, stage) for video in videos]
    if None in facts:
        raise InputError(
            f"{videos[facts.index(None)].path} was staged elsewhere than in {stage}; Beam's workers need the same "
            "folders under the same paths, so give a --data_dir and a --manual_dir that all of them see"
        )
    return [fact for fact in facts if fact is not None]


def examples(staged: StagedSet, split: str) -> beam.PTransform:
    """(key, example) pairs of one split as a transform, which is what makes TFDS write through Beam."""
    return beam.Create(staged.facts_of(split)) | beam.Reshuffle() | beam.FlatMap(keyed_chunks, folder=staged.folder)


def _stage(video: Video, cut: CutSpec, stage: Path) -> str | None:
    """Stages one video; the facts go by way of the folder, where the next run finds them too."""
    return staged_video.stage_video(video, cut, stage).reason
