import json
import subprocess
import sys
import zlib

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from data_pipeline.builders.source_set import CutConfig, LabelledConfig
from data_pipeline.builders.tfds_sets import index_csv, music, music21, rendered_solos, vegas, video_folder
from data_pipeline.command import InputError
from data_pipeline.rendered.sound.instruments import CLASSES
from tests.support import set_case
from tests.support.repository import ROOT
from tests.support.tiny_videos import write_video

IDS = ("jW_AuF6dQYY", "3wPouBFa9U0", "eHbxLcoLWYY")


def write_listed(folder, name, label):
    (folder / name).write_text(json.dumps({"version": 1.0, "videos": {label: [*IDS, "goneGONEgon"]}}))
    for video_id in IDS:
        write_video(folder / "videos" / f"{video_id}.mp4", seconds=3)


def write_extracted(folder, name, label, ids):
    rows = []
    for number, video_id in enumerate(ids):
        pictures = folder / "frames" / label / f"{video_id}.mp4"
        pictures.mkdir(parents=True)
        for picture in range(1, 25):
            Image.new("RGB", (48, 24), (10 * picture, number, 0)).save(pictures / f"{picture:06d}.jpg")
        sound = folder / "audio" / label / f"{video_id}.npy"
        sound.parent.mkdir(parents=True, exist_ok=True)
        wave = np.sin(np.arange(3 * CutConfig.rate_hz) * (0.1 + zlib.crc32(video_id.encode()) / 2**34))
        np.save(sound, wave.astype(np.float32))
        rows.append(f"./audio/{label}/{video_id}.npy,./frames/{label}/{video_id}.mp4,24\n")
    (folder / name).write_text("".join(rows))


class VideoFolderTest(set_case.SetCase):
    DATASET_CLASS = video_folder.VideoFolder
    BUILDER_CONFIG_NAMES_TO_TEST = (LabelledConfig(name="tiny", classes=("cello", "violin"), **set_case.TINY_CUT),)
    SPLITS = set_case.THREE | {"train": 4}

    @classmethod
    def write_data(cls, folder):
        for name in ("cello/0", "violin/0", "violin/1", "violin/2"):
            write_video(folder / f"{name}.mp4", seconds=3)


class RenderedSolosTest(set_case.SetCase):
    DATASET_CLASS = rendered_solos.RenderedSolos

    @classmethod
    def write_data(cls, folder):
        for number in range(3):
            write_video(folder / "tuba" / f"tuba_00{number}.mp4", seconds=3)


class MusicTest(set_case.SetCase):
    DATASET_CLASS = music.Music

    @classmethod
    def write_data(cls, folder):
        write_listed(folder, music.Music.LIST_NAME, "flute")


class Music21Test(set_case.SetCase):
    DATASET_CLASS = music21.Music21

    @classmethod
    def write_data(cls, folder):
        write_listed(folder, music21.Music21.LIST_NAME, "pipa")


class VegasTest(set_case.SetCase):
    DATASET_CLASS = vegas.Vegas

    @classmethod
    def write_data(cls, folder):
        for number in range(3):
            write_video(folder / "dog" / "videos" / f"video_0000{number}.mp4", seconds=3)


class IndexCsvTest(set_case.SetCase):
    """A single list is divided into splits."""

    DATASET_CLASS = index_csv.IndexCsv
    BUILDER_CONFIG_NAMES_TO_TEST = (LabelledConfig(name="tiny", classes=("violin",), **set_case.TINY_CUT),)

    @classmethod
    def write_data(cls, folder):
        write_extracted(folder, "all.csv", "violin", IDS)


class SplitListsTest(set_case.SetCase):
    """Several lists are the splits."""

    DATASET_CLASS = index_csv.IndexCsv
    BUILDER_CONFIG_NAMES_TO_TEST = (LabelledConfig(name="tiny", classes=("cello", "violin"), **set_case.TINY_CUT),)
    SPLITS = {"train": 4, "validation": 2}  # noqa: RUF012  (TFDS compares it with a dict)

    @classmethod
    def write_data(cls, folder):
        write_extracted(folder, "train.csv", "violin", IDS[:2])
        write_extracted(folder, "val.csv", "cello", IDS[2:])


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


def test_the_classes_are_those_of_the_published_sets():
    assert music.Music.CLASSES == CLASSES
    assert (len(music21.Music21.CLASSES), len(vegas.Vegas.CLASSES)) == (21, 10)
    assert set(music.Music.CLASSES) < set(music21.Music21.CLASSES)
    for builder in (music.Music, music21.Music21, vegas.Vegas):
        assert list(builder.CLASSES) == sorted(set(builder.CLASSES))
        assert "@inproceedings" in (builder.CITATION or "")


def test_a_class_that_the_set_does_not_have_is_refused(tmp_path):
    write_listed(tmp_path, music.Music.LIST_NAME, "theremin")
    builder = music.Music(data_dir=tmp_path / "data", config=CutConfig(name="tiny", **set_case.TINY_CUT))
    with pytest.raises(InputError, match=r"class theremin are there, and the classes of music/tiny/1\.0\.0 are accord"):
        builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=tmp_path))


def test_a_folder_without_lists_is_answered(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InputError, match=r"holds no \.csv file; put the list"):
        index_csv.IndexCsv(data_dir=tmp_path).find_videos(tmp_path)
