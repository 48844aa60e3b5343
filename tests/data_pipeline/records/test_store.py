import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from data_pipeline import prepare
from data_pipeline.command import InputError
from data_pipeline.records import index_file
from data_pipeline.records.parts import find_parts
from data_pipeline.records.store import RecordStore
from data_pipeline.sources import Place
from data_pipeline.spec import DataSetSpec
from data_pipeline.staging.cutting import CutSpec
from tests.support.records import parse, write_features
from tests.support.repository import ROOT


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory, write_video):
    """Two classes, nine records to train with."""
    root = tmp_path_factory.mktemp("records")
    for label, tone_hz in (("cello", 200.0), ("violin", 600.0)):
        for number in range(4):
            write_video(root / "videos" / label / f"{number}.mp4", seconds=3.5 + number / 4, tone_hz=tone_hz)
    boxes = [[0.25, 0.0, 0.5, number / 40] for number in range(40)]
    for path in (root / "videos" / "violin").glob("*.mp4"):
        path.with_suffix(".json").write_text(json.dumps({"boxes": boxes, "fps": 10}))
    cut = CutSpec(fps=4, frame_px=24, chunk_seconds=2, min_seconds=1)
    prepare.prepare(prepare.Options("folder", Place(root / "videos"), root / "data", "tiny", cut, 1))
    return root / "data"


@pytest.fixture
def own_copy(data_dir, tmp_path) -> Path:
    shutil.copytree(data_dir, tmp_path / "data")
    return tmp_path / "data"


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_random_access_equals_plain_tfds(data_dir, split):
    import tensorflow_datasets as tfds

    from data_pipeline.tf_cpu import tf

    store = RecordStore.open(data_dir, "tiny", split)
    builder = tfds.builder_from_directory(data_dir / "tiny" / "1.0.0")
    options = tfds.ReadConfig(interleave_cycle_length=1)
    sequential = list(builder.as_dataset(split=split, shuffle_files=False, read_config=options))
    assert len(store) == len(sequential) == builder.info.splits[split].num_examples > 0
    for index in reversed(range(len(store))):
        parsed, plain, clip = (
            parse(store, index),
            sequential[index],
            store.clips[index],
        )
        assert parsed.keys() == plain.keys()
        for name in plain.keys() - {"frames"}:
            assert parsed[name].dtype == plain[name].dtype
            np.testing.assert_array_equal(parsed[name], plain[name], err_msg=name)
        pictures = np.stack([tf.io.decode_jpeg(jpeg) for jpeg in parsed["frames"]])
        np.testing.assert_array_equal(pictures, plain["frames"])
        assert clip.video_id.encode() == plain["video_id"]
        assert (clip.label, clip.chunk) == (plain["label"], plain["chunk"])
        assert (clip.samples, clip.frames) == (len(plain["audio"]), len(plain["frames"]))
        assert (clip.start_seconds, clip.video_rms) == (plain["start_seconds"], plain["video_rms"])


def test_store_knows_its_set(data_dir):
    store = RecordStore.open(data_dir, "tiny", "train")
    assert store.spec == DataSetSpec(rate_hz=11025, fps=4.0, frame_px=24, chunk_seconds=2.0)
    assert store.classes == ("cello", "violin")
    assert {clip.video_id.partition("/")[0] for clip in store.clips} == {"cello", "violin"}
    assert all(store.classes[clip.label] == clip.video_id.partition("/")[0] for clip in store.clips)
    splits = [{clip.video_id for clip in RecordStore.open(data_dir, "tiny", name).clips} for name in ("test", "train")]
    assert splits[0].isdisjoint(splits[1])


def test_values_survive(data_dir):
    from data_pipeline.tf_cpu import tf

    store = RecordStore.open(data_dir, "tiny", "train")
    for index, clip in enumerate(store.clips):
        example = parse(store, index)
        sound = example["audio"].numpy() / 32768
        spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
        expected_hz = (200, 600)[clip.label]
        assert np.argmax(spectrum) * 11025 / len(sound) == pytest.approx(expected_hz, abs=1)
        assert clip.video_rms == pytest.approx(0.5 / np.sqrt(2), rel=0.02)
        assert tf.io.decode_jpeg(example["frames"][0]).shape == (24, 32, 3)
        assert np.isnan(example["boxes"]).all() == (clip.label == 0)


def test_parts_are_read_without_the_rest(data_dir):
    store = RecordStore.open(data_dir, "tiny", "train")
    for index, clip in enumerate(store.clips):
        whole = parse(store, index)
        np.testing.assert_array_equal(store.read_sound(index), whole["audio"])
        np.testing.assert_array_equal(store.read_sound(index, 100, 7), whole["audio"][100:107])
        np.testing.assert_array_equal(store.read_boxes(index), whole["boxes"])
        numbers = [clip.frames - 1, 0, 0]
        assert store.read_pictures(index, numbers) == [whole["frames"][number].numpy() for number in numbers]
    with pytest.raises(ValueError, match=r"samples 5 to \d+ are not in record 0, which has \d+; draw windows"):
        store.read_sound(0, 5, store.clips[0].samples)


def test_bytes_that_are_no_example_are_refused():
    with pytest.raises(ValueError, match="wire type 5 at byte 1"):
        find_parts(b"\x0d\x00\x00\x00\x00")
    with pytest.raises(ValueError, match="a field at byte 2 ends beyond its message"):
        find_parts(b"\x0a\x09\x00")


def test_several_threads_read_the_same_bytes(data_dir):
    store = RecordStore.open(data_dir, "tiny", "train")
    with ThreadPoolExecutor(8) as pool:
        data = list(pool.map(store.read, list(range(len(store))) * 8))
    assert data[: len(store)] * 8 == data
    store.close()
    assert store.read(0) == data[0]


def test_a_missing_or_stale_index_is_made_again(own_copy, monkeypatch):
    path = own_copy / "tiny" / "1.0.0" / "index-train.json"
    clips = RecordStore.open(own_copy, "tiny", "train").clips
    path.unlink()
    assert RecordStore.open(own_copy, "tiny", "train").clips == clips
    index = json.loads(path.read_text())
    index["shards"][0][1] += 1
    path.write_text(json.dumps(index))
    assert RecordStore.open(own_copy, "tiny", "train").clips == clips
    index = json.loads(path.read_text())
    index["format"] = 1  # the format of earlier versions
    del index["clips"]["parts"]
    path.write_text(json.dumps(index))
    assert RecordStore.open(own_copy, "tiny", "train").clips == clips
    assert json.loads(path.read_text())["format"] == 2
    path.unlink()

    def read_only(*_):
        raise OSError("read-only file system")

    monkeypatch.setattr(index_file, "write_index", read_only)
    assert RecordStore.open(own_copy, "tiny", "train").clips == clips
    assert not path.exists()


def test_damage_is_reported(own_copy):
    (shard,) = (own_copy / "tiny" / "1.0.0").glob("*-train.tfrecord*")
    store = RecordStore.open(own_copy, "tiny", "train")
    whole = shard.read_bytes()
    shard.write_bytes(whole[: store.clips[-1].offset + 10])
    store.read(0)
    with pytest.raises(InputError, match=r"tfrecord.* is damaged at byte \d+: record .*prepare the data set again"):
        store.read(len(store) - 1)
    with pytest.raises(InputError, match="is damaged at byte"):
        store.read_pictures(len(store) - 1, [0])
    with pytest.raises(InputError, match="is damaged at byte"):
        RecordStore.open(own_copy, "tiny", "train")
    shard.unlink()
    with pytest.raises(InputError, match="is gone"):
        RecordStore.open(own_copy, "tiny", "train")


def test_missing_sets_and_splits_are_named(data_dir, tmp_path):
    with pytest.raises(InputError, match=r"no data set at .*nothing; make it with `python -m data_pipeline\.prepare"):
        RecordStore.open(tmp_path, "nothing", "train")
    with pytest.raises(InputError, match=r"has no split 'dev'; it has test, train, validation"):
        RecordStore.open(data_dir, "tiny", "dev")


def test_several_sets_are_one(own_copy):
    shutil.copytree(own_copy / "tiny", own_copy / "other")
    one = RecordStore.open(own_copy, "tiny", "train")
    both = RecordStore.open(own_copy, "tiny, other", "train")
    count = len(one)
    assert len(both) == 2 * count and both.classes == one.classes and both.spec == one.spec
    assert both.folder == one.folder
    for index in range(len(both)):
        name = "tiny" if index < count else "other"
        assert both.clips[index].video_id == f"{name}/{one.clips[index % count].video_id}"
        assert both.read(index) == one.read(index % count)
    label = next((own_copy / "other").glob("*/label.labels.txt"))
    label.write_text("cello\nviola\n")
    with pytest.raises(InputError, match=r"other/.* has other classes than .*tiny.* \(\('cello', 'viola'\), not"):
        RecordStore.open(own_copy, "tiny,other", "train")
    with pytest.raises(InputError, match="tiny,tiny names a data set twice"):
        RecordStore.open(own_copy, "tiny,tiny", "train")


def test_a_set_that_says_not_how_it_was_cut_is_refused(own_copy):
    (own_copy / "tiny" / "1.0.0" / "metadata.json").write_text("{}")
    with pytest.raises(InputError, match="does not record how it was cut"):
        RecordStore.open(own_copy, "tiny", "train")


@pytest.mark.parametrize(("field", "asked"), [("rate_hz", 16000), ("fps", 8.0), ("frame_px", 106)])
def test_a_run_that_asks_for_another_cut_is_refused(data_dir, field, asked):
    store = RecordStore.open(data_dir, "tiny", "train")
    asked_spec = {"rate_hz": 11025, "fps": 4.0, "frame_px": 24, "chunk_seconds": 6.0}
    store.require(DataSetSpec(**asked_spec))
    with pytest.raises(
        InputError, match=rf"prepared with {field}=.*asks for {asked:g}; .*--name=OTHER --{field}={asked:g}"
    ):
        store.require(DataSetSpec(**asked_spec | {field: asked}))


def test_equal_examples_are_equal_bytes(tmp_path):
    write_features(tmp_path / "one", "abcdefgh")
    # In another process the hashes of the names are others.
    script = "import sys; from tests.support.records import write_features; write_features(*sys.argv[1:])"
    subprocess.run([sys.executable, "-c", script, tmp_path / "other", "hgfedcba"], cwd=ROOT, check=True)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()
