"""Which files of a folder are videos, by name and by content."""

import os
import shutil
import time

import av
import numpy as np
import pytest
from PIL import Image

from data_pipeline.media import reader
from data_pipeline.sources import Place, Skipped, folder, music_list, vegas, video_files


@pytest.fixture(scope="module")
def originals(tmp_path_factory, write_video):
    root = tmp_path_factory.mktemp("originals")
    return {suffix: write_video(root / f"a{suffix}", seconds=1.0) for suffix in (".mp4", ".ts", ".mkv", ".avi")}


def as_camera_disc(path, target):
    """Writes a transport stream in packets of 192 bytes, as cameras and discs have them."""
    with av.open(str(path)) as source, av.open(str(target), "w", "mpegts", options={"mpegts_m2ts_mode": "1"}) as out:
        streams = {stream.index: out.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                out.mux(packet)


# Name in the folder -> format of its content.
NAMES = {
    "00001.MTS": "disc",
    "00002.m2ts": "disc",
    "commons.ogv": ".mkv",
    "phone.3gp": ".mp4",
    "UP.MP4": ".mp4",
    "MOV001.TOD": ".ts",
    "clip": ".mkv",
    "take 1.2": ".mp4",
    "take 1.3": ".avi",
    "disc": "disc",
    "upload.bin": ".mkv",
}


def fill(root, originals):
    root.mkdir(parents=True)
    for name, kind in NAMES.items():
        if kind == "disc":
            as_camera_disc(originals[".ts"], root / name)
        else:
            shutil.copy(originals[kind], root / name)


def test_every_file_that_can_be_read_is_a_video(tmp_path, originals):
    fill(tmp_path / "violin", originals)
    listing = folder.find_videos(Place(tmp_path))
    assert {video.path.name for video in listing.videos} == set(NAMES)
    assert listing.skipped == {}
    known = {"00001.MTS", "00002.m2ts", "commons.ogv", "phone.3gp", "UP.MP4"}
    assert {video.id for video in listing.videos} == {
        f"violin/{name.rpartition('.')[0] if name in known else name}" for name in NAMES
    }
    for video in listing.videos:
        header = reader.probe(video.path)
        assert header.has_video and header.has_audio


def test_the_other_sources_have_the_same_rule(tmp_path, originals):
    fill(tmp_path / "violin", originals)
    assert {video.path.name for video in vegas.find_videos(Place(tmp_path)).videos} == set(NAMES)
    (tmp_path / "list.csv").write_text("path,class\nviolin/clip,low\nviolin/00001.MTS,low\nviolin,low\n")
    listing = vegas.find_videos(Place(tmp_path, (tmp_path / "list.csv",)))
    assert {video.id for video in listing.videos} == {"violin/clip", "violin/00001"}
    assert listing.skipped == {"violin": Skipped("other file", "low")}
    (tmp_path / "list.json").write_text('{"videos": {"low": ["clip", "00001", "commons"]}}')
    listing = music_list.find_videos(Place(tmp_path, (tmp_path / "list.json",)))
    assert {video.id for video in listing.videos} == {"clip", "00001", "commons"}


def test_other_files_are_no_videos(tmp_path, originals, write_video):
    write_video(tmp_path / "sound.mp4", seconds=1.0, with_pictures=False).rename(tmp_path / "sound")
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "picture", "JPEG")
    shutil.copy(originals[".mp4"], tmp_path / "a.mp4.part")
    (tmp_path / "Makefile").write_text("all:\n\techo OggS\n")
    (tmp_path / "empty").touch()
    (tmp_path / "broken").write_bytes(b"\0\0\0\x18ftypisom and no more")
    (tmp_path / "packets").write_bytes(b"G" * 1000)
    shutil.copy(originals[".mp4"], tmp_path / ".hidden")
    os.mkfifo(tmp_path / "pipe")
    shutil.copy(originals[".mp4"], tmp_path / "b.mp4")
    listing = folder.find_videos(Place(tmp_path))
    assert [video.id for video in listing.videos] == ["b"]
    names = ("sound", "picture", "a.mp4.part", "Makefile", "empty", "broken", "packets", "pipe")
    assert listing.skipped == dict.fromkeys(names, Skipped("other file")) | {".hidden": Skipped("hidden")}


def test_a_note_belongs_to_the_complete_name_if_the_suffix_is_unknown(tmp_path, originals):
    for name in ("take 1.2", "take 1.3", "b.MTS"):
        shutil.copy(originals[".mp4"], tmp_path / name)
    for name in ("take 1.2.json", "take 1.json", "b.json"):
        (tmp_path / name).write_text("{}")
    listing = folder.find_videos(Place(tmp_path))
    assert {video.id: video.boxes_path and video.boxes_path.name for video in listing.videos} == {
        "b": "b.json",
        "take 1.2": "take 1.2.json",
        "take 1.3": None,
    }
    assert listing.skipped == {"take 1.json": Skipped("other file")}


def test_no_suffix_has_two_meanings():
    assert not video_files.VIDEO_SUFFIXES & video_files._OTHER_SUFFIXES
    assert all(video_files.may_be_video(f"a{suffix.upper()}") for suffix in video_files.VIDEO_SUFFIXES)


def test_many_other_files_are_passed_over_quickly(tmp_path, originals, monkeypatch):
    for number in range(3000):
        (tmp_path / f"{number}.jpg").touch()
        (tmp_path / f"{number}").touch()
    shutil.copy(originals[".mp4"], tmp_path / "a.mp4")
    probed = []
    monkeypatch.setattr(video_files, "probe", probed.append)
    start = time.process_time()
    listing = folder.find_videos(Place(tmp_path))
    # A fraction of this on a free core; to probe each file would take ten times as long.
    assert time.process_time() - start < 5
    assert not probed and len(listing.videos) == 1 and listing.skipped == {"./ (6000 files)": Skipped("other file")}
