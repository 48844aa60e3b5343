"""Stated lengths against what the packets say, and what the survey costs."""

import os
import struct

import numpy as np
import pytest

from data_pipeline.media import reader, survey
from data_pipeline.media.completeness import is_cut_off
from data_pipeline.media.errors import MediaError
from tests.support import damaged_media as scene

FORMATS = {"mp4": "mov", "mov": "mov", "mkv": "matroska", "webm": "matroska", "avi": "avi", "flv": "flv", "wmv": "asf"}


@pytest.fixture
def video(tmp_path, write_video):
    return write_video(tmp_path / "a.mkv", seconds=4.0)


def state_length(path, seconds, *, tags=True):
    """Changes the length in the header of a Matroska file; without `tags`, those of its streams become unreadable."""
    content = path.read_bytes()
    place = content.index(b"\x44\x89\x88") + 3  # a number of 8 bytes, in milliseconds
    content = content[:place] + struct.pack(">d", 1000 * seconds) + content[place + 8 :]
    path.write_bytes(content if tags else content.replace(b"DURATION", b"DURATIOX"))


@pytest.mark.parametrize("tags", [True, False])
@pytest.mark.parametrize("stated_s", [0.5, 100.0, 40_000.0])
def test_one_wrong_length_is_not_believed(video, stated_s, tags):
    state_length(video, stated_s, tags=tags)
    assert len(reader.read_audio(video, 8000)) / 8000 == pytest.approx(4.0, abs=0.05)
    assert len(list(reader.read_frames(video, np.arange(0, 6, 0.5), 24))) == 12
    header = reader.probe(video)
    assert header.duration_s == pytest.approx(4.0, abs=0.05)
    sentence = f"states a length of {stated_s:.1f} s, and the file holds 4.0 s; the header was not believed."
    assert list(header.remarks) == ["stated length"] and sentence in header.remarks["stated length"]


def test_two_lengths_that_agree_show_what_is_missing(video):
    """A download that filled its missing half with zeros is as long as announced."""
    content = video.read_bytes()
    video.write_bytes(content[: len(content) // 2] + bytes(len(content) - len(content) // 2))
    with pytest.raises(MediaError, match=r"is truncated: \d\.\d s of 4\.0 s of its audio"):
        reader.read_audio(video, 8000)


def test_packets_that_cannot_be_decoded_are_missing(tmp_path, write_video):
    path = write_video(tmp_path / "a.mp4", seconds=8, header_first=True)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] + bytes(len(content) // 2))
    with pytest.raises(MediaError, match="is truncated") as caught:
        reader.read_audio(path, 11025)
    assert caught.value.reason == "truncated"


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_file_that_was_cut_off_is_recognised(tmp_path, suffix):
    path = scene.write_scene(tmp_path / f"a.{suffix}")
    formats = {FORMATS[suffix]}
    assert not is_cut_off(path, formats)
    content = path.read_bytes()
    for size in (len(content) // 3, len(content) // 2 + 1, len(content) - 7):
        path.write_bytes(content[:size])
        assert is_cut_off(path, formats), size
    path.write_bytes(b"")
    is_cut_off(path, formats)  # raises nothing
    assert not is_cut_off(path, {"mpegts"})


def test_a_file_of_unknown_length_is_complete(video):
    """A live recording announces no size and no length."""
    content = video.read_bytes()
    place = content.index(b"\x18\x53\x80\x67") + 4
    assert content[place] == 1
    content = content[:place] + b"\x01" + 7 * b"\xff" + content[place + 8 :]
    place = content.index(b"\x44\x89\x88")
    nothing = b"\xec\x89" + bytes(9)  # an element without content instead of the length
    content = content[:place] + nothing + content[place + len(nothing) :]
    video.write_bytes(content.replace(b"DURATION", b"DURATIOX"))
    assert not is_cut_off(video, {"matroska"})
    assert len(reader.read_audio(video, 8000)) / 8000 == pytest.approx(4.0, abs=0.05)


def test_a_file_is_surveyed_once_until_it_changes(video, write_video, monkeypatch):
    opened, paths = survey.opened, []
    monkeypatch.setattr(survey, "opened", lambda path: paths.append(path) or opened(path))
    reader.probe(video)
    reader.read_audio(video, 8000)
    next(reader.read_frames(video, [0.0], 24))
    assert paths == [video]
    write_video(video, seconds=5.0)
    os.utime(video, ns=(1, 1))
    assert reader.probe(video).duration_s == pytest.approx(5.0, abs=0.05)
    assert paths == [video] * 2
