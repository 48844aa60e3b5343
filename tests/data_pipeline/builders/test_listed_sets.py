import json
import zlib

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from data_pipeline.builders.source_set import CutConfig, LabelledConfig
from data_pipeline.builders.tfds_sets import index_csv, music, music21, vegas
from data_pipeline.command import InputError
from data_pipeline.rendered.sound.instruments import CLASSES
from tests.support import set_case
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


class MusicTest(set_case.SetCase):
    __test__ = True
    DATASET_CLASS = music.Music
    BUILDER_CONFIG_NAMES_TO_TEST = (CutConfig(name="tiny", **set_case.TINY_CUT),)

    @classmethod
    def write_data(cls, folder):
        write_listed(folder, music.Music.LIST_NAME, "flute")


class Music21Test(set_case.SetCase):
    __test__ = True
    DATASET_CLASS = music21.Music21
    BUILDER_CONFIG_NAMES_TO_TEST = (CutConfig(name="tiny", **set_case.TINY_CUT),)

    @classmethod
    def write_data(cls, folder):
        write_listed(folder, music21.Music21.LIST_NAME, "pipa")


class VegasTest(set_case.SetCase):
    __test__ = True
    DATASET_CLASS = vegas.Vegas
    BUILDER_CONFIG_NAMES_TO_TEST = (CutConfig(name="tiny", **set_case.TINY_CUT),)

    @classmethod
    def write_data(cls, folder):
        for number in range(3):
            write_video(folder / "dog" / "videos" / f"video_0000{number}.mp4", seconds=3)


class IndexCsvTest(set_case.SetCase):
    """One list is divided."""

    __test__ = True
    DATASET_CLASS = index_csv.IndexCsv
    BUILDER_CONFIG_NAMES_TO_TEST = (LabelledConfig(name="tiny", classes=("violin",), **set_case.TINY_CUT),)

    @classmethod
    def write_data(cls, folder):
        write_extracted(folder, "all.csv", "violin", IDS)


class SplitListsTest(set_case.SetCase):
    """Several lists are splits."""

    __test__ = True
    DATASET_CLASS = index_csv.IndexCsv
    BUILDER_CONFIG_NAMES_TO_TEST = (LabelledConfig(name="tiny", classes=("cello", "violin"), **set_case.TINY_CUT),)
    SPLITS = {"train": 4, "validation": 2}  # noqa: RUF012  (TFDS compares it with a dict)

    @classmethod
    def write_data(cls, folder):
        write_extracted(folder, "train.csv", "violin", IDS[:2])
        write_extracted(folder, "val.csv", "cello", IDS[2:])


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
