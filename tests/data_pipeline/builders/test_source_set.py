import dataclasses
import json
from pathlib import Path

import pytest
import tensorflow_datasets as tfds

from data_pipeline.builders.source_set import CutConfig, LabelledConfig
from data_pipeline.builders.tfds_sets.video_folder import VideoFolder
from data_pipeline.command import InputError
from data_pipeline.prepare import Options, prepare
from data_pipeline.records import index_file
from data_pipeline.records.store import RecordStore
from data_pipeline.sources import Place
from data_pipeline.staging import staged_video
from data_pipeline.staging.cutting import CutSpec
from tests.support.set_case import TINY_CUT

CLASSES = ("cello", "violin")


def tiny_builder(data_dir: Path, **changes) -> VideoFolder:
    return VideoFolder(
        data_dir=data_dir, config=LabelledConfig(**{"name": "tiny", "classes": CLASSES, **TINY_CUT, **changes})
    )


def build(builder: VideoFolder, videos: Path, **config) -> None:
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=videos, **config))


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    from tests.support.tiny_videos import write_video

    root = tmp_path_factory.mktemp("videos")
    for label in CLASSES:
        for number in range(3):
            write_video(root / label / f"{number}.mp4", seconds=3, tone_hz=300 + 100 * number)
    return root


def test_the_same_videos_prepared_and_built_give_the_same_bytes(tmp_path, videos):
    cut = CutSpec(**{name: value for name, value in TINY_CUT.items() if name != "workers"})
    prepare(Options("folder", Place(videos), tmp_path, "prepared", cut, workers=1))
    builder = tiny_builder(tmp_path)
    build(builder, videos)
    for split in ("train", "validation", "test"):
        first, second = (RecordStore.open(tmp_path, name, split) for name in ("prepared", "video_folder/tiny"))
        assert first.clips == second.clips
        assert first.classes == second.classes == CLASSES
        assert first.spec == second.spec
        assert [first.read(index) for index in range(len(first))] == [second.read(i) for i in range(len(second))]
    prepared, built = (
        json.loads((folder / "metadata.json").read_text())
        for folder in (tmp_path / "prepared" / "1.0.0", builder.data_path)
    )
    assert prepared.items() <= built.items()
    summaries = [(folder / "prepare_summary.json").read_text() for folder in (first.folder, second.folder)]
    assert summaries[0] == summaries[1]


def test_the_index_comes_with_the_set_and_the_staging_folder_goes(tmp_path, videos):
    builder = tiny_builder(tmp_path)
    build(builder, videos)
    names = {path.name for path in builder.data_path.iterdir()}
    assert {"index-train.json", "index-validation.json", "index-test.json"} <= names
    assert {path.name for path in tmp_path.iterdir()} == {"downloads", "video_folder"}
    index = Path(builder.data_path / "index-train.json")
    written = index.stat().st_mtime_ns
    RecordStore.open(tmp_path, "video_folder/tiny", "train")
    assert index.stat().st_mtime_ns == written


def test_an_interrupted_build_goes_on_and_never_looks_whole(tmp_path, videos, monkeypatch):
    decoded, stage_video, write_index = [], staged_video.stage_video, index_file.write_index

    def counted(video, *rest):
        decoded.append(video.id)
        return stage_video(video, *rest)

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(staged_video, "stage_video", counted)
    # The index is written last, before the set is renamed.
    monkeypatch.setattr(index_file, "write_index", interrupted)
    with pytest.raises(KeyboardInterrupt):
        build(tiny_builder(tmp_path), videos)
    assert len(decoded) == 6
    builder = tiny_builder(tmp_path)
    assert not builder.data_path.exists()
    assert not builder.is_prepared()
    with pytest.raises(InputError, match="no data set at"):
        RecordStore.open(tmp_path, "video_folder/tiny", "train")
    monkeypatch.setattr(index_file, "write_index", write_index)
    build(builder, videos)
    assert len(decoded) == 6
    assert builder.info.splits["train"].num_examples == 4
    build(tiny_builder(tmp_path), videos)  # exists already
    assert len(decoded) == 6


def test_a_folder_that_a_kill_left_is_no_set(tmp_path, videos):
    builder = tiny_builder(tmp_path)
    half = builder.data_path.parent / "incomplete.ABC123_1.0.0"
    half.mkdir(parents=True)
    (half / "video_folder-train.tfrecord-00000-of-00001").write_bytes(b"half")
    assert not tiny_builder(tmp_path).is_prepared()
    with pytest.raises(InputError, match="no data set at"):
        RecordStore.open(tmp_path, "video_folder/tiny", "train")
    build(builder, videos)
    assert len(RecordStore.open(tmp_path, "video_folder/tiny", "train")) == 4
    assert [path.name for path in Path(half.parent).iterdir()] == ["1.0.0"]


def test_a_set_that_was_made_otherwise_is_refused(tmp_path, videos):
    build(tiny_builder(tmp_path), videos)
    with pytest.raises(InputError, match=r"made with rate_hz=11025, not 8000; choose another name for the config"):
        tiny_builder(tmp_path, rate_hz=8000)
    with pytest.raises(InputError, match=r"made with classes=\['cello', 'violin'\], not"):
        tiny_builder(tmp_path, classes=("violin", "cello"))


def test_all_videos_can_go_to_one_split(tmp_path, videos):
    builder = tiny_builder(tmp_path, split="test")
    build(builder, videos)
    assert {name: info.num_examples for name, info in builder.info.splits.items()} == {"test": 12}


def test_tfds_can_write_a_few_examples_or_none(tmp_path, videos):
    few = tiny_builder(tmp_path)
    build(few, videos, max_examples_per_split=1)
    assert few.info.splits.total_num_examples == 3
    none = tiny_builder(tmp_path, name="none")
    build(none, videos, max_examples_per_split=0)
    assert none.info.splits.total_num_examples == 0


def test_classes_that_the_config_lacks_are_named(tmp_path, videos):
    with pytest.raises(
        InputError, match=r"""class violin are there, .* are cello; give --config='\{"name": "mine", """
    ):
        build(tiny_builder(tmp_path, classes=["cello"]), videos)


def test_a_folder_that_is_missing_is_answered_with_instructions(tmp_path):
    with pytest.raises(InputError, match=r"(?s)/nowhere does not exist or is empty.*manual_dir/CLASS/NAME.mp4"):
        build(tiny_builder(tmp_path), Path("/nowhere"))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"name": "a/b"}, r"config name 'a/b' must be letters, digits"),
        ({"rate_hz": "16000"}, r"rate_hz='16000' of config 'x' must be a number"),
        ({"fps": 0}, r"fps=0 must be a positive number"),
        ({"split": "val"}, r"split='val' of config 'x' is unknown; use one of train, validation, test"),
        ({"workers": -1}, r"workers=-1 of config 'x' must be 1 or more, or 0 for all cores"),
        ({"classes": "cello"}, r"classes='cello' of config 'x' must be a list"),
        ({"classes": ["cello", "cello"]}, r"must be a list of different names"),
    ],
)
def test_a_config_with_bad_values_is_refused(values, sentence):
    with pytest.raises(InputError, match=sentence):
        LabelledConfig(**{"name": "x", **values})


def test_a_config_has_the_fields_of_a_cut():
    defaults = CutConfig(name="x")
    assert defaults.cut == CutSpec()
    assert {field.name for field in dataclasses.fields(CutSpec)} <= set(vars(defaults))
    assert CutConfig(name="x", fps=4.0, rate_hz=8000).cut == CutSpec(fps=4.0, rate_hz=8000)
    assert "8000 samples and 8 pictures a second, 106 px" in CutConfig(name="x", rate_hz=8000).description
