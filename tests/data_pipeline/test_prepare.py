import dataclasses
import errno
import fcntl
import json
import os
import shutil
import subprocess
import sys
import types
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from data_pipeline import prepare
from data_pipeline.command import InputError
from data_pipeline.media import reader
from data_pipeline.prepare import Options
from data_pipeline.sources import Place, Video, folder
from data_pipeline.staging import staged_video
from data_pipeline.staging.cutting import CutSpec
from data_pipeline.staging.division import Division
from tests.support.repository import ROOT

CUT = CutSpec(fps=4, frame_px=24, chunk_seconds=2, min_seconds=1)


def options_for(videos: Path, data_dir: Path, **changes) -> Options:
    cut = dataclasses.replace(CUT, **changes.pop("cut", {}))
    return Options(
        **{"source": "folder", "name": "tiny", "workers": 1} | changes,
        place=Place(videos),
        data_dir=data_dir,
        cut=cut,
    )


def run_command(*arguments: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "data_pipeline.prepare", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, env=env)


@pytest.fixture(scope="module")
def short_video(tmp_path_factory, write_video):
    return write_video(tmp_path_factory.mktemp("short") / "a.mp4", seconds=2)


@pytest.fixture
def three_videos(tmp_path, write_video):
    for number in range(3):
        write_video(tmp_path / "videos" / "violin" / f"{number}.mp4", seconds=2)
    return tmp_path / "videos"


@pytest.mark.e2e
def test_command_end_to_end(tmp_path, write_video):
    videos = tmp_path / "videos"
    for label, tone_hz in (("cello", 200), ("violin", 600)):
        for number in range(3):
            tone = tone_hz * (1 + number / 10)  # videos with equal audio would share a split
            write_video(videos / label / f"{number}.mp4", seconds=5 if number else 4, tone_hz=tone)
    write_video(videos / "solo.webm", seconds=2, rate_hz=48000)
    write_video(videos / "cello" / "mute.mp4", with_sound=False)
    write_video(videos / "cello" / "blind.mp4", with_pictures=False)
    write_video(videos / "cello" / "silent.mp4", level=1e-4)
    write_video(videos / "cello" / "short.mp4", seconds=0.5)
    cut_off = write_video(videos / "cello" / "cut_off.mp4", seconds=6, header_first=True)
    cut_off.write_bytes(cut_off.read_bytes()[: cut_off.stat().st_size // 2])
    (videos / "cello" / "garbage.mp4").write_bytes(b"nothing" * 50)
    data = tmp_path / "data"
    arguments = [f"--videos={videos}", f"--data_dir={data}", "--name=tiny", "--fps=4", "--frame_px=24"]
    arguments += ["--chunk_seconds=2", "--min_seconds=1"]

    first = run_command(*arguments, "--workers=2")
    assert first.returncode == 0, first.stderr
    assert "silent.mp4 is silent: -83 dB" in first.stderr
    assert "left out 1 (too short): cello/short" in first.stdout
    assert "fewer than 3 videos, so all of them train: unlabelled" in first.stdout
    summary = json.loads((data / "tiny" / "1.0.0" / "prepare_summary.json").read_text())
    assert {reason: list(names) for reason, names in summary["skipped"].items()} == {
        "no sound": ["cello/mute"],
        "no picture": ["cello/blind"],
        "silent": ["cello/silent"],
        "too short": ["cello/short"],
        "truncated": ["cello/cut_off"],
        "not a video": ["cello/garbage"],
    }
    each_once = {"train": 1, "validation": 1, "test": 1}
    assert summary["videos"]["cello"] == summary["videos"]["violin"] == each_once
    assert summary["videos"]["unlabelled"] == {"train": 1, "validation": 0, "test": 0}
    # Chunks of two seconds, the last of one: 2 + 3 + 3 from each class, 1 from the single solo.
    assert sum(summary["chunks"].values()) == 2 * (2 + 3 + 3) + 1
    assert summary["hours"] == pytest.approx((2 * (4 + 5 + 5) + 2) / 3600, rel=0.01)
    assert sorted(path.name for path in data.iterdir() if path.name != "tiny") == []

    again = run_command(*arguments)
    assert (again.returncode, again.stdout) == (0, f"{data}/tiny/1.0.0 is there already\n")
    other = run_command(*arguments, "--rate_hz=16000")
    assert other.returncode == 2
    assert "made with rate_hz=11025, not 16000; choose another --name" in other.stderr


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--name=x"], "flag --videos=None: Flag --videos must have a value other than None."),
        (
            ["--videos=/nowhere", "--name=x"],
            "error: --videos=/nowhere is not a folder; give one that holds videos\n",
        ),
    ],
)
def test_bad_flags_end_with_one_sentence(arguments, sentence):
    result = run_command(*arguments)
    assert result.returncode == 2
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"source": "tape"}, "--source=tape is unknown; use one of folder"),
        ({"name": "My Solos"}, "--name=My Solos must be lower-case"),
        ({"workers": 0}, "--workers=0 must be at least 1"),
        ({"cut": {"rate_hz": 0}}, "--rate_hz=0 must be a positive number"),
        ({"cut": {"fps": float("nan")}}, "--fps=nan must be a positive number"),
        ({"cut": {"min_seconds": 5.0}}, "--min_seconds=5 must not exceed --chunk_seconds=2"),
        ({"cut": {"silence_dbfs": 3.0}}, "--silence_dbfs=3.0 must be zero or less"),
    ],
)
def test_bad_options_are_refused(tmp_path, changes, sentence):
    with pytest.raises(InputError, match=sentence):
        options_for(tmp_path, tmp_path, **changes)


def test_chunks_cover_the_sound_and_pictures_follow_the_clock():
    cut = CutSpec(rate_hz=100, fps=8, chunk_seconds=2, min_seconds=0.5)
    assert cut.chunk_samples(449) == [(0, 200), (200, 400)]
    assert cut.chunk_samples(450) == [(0, 200), (200, 400), (400, 450)]
    assert cut.chunk_samples(49) == []
    np.testing.assert_allclose(cut.frame_times(200, 400), 2 + np.arange(16) / 8)
    np.testing.assert_allclose(cut.frame_times(400, 450), [4, 4.125, 4.25, 4.375])


def test_a_staged_video_holds_its_sound_pictures_and_boxes(tmp_path, write_video):
    path = write_video(tmp_path / "a.mp4", seconds=5)
    boxes = [[0.1, number / 100, 0.5, 0.9] for number in range(45)]  # ten per second, half a second too few
    boxes[3] = None
    path.with_suffix(".json").write_text(json.dumps({"boxes": boxes, "fps": 10}))
    (video,) = folder.find_videos(Place(tmp_path)).videos
    facts = staged_video.stage_video(video, CUT, tmp_path)
    assert (facts.reason, facts.chunks, facts.label) == (None, 3, "unlabelled")
    chunks = list(staged_video.staged_chunks(facts, tmp_path))
    sound = reader.read_audio(path, CUT.rate_hz)
    assert facts.video_rms == pytest.approx(np.sqrt(np.mean(sound.astype(np.float64) ** 2)))
    stored = np.concatenate([chunk["audio"] for chunk in chunks])
    np.testing.assert_allclose(stored / 32768, sound, atol=0.5 / 32768 + 1e-9)
    assert [chunk["start_seconds"] for chunk in chunks] == [0, 2, 4]
    assert [len(chunk["frames"]) for chunk in chunks[:2]] == [8, 8]
    assert all(chunk["frames"][0].getvalue().startswith(b"\xff\xd8") for chunk in chunks)
    found = np.concatenate([chunk["boxes"] for chunk in chunks])
    # The stored frames at 0, 0.25, 0.5 ... s are the frames 0, 2, 5 ... of ten per second.
    np.testing.assert_allclose(found[:3, 1], [0.0, 0.02, 0.05], rtol=1e-6)
    assert np.isnan(found[18:]).all()
    assert not np.isnan(found[:18]).any()


@pytest.mark.parametrize(
    "content",
    [
        b'{"event": 1}\n{"event": 2}\n',
        b'\xef\xbb\xbf{"title": "x"}',
        b"[1, 2]",
        b"",
        b"{",
        b"\x00\x81\x8d\xff",
        b'{"title": "a"}',
        b'{"boxes": [{"label": "violin", "x": 1}], "model": "yolo"}',
        b'{"boxes": 3, "fps": 10}',
        b'{"boxes": [], "fps": 10}',
        b'{"boxes": [[0, 1]], "fps": 10}',
        b'{"boxes": [[0, 0, 1, 1]]}',
        b'{"boxes": [[0, 0, 1, 1]], "fps": 0}',
        b'{"boxes": [[0, 0, 1, 1]], "fps": NaN}',
        b'{"boxes": [[0, 0, 1, 1]], "fps": 1' + b"0" * 400 + b"}",
        b'{"boxes": [[10, 20, 110, 90]], "fps": 10}',  # pixels
        b'{"boxes": [[0.5, 0.5, 0.2, 0.2]], "fps": 10}',  # a corner and a size
        b'{"boxes": [[[0, 0, 1, 1]]], "fps": 10}',
        b"[" * 100_000,
    ],
)
def test_notes_of_another_tool_are_no_boxes_and_cost_no_video(tmp_path, short_video, content):
    short_video.with_suffix(".json").write_bytes(content)
    facts = staged_video.stage_video(folder.find_videos(Place(short_video.parent)).videos[0], CUT, tmp_path)
    assert facts.reason is None
    assert facts.remarks["unknown boxes"].startswith("the player's boxes are unknown: ")
    assert "a.json" in facts.remarks["unknown boxes"]
    assert np.isnan(next(staged_video.staged_chunks(facts, tmp_path))["boxes"]).all()


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "latin-1"])
def test_boxes_are_read_in_any_encoding(tmp_path, short_video, encoding):
    content = '{"title": "viol\xf3n",\r\n"boxes": [[0, 0.25, 0.5, 1]], "fps": 0.1}'
    short_video.with_suffix(".json").write_bytes(content.encode(encoding))
    facts = staged_video.stage_video(folder.find_videos(Place(short_video.parent)).videos[0], CUT, tmp_path)
    assert "unknown boxes" not in facts.remarks
    found = next(staged_video.staged_chunks(facts, tmp_path))["boxes"]
    np.testing.assert_array_equal(found, np.broadcast_to(np.float32([0, 0.25, 0.5, 1]), found.shape))


@pytest.mark.e2e
def test_names_do_not_depend_on_the_locale(tmp_path, short_video):
    """A locale without UTF-8, in which Python reads and writes ASCII by default."""
    videos = tmp_path / "videos"
    for number in range(3):
        (videos / "erh\xfa").mkdir(parents=True, exist_ok=True)
        shutil.copy(short_video, videos / "erh\xfa" / f"\u4e8c\u80e1 {number}.mp4")
    names = [f"erh\xfa/\u4e8c\u80e1 {number}" for number in range(3)]
    splits = tmp_path / "splits.csv"
    splits.write_text("".join(f"{name},train\n" for name in names), encoding="utf-8")
    listed = tmp_path / "list.csv"
    listed.write_text("".join(f"{name}.mp4,viol\xf3n\n" for name in names), encoding="utf-8")
    ascii_locale = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    arguments = [f"--data_dir={tmp_path / 'ascii'}", "--name=ascii", f"--split_file={splits}", "--workers=1"]
    arguments += ["--source=vegas", f"--videos={videos}", f"--list={listed}", "--label=viol\xf3n", "--fps=4"]
    arguments += ["--frame_px=24", "--chunk_seconds=2", "--min_seconds=1"]
    result = run_command(*arguments, env=ascii_locale)
    assert result.returncode == 0, result.stderr
    place, division = Place(videos, (listed,), "viol\xf3n"), Division(file=splits)
    prepare.prepare(Options("vegas", place, tmp_path / "plain", "plain", CUT, workers=1, division=division))
    found = {}
    for name in ("plain", "ascii"):
        manifest = tmp_path / name / name / "1.0.0" / "manifest.jsonl"
        found[name] = [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]
    assert found["ascii"] == found["plain"]
    assert [row["name"] for row in found["plain"]] == names
    assert {row["class"] for row in found["plain"]} == {"viol\xf3n"}


def test_an_interrupted_run_goes_on(tmp_path, three_videos, monkeypatch):
    decoded, stage_video = [], staged_video.stage_video

    def interrupted(video: Video, cut: CutSpec, where: Path, threads: int) -> staged_video.Facts:
        if len(decoded) == 2:
            raise KeyboardInterrupt
        decoded.append(video.id)
        return stage_video(video, cut, where, threads)

    options = options_for(three_videos, tmp_path / "data")
    monkeypatch.setattr(staged_video, "stage_video", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare.prepare(options)
    assert decoded == ["violin/0", "violin/1"]
    assert not options.set_dir.exists()
    decoded.clear()
    (three_videos / "violin" / "1.mp4").touch()  # a new modification time: decoded again
    prepare.prepare(options)
    assert decoded == ["violin/1", "violin/2"]
    assert options.set_dir.exists()
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["tiny"]


def test_other_parameters_start_again(tmp_path, three_videos, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(prepare, "_build", stop)
    for rate_hz in (11025, 8000):
        with pytest.raises(KeyboardInterrupt):
            prepare.prepare(options_for(three_videos, tmp_path, cut={"rate_hz": rate_hz}))
        sound = next((tmp_path / ".staging" / "tiny").glob("*.sound"))
        assert sound.stat().st_size / 2 == pytest.approx(2 * rate_hz, abs=0.03 * rate_hz)


def die(video: Video, cut: CutSpec, where: Path, threads: int) -> None:
    (where / "x.busy").write_text(video.id)
    os._exit(9)


def test_all_videos_can_go_to_one_split(tmp_path, three_videos, capsys):
    prepare.prepare(options_for(three_videos, tmp_path / "data", division=Division(split="test")))
    assert "train" not in capsys.readouterr().out.splitlines()[-1]
    summary = json.loads((tmp_path / "data" / "tiny" / "1.0.0" / "prepare_summary.json").read_text())
    assert summary["videos"]["violin"] == {"train": 0, "validation": 0, "test": 3}
    assert summary["only_train"] == []
    with pytest.raises(InputError, match="was made with split=test, not none; choose another"):
        prepare.prepare(options_for(three_videos, tmp_path / "data"))


def test_a_worker_that_dies_is_explained(tmp_path, three_videos, monkeypatch):
    monkeypatch.setattr(staged_video, "stage_video", die)
    with pytest.raises(InputError, match=r"killed.*violin/\d; the same command resumes.*--workers=1"):
        prepare.prepare(options_for(three_videos, tmp_path, workers=2))


def test_a_full_disk_is_not_a_bad_video(tmp_path, three_videos, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="No space left"):
        prepare.prepare(options_for(three_videos, tmp_path))
    assert not list((tmp_path / ".staging" / "tiny").glob("*.npz"))


def test_a_disk_that_fills_while_the_set_is_built(tmp_path):
    from data_pipeline.builders import video_chunks
    from data_pipeline.tf_cpu import tf

    def full(split):
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")
        yield

    staged = types.SimpleNamespace(split_names=("train",), classes=["x"], examples=full)
    with pytest.raises(OSError, match="No space left") as caught:
        video_chunks.build(tmp_path, "tiny", staged, {})
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(tmp_path))


def test_no_video_that_can_be_used(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"nothing")
    with pytest.raises(
        InputError, match=r"none of the 1 videos in .* can be used: not a video: 1; the first: .*a\.mp4"
    ):
        prepare.prepare(options_for(tmp_path, tmp_path / "data"))


def test_two_runs_on_one_set_are_refused(tmp_path, three_videos):
    (tmp_path / ".staging").mkdir()
    with (tmp_path / ".staging" / "tiny.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="another run prepares"):
            prepare.prepare(options_for(three_videos, tmp_path))
