"""Writes staged videos as a TFDS data set: one example is a chunk of one solo, never a complete video."""

import contextlib
import dataclasses
import errno
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data_pipeline.records import index_file
from data_pipeline.staging.cutting import CutSpec
from data_pipeline.staging.staged_set import StagedSet
from data_pipeline.tf_cpu import tf  # before TFDS, so that no GPU is touched

import tensorflow_datasets as tfds  # isort: skip
from tensorflow_datasets.core import shuffle  # isort: skip

CUT_FIELDS = tuple(field.name for field in dataclasses.fields(CutSpec))
# TFDS buffers a split in memory up to this size and in files beyond it; its default of 1 GiB is too much for small
# machines.
shuffle.MAX_MEM_BUFFER_SIZE = 128 << 20


class SteadyWriter(tfds.core.ExampleWriter):
    """Writes equal bytes for equal examples; by default the order of a protocol buffer's fields differs by process."""

    def write(self, path: Any, examples: Any) -> Any:
        """Writes (key, serialized example) pairs to one file."""
        return super().write(path, ((key, _steady(data)) for key, data in examples))


def _steady(data: bytes) -> bytes:
    return tf.train.Example.FromString(data).SerializeToString(deterministic=True)


class VideoChunks(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # pyright: ignore[reportGeneralTypeIssues, reportCallIssue]
    """Writes a staged set with its index, manifest and summary; equal sets give equal files.

    Args:
        name: Name of the set.
        staged: Videos to write.
        recorded: JSON values to record with the set: how it was cut, and from what.
        beam: Whether to write through Apache Beam.
    """

    VERSION = tfds.core.Version("1.0.0")

    def __init__(self, name: str, staged: StagedSet, recorded: Mapping[str, Any], *, beam: bool, **kwargs: Any) -> None:
        self.name = name  # pyright: ignore[reportAttributeAccessIssue]  (TFDS takes it from the class by default)
        self._staged, self._recorded, self._beam = staged, recorded, beam
        super().__init__(**kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="Solos of one instrument each, cut into chunks of sound and pictures.",
            features=tfds.features.FeaturesDict(features(self._staged.classes)),
            metadata=tfds.core.MetadataDict(self._recorded),
        )

    def _download_and_prepare(self, dl_manager: Any, download_config: tfds.download.DownloadConfig) -> None:
        super()._download_and_prepare(dl_manager, download_config)
        # TFDS renames a temporary folder when this returns, so the set appears together with these files.
        folder = Path(self.data_dir)
        for split, info in self.info.splits.items():
            paths = [Path(path) for path in info.filepaths]
            index_file.write_index(folder, split, paths, index_file.scan(paths))
        self._staged.write_account(folder, {name: self._recorded[name] for name in ("source", *CUT_FIELDS)})

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        del dl_manager  # nothing is downloaded
        return {split: self._generate_examples(split) for split in self._staged.split_names}

    def _generate_examples(self, split: str) -> Any:
        if not self._beam:
            return self._staged.examples(split)
        from data_pipeline.builders import beam_staging

        return beam_staging.examples(self._staged, split)

    def _example_writer(self) -> SteadyWriter:
        assert self.info.file_format is not None
        return SteadyWriter(file_format=self.info.file_format)


def build(
    data_dir: Path, name: str, staged: StagedSet, recorded: Mapping[str, Any], *, beam_options: Any = None
) -> Path:
    """Writes a set that `tfds.builder_from_directory` reads.

    Args:
        data_dir: Folder to write to; the set becomes `data_dir/name/1.0.0`.
        name: Name of the set, lower case with underscores.
        staged: Videos to write.
        recorded: JSON values to record with the set: how it was cut, and from what.
        beam_options: `PipelineOptions` of Apache Beam; None writes in this process.

    Returns:
        The folder of the set.

    Raises:
        OSError: The disk is full. TensorFlow has an error of its own for this, and TFDS wraps it in another.
    """
    tfds.disable_progress_bar()
    download = tfds.download.DownloadConfig(beam_options=beam_options)
    # TFDS announces a download on stdout, where a command's result belongs.
    with contextlib.redirect_stdout(io.StringIO()):
        builder = VideoChunks(name, staged, recorded, beam=beam_options is not None, data_dir=str(data_dir))
        try:
            builder.download_and_prepare(file_format="tfrecord", download_config=download)
        except Exception as error:
            if any(isinstance(cause, tf.errors.ResourceExhaustedError) for cause in _causes(error)):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(data_dir)) from error
            raise
    return Path(builder.data_dir)


def features(classes: Sequence[str]) -> dict[str, tfds.features.FeatureConnector]:
    """Returns the features of an example.

    `audio` int16 (samples,), mono, full scale 32768; `frames` JPEG (frames, height, width, 3), the first at
    the chunk's start, then one every 1 / fps seconds; `boxes` float32 (frames, 4) as ymin, xmin, ymax,
    xmax in shares of the frame, NaN where unknown; `start_seconds` of the chunk; `video_rms` root mean
    square of the complete video's sound, full scale 1.
    """
    return {
        "audio": tfds.features.Tensor(shape=(None,), dtype=np.int16, encoding="bytes"),
        "frames": tfds.features.Sequence(tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg")),
        "boxes": tfds.features.Tensor(shape=(None, 4), dtype=np.float32, encoding="bytes"),
        "video_id": tfds.features.Text(),
        "label": tfds.features.ClassLabel(names=list(classes)),
        "chunk": tfds.features.Scalar(dtype=np.int64),
        "start_seconds": tfds.features.Scalar(dtype=np.float32),
        "video_rms": tfds.features.Scalar(dtype=np.float32),
    }


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
