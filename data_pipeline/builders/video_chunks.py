"""The TFDS data set: one example is a chunk of one solo, never a whole video."""

import contextlib
import errno
import io
import os
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

from data_pipeline.tf_cpu import tf  # before TFDS, so that no GPU is touched

import tensorflow_datasets as tfds  # isort: skip
from tensorflow_datasets.core import shuffle  # isort: skip

VERSION = "1.0.0"
DESCRIPTION = "Solos of one instrument each, cut into chunks of sound and pictures."
# TFDS keeps a split in memory up to a limit, and in files beyond; its own limit of a gigabyte is a small machine's all.
shuffle.MAX_MEM_BUFFER_SIZE = 128 << 20
Examples = Iterator[tuple[str, dict[str, Any]]]


class SteadyWriter(tfds.core.ExampleWriter):
    """Writes equal bytes for equal examples; a protocol buffer has its fields in another order in each process."""

    def write(self, path: Any, examples: Any) -> Any:
        """Writes (key, serialized example) pairs to one file."""
        return super().write(path, ((key, _steady(data)) for key, data in examples))


def _steady(data: bytes) -> bytes:
    return tf.train.Example.FromString(data).SerializeToString(deterministic=True)


class ChunkBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # pyright: ignore[reportGeneralTypeIssues, reportCallIssue]
    """What all sets of chunks share: version, features, and files that are equal for equal sets."""

    VERSION = tfds.core.Version(VERSION)

    def _chunk_info(
        self, classes: Sequence[str], facts: Mapping[str, Any], *, description: str = DESCRIPTION, **about: Any
    ) -> tfds.core.DatasetInfo:
        """Info of a set.

        Args:
            classes: names of the labels.
            facts: JSON values recorded with the set: how it was cut, and from what.
            description: of the set.
            **about: other fields of `DatasetInfo`, such as `homepage`.
        """
        return tfds.core.DatasetInfo(
            builder=self,
            description=description,
            features=tfds.features.FeaturesDict(features(classes)),
            metadata=tfds.core.MetadataDict(facts),
            **about,
        )

    def _example_writer(self) -> SteadyWriter:
        assert self.info.file_format is not None
        return SteadyWriter(file_format=self.info.file_format)


class VideoChunks(ChunkBuilder, skip_registration=True):  # pyright: ignore[reportGeneralTypeIssues, reportCallIssue]
    """Chunks of solos: sound, pictures and boxes; see `docs/DATA.md`."""

    def __init__(
        self,
        *,
        examples: Mapping[str, Callable[[], Examples]],
        classes: Sequence[str],
        facts: Mapping[str, Any],
        **kwargs: Any,
    ) -> None:
        """Takes the data instead of downloading it.

        Args:
            examples: split -> a function that gives its (key, example) pairs.
            classes: names of the labels.
            facts: recorded with the set: how it was cut, and from what.
            **kwargs: for TFDS, such as `data_dir`.
        """
        self._examples, self._classes, self._facts = examples, tuple(classes), dict(facts)
        super().__init__(**kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        return self._chunk_info(self._classes, self._facts)

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Examples]:
        del dl_manager  # nothing is downloaded
        return {split: self._generate_examples(split) for split in self._examples}

    def _generate_examples(self, split: str) -> Examples:
        yield from self._examples[split]()


def features(classes: Sequence[str]) -> dict[str, tfds.features.FeatureConnector]:
    """Features of an example.

    `audio` int16 (samples,), mono, full scale 32768; `frames` JPEG (frames, height, width, 3), the first at
    the chunk's start, then one every 1 / fps seconds; `boxes` float32 (frames, 4) as ymin, xmin, ymax,
    xmax in parts of the picture, NaN where unknown; `start_seconds` of the chunk; `video_rms` root mean
    square of the whole video's sound, full scale 1.
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


@contextlib.contextmanager
def full_disk_named(folder: Path) -> Iterator[None]:
    """Makes an ordinary `OSError` of a full disk; TensorFlow has an error of its own, and TFDS wraps it in another."""
    try:
        yield
    except Exception as error:
        if any(isinstance(cause, tf.errors.ResourceExhaustedError) for cause in _causes(error)):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder)) from error
        raise


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


@contextlib.contextmanager
def _warnings_only() -> Iterator[None]:
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.WARNING)
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)


def build(
    data_dir: Path,
    name: str,
    *,
    examples: Mapping[str, Callable[[], Examples]],
    classes: Sequence[str],
    facts: Mapping[str, Any],
) -> Path:
    """Writes a data set that `tfds.builder_from_directory` reads.

    Args:
        data_dir: the set goes to `data_dir/name/1.0.0`.
        name: name of the set, lower case with underscores.
        examples: split -> a function that gives its (key, example) pairs; keys are unique in the split.
        classes: names of the labels.
        facts: JSON values recorded with the set.

    Returns:
        The folder of the set.

    Raises:
        OSError: the disk is full.
    """
    # A class of its own, because TFDS takes a set's name from the class.
    named = types.new_class(
        "NamedVideoChunks",
        (VideoChunks,),
        {"skip_registration": True},
        lambda space: space.update(name=name, __module__=__name__),
    )
    tfds.disable_progress_bar()
    # TFDS announces a download on stdout, where a command's result belongs, and logs temporary names.
    with contextlib.redirect_stdout(io.StringIO()), _warnings_only(), full_disk_named(data_dir):
        builder = named(data_dir=str(data_dir), examples=examples, classes=classes, facts=facts)
        builder.download_and_prepare(file_format="tfrecord")
    return Path(builder.data_dir)
