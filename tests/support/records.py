"""Parses records independently of the readers under test, and writes one of a few features."""

from collections.abc import Iterable
from pathlib import Path

from data_pipeline.builders.video_chunks import SteadyWriter, tfds
from data_pipeline.records.store import RecordStore
from data_pipeline.tf_cpu import tf


def parse(store: RecordStore, index: int) -> dict[str, tf.Tensor]:
    """Returns the features of one record; frames stay encoded."""
    text, number, real = (tf.io.FixedLenFeature([], kind) for kind in (tf.string, tf.int64, tf.float32))
    fields = dict.fromkeys(("audio", "boxes", "video_id"), text) | dict.fromkeys(("label", "chunk"), number)
    fields |= {"start_seconds": real, "video_rms": real, "frames": tf.io.RaggedFeature(tf.string)}
    example = tf.io.parse_single_example(store.read(index), fields)
    example["audio"] = tf.io.decode_raw(example["audio"], tf.int16)
    example["boxes"] = tf.reshape(tf.io.decode_raw(example["boxes"], tf.float32), [-1, 4])
    return example


def write_features(path: Path | str, names: Iterable[str]) -> None:
    """Writes a file with one record, whose features are added in the order of their names."""
    features = {name: tf.train.Feature(int64_list=tf.train.Int64List(value=[1])) for name in names}
    data = tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()
    SteadyWriter(file_format=tfds.core.FileFormat.TFRECORD).write(str(path), [(0, data)])
