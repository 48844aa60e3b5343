import subprocess
import sys

import tensorflow_datasets as tfds

from data_pipeline.builders.source_set import CutConfig, LabelledConfig
from data_pipeline.builders.tfds_sets import rendered_solos, video_folder
from data_pipeline.rendered.sound.instruments import CLASSES
from tests.support import set_case
from tests.support.repository import ROOT
from tests.support.tiny_videos import write_video


class VideoFolderTest(set_case.SetCase):
    __test__ = True
    DATASET_CLASS = video_folder.VideoFolder
    BUILDER_CONFIG_NAMES_TO_TEST = (LabelledConfig(name="tiny", classes=("cello", "violin"), **set_case.TINY_CUT),)
    SPLITS = set_case.THREE | {"train": 4}

    @classmethod
    def write_data(cls, folder):
        for name in ("cello/0", "violin/0", "violin/1", "violin/2"):
            write_video(folder / f"{name}.mp4", seconds=3)


class RenderedSolosTest(set_case.SetCase):
    __test__ = True
    DATASET_CLASS = rendered_solos.RenderedSolos
    BUILDER_CONFIG_NAMES_TO_TEST = (CutConfig(name="tiny", **set_case.TINY_CUT),)

    @classmethod
    def write_data(cls, folder):
        for number in range(3):
            write_video(folder / "tuba" / f"tuba_00{number}.mp4", seconds=3)


def test_every_set_has_the_paper_s_cut_and_the_quickstart_s(tmp_path):
    for builder in (video_folder.VideoFolder, rendered_solos.RenderedSolos):
        paper, quickstart = (builder(data_dir=tmp_path, config=name) for name in ("paper", "quickstart"))
        assert (paper.info.metadata["rate_hz"], paper.info.metadata["frame_px"]) == (16000, 246)
        assert (quickstart.info.metadata["rate_hz"], quickstart.info.metadata["frame_px"]) == (11025, 106)
        assert paper.info.metadata["fps"] == quickstart.info.metadata["fps"] == 8
        assert paper.data_path == tmp_path / builder.name / "paper" / "1.0.0"


def test_rendered_solos_have_the_rendered_classes(tmp_path):
    builder = tfds.builder("rendered_solos/paper", data_dir=tmp_path)
    assert tuple(builder.info.features["label"].names) == CLASSES


def test_only_the_import_of_a_set_registers_it():
    code = """
import tensorflow_datasets as tfds
from data_pipeline import loader, prepare
from data_pipeline.records import store
from data_pipeline.builders import source_set, tfds_sets, video_chunks
from data_pipeline.staging import staged_set
from tensorflow_datasets.core import registered
assert not {"rendered_solos", "video_folder"} & set(registered._DATASET_REGISTRY)
from data_pipeline.builders.tfds_sets import video_folder
assert tfds.builder_cls("video_folder") is video_folder.VideoFolder
assert "rendered_solos" not in registered._DATASET_REGISTRY
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=120)
