"""A folder with all kinds of bad files: each file is accounted for, and the usable ones become a data set."""

import json
import os
import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from benchmarks.prepare import measured
from tests.support.repository import ROOT

NOBODY = 65534
THREE_HOURS_S = 3 * 3600


def manifest(data: Path) -> dict[str, dict]:
    lines = (data / "hostile" / "1.0.0" / "manifest.jsonl").read_text().splitlines()
    return {row["name"]: row for row in map(json.loads, lines)}


def cut_off(path: Path, part: float) -> None:
    path.write_bytes(path.read_bytes()[: round(path.stat().st_size * part)])


def claim_three_hours(path: Path) -> None:
    """Makes every header of an MP4 file state a length of three hours, or the greatest length that it can state."""
    content = bytearray(path.read_bytes())
    first = content.find(b"mvhd")
    headers_end = content.find(b"mdat", first)  # the media data may contain these names by chance
    movie_scale = int.from_bytes(content[first + 16 : first + 20])
    # Name of the box, offset of its length field, and units per second (None: given by the field before the length).
    for box, length_at, scale in ((b"mvhd", 20, None), (b"mdhd", 20, None), (b"tkhd", 24, movie_scale)):
        place = -1
        while (place := content.find(box, place + 1, headers_end)) >= 0:
            own_scale = int.from_bytes(content[place + length_at - 4 : place + length_at])
            units = THREE_HOURS_S * (own_scale if scale is None else scale)
            # Newer muxers choose fine units, of which the field may not hold three hours.
            content[place + length_at : place + length_at + 4] = min(units, 2**32 - 1).to_bytes(4)
    path.write_bytes(content)


def sparse(path: Path) -> None:
    """Writes a second of audio and one of video, and another second of both three hours later."""
    with av.open(str(path), "w") as container:
        pictures = container.add_stream("libx264", rate=10)
        pictures.height, pictures.width, pictures.pix_fmt = 48, 64, "yuv420p"
        sound = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        for first in (0, THREE_HOURS_S):
            for number in range(10):
                frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 20 * number, np.uint8), format="rgb24")
                frame.pts, frame.time_base = 10 * first + number, Fraction(1, 10)
                container.mux(pictures.encode(frame))
            block = av.AudioFrame.from_ndarray(
                np.resize(np.array([900, -900], np.int16), (1, 8000)), format="s16", layout="mono"
            )
            block.sample_rate, block.pts, block.time_base = 8000, 8000 * first, Fraction(1, 8000)
            container.mux(sound.encode(block))
        container.mux(pictures.encode())


@pytest.fixture
def hostile(tmp_path, write_video):
    """Returns (folder, expected reason by name; None for usable videos)."""
    videos = tmp_path / "videos"
    expected: dict[str, str | None] = {}

    def add(name: str, reason: str | None, suffix: str = ".mp4", **options) -> Path:
        expected[f"violin/{name}"] = reason
        options = {"seconds": 3, "tone_hz": 300 + 20 * len(expected)} | options
        return write_video(videos / "violin" / f"{name}{suffix}", **options)

    for number in range(3):
        add(f"good_{number}", None)
    add("zero_bytes", "not a video").write_bytes(b"")
    add("text", "not a video").write_text("this is no video\n" * 50)
    cut_off(add("cut_in_header", "not a video", header_first=True, seconds=8), 0.02)
    cut_off(add("cut_at_10", "truncated", header_first=True, seconds=8), 0.1)
    cut_off(add("cut_at_50", "truncated", header_first=True, seconds=8), 0.5)
    cut_off(add("cut_at_99", None, header_first=True, seconds=8), 0.99)
    cut_off(add("header_last", "not a video", seconds=8), 0.9)
    add("no_sound", "no sound", with_sound=False)
    add("no_picture", "no picture", with_pictures=False)
    add("one_picture", "picture too short", pictures=[np.full((48, 64, 3), 90, np.uint8)])
    add("rate_8000", None, ".mov", rate_hz=8000)
    add("rate_96000", None, ".mov", rate_hz=96_000)
    six = np.random.default_rng(0).normal(0, 0.1, (6, 3 * 44_100))
    add("six_channels", None, sound=six)
    claim_three_hours(add("three_hours_said", None, header_first=True))  # FFmpeg trusts the list of packets instead
    expected["violin/three_hours_sparse"] = "silent"
    sparse(videos / "violin" / "three_hours_sparse.mkv")
    add("turned", None, rotation=90)
    add("unsteady_rate", None, times_ms=[0, 40, 90, 500, 900, 1700, 1720, 2100, 2600, 2900], pictures=moving(10))
    add("\N{VIOLIN}\N{ROCKET}", None)
    expected["violin/two\\nlines"] = None
    write_video(videos / "violin" / "two\nlines.mp4", seconds=3, tone_hz=999)
    expected["violin/\\xff"] = None
    shutil.copy(write_video(tmp_path / "a.mp4", seconds=3, tone_hz=1111), os.fsencode(videos / "violin") + b"/\xff.mp4")
    os.mkfifo(videos / "violin" / "pipe.mp4")
    (videos / "violin" / "itself.mp4").symlink_to("itself.mp4")
    (videos / "violin" / "around").symlink_to("..")
    (videos / "violin" / "outside.mp4").symlink_to(tmp_path / "a.mp4")
    (videos / "violin" / "notes.txt").write_text("notes")
    expected |= {
        "violin/pipe.mp4": "not a file",
        "violin/itself.mp4": "broken link",
        "violin/around": "link to a folder",
        "violin/outside.mp4": "link out of the folder",
        "violin/notes.txt": "other file",
    }
    return videos, expected


def moving(count: int) -> list[np.ndarray]:
    return [np.full((48, 64, 3), 20 * number, np.uint8) for number in range(count)]


@pytest.mark.e2e
def test_every_file_is_accounted_for(tmp_path, hostile):
    videos, expected = hostile
    data = tmp_path / "data"
    command = [sys.executable, "-m", "data_pipeline.prepare", f"--videos={videos}", f"--data_dir={data}"]
    command += ["--name=hostile", "--fps=4", "--frame_px=24", "--chunk_seconds=2", "--min_seconds=1", "--workers=2"]
    assert measured(command)["peak_bytes"] < 1.5e9  # raises unless the status is 0
    rows = manifest(data)
    assert {name: row["reason"] for name, row in rows.items()} == expected
    for name, row in rows.items():
        if row.get("message"):
            assert row["message"].isprintable(), name
    assert "turned" in rows["violin/turned"]["remarks"]
    assert "unsteady picture rate" in rows["violin/unsteady_rate"]["remarks"]
    assert "recorded at 8000 Hz" in rows["violin/rate_8000"]["remarks"]["low sample rate"]
    summary = json.loads((data / "hostile" / "1.0.0" / "prepare_summary.json").read_text())
    assert sum(summary["videos"]["violin"].values()) == list(expected.values()).count(None)


@pytest.mark.e2e
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_what_another_user_may_not_read_is_accounted_for(tmp_path, write_video):
    # Other users may not be able to reach the interpreter, so it imports everything as root and then changes its user.
    for number in range(3):
        write_video(tmp_path / "videos" / "violin" / f"{number}.mp4", seconds=2, tone_hz=300 + 50 * number)
    (tmp_path / "videos" / "violin" / "0.mp4").chmod(0)
    (tmp_path / "videos" / "locked").mkdir(mode=0)
    (tmp_path / "data").mkdir()
    for folder in (tmp_path, *tmp_path.parents[:-2]):
        folder.chmod(0o755)
    os.chown(tmp_path / "data", NOBODY, NOBODY)
    script = f"""
import os
from pathlib import Path
from data_pipeline import prepare
from data_pipeline.staging.cutting import CutSpec
from data_pipeline.sources import Place
cut = CutSpec(fps=4, frame_px=24, chunk_seconds=2, min_seconds=1)
place = Place(Path({str(tmp_path / "videos")!r}))
prepare.prepare(prepare.Options("folder", place, Path({str(tmp_path / "of_root")!r}), "hostile", cut, workers=1))
os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})
prepare.prepare(prepare.Options("folder", place, Path({str(tmp_path / "data")!r}), "hostile", cut, workers=1))
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    reasons = {name: row["reason"] for name, row in manifest(tmp_path / "data").items()}
    assert reasons == {
        "locked": "not readable",
        "violin/0.mp4": "not readable",
        "violin/1": None,
        "violin/2": None,
    }
