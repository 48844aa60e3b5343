"""Tests of the command `separate`."""

import json
import types
from pathlib import Path

import pytest

from data_pipeline.command import InputError
from mpnet_jax import separate
from mpnet_jax.config import saved_config
from mpnet_jax.methods.registry import method_of
from mpnet_jax.run.checkpoint import Checkpoints
from mpnet_jax.weights.model_file import read_model
from tests.support.tiny_run import run, tiny_config


@pytest.fixture
def video(tmp_path, write_video) -> Path:
    return write_video(tmp_path / "a.mp4", seconds=1.0)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"with_pictures": False}, "sound alone cannot be separated"),
        ({"with_sound": False}, "has no sound; give a video with a sound stream"),
    ],
)
def test_a_file_without_video_or_audio_is_refused(tmp_path, write_video, options, sentence):
    path = write_video(tmp_path / "b.mp4", seconds=1.0, **options)
    with pytest.raises(InputError, match=sentence):
        separate.check(path, tmp_path / "out")


def test_invalid_flags_are_refused(tmp_path, video):
    refused = [
        (("x", "y", True), "sound alone cannot be separated"),
        ((None, str(tmp_path / "out"), False), "name a video and a folder"),
        ((str(video), None, False), "name a video and a folder"),
        ((str(tmp_path / "no.mp4"), str(tmp_path / "out"), False), "is not there; check the path"),
        ((str(video), str(video), False), "is a file; name a folder"),
        ((str(video), str(tmp_path), False), "is not empty; name a new or an empty folder"),
        ((str(video), str(video / "out"), False), "cannot be used: Not a directory; name a new"),
        ((str(video), str(video / "deep" / "out"), False), "cannot be used: Not a directory; name a new"),
        ((str(video), str(tmp_path / (300 * "x")), False), "cannot be used: File name too long; name a new"),
    ]
    (tmp_path / "text.mp4").write_text("no video")
    refused.append(((str(tmp_path / "text.mp4"), str(tmp_path / "out"), False), "is not a video"))
    for (path, out, audio_only), sentence in refused:
        with pytest.raises(InputError, match=sentence):
            separate.plan(path and Path(path), [], out and Path(out), audio_only=audio_only)
    job = separate.Job(video, tmp_path / "out")
    assert separate.plan(video, [], tmp_path / "out", audio_only=False) == ([job], False)
    assert separate.plan(None, [str(video)], tmp_path / "out", audio_only=False) == ([job], False)


def test_each_of_several_videos_gets_a_folder(tmp_path, video):
    folder, out = tmp_path / "videos", tmp_path / "out"
    folder.mkdir()
    for name in ("b.mp4", "c.MOV", "text.txt", "a.mkv"):
        (folder / name).touch()
    jobs, several = separate.plan(video, [str(folder)], out, audio_only=False)
    assert several and jobs == [
        separate.Job(video, out / "a.mp4"),  # Two files are called "a".
        separate.Job(folder / "a.mkv", out / "a.mkv"),
        separate.Job(folder / "b.mp4", out / "b"),
        separate.Job(folder / "c.MOV", out / "c"),
    ]
    (folder / "a.mp4").touch()
    with pytest.raises(InputError, match=r"two videos are called a\.mp4; separate them by two commands"):
        separate.plan(video, [str(folder)], out, audio_only=False)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty holds no video; name a folder"):
        separate.plan(None, [str(tmp_path / "empty")], out, audio_only=False)
    with pytest.raises(InputError, match="is a file; name a folder"):
        separate.plan(None, [str(folder)], video, audio_only=False)


def flag_values(**changes):
    values = {"video": None, "out": None, "workdir": None, "audio_only": False, "sounds": 2, "most_sounds": 4}
    values |= {"format": "wav", "bits": None, "bitrate": None, "videos": False, "picture_px": None, "names": "none"}
    values |= {"pattern": None, "only": None, "without": None, "place": None, "json": False, "audio_track": None}
    values |= {"video_track": None}
    return types.SimpleNamespace(**values | changes)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"bits": "16", "format": "mp3"}, "bits=16 does not fit format=mp3; it is lossy"),
        ({"bits": "32", "format": "flac"}, "bits=32 does not fit format=flac; use one of 24, 16"),
        ({"bitrate": 128}, "bitrate=128 does not fit format=wav, which is lossless"),
        ({"pattern": "{video}"}, "several files the same name; add {sound} or {number}"),
        ({"pattern": "../{sound}"}, "must give names of files in the output folder"),
        ({"pattern": "{sound}{player}"}, "is not usable; use the fields {sound}, {number}"),
        ({"pattern": "{sound!"}, "is not usable"),
        ({"place": "0.5"}, "place=0.5 is no place; give x,y such as 0.25,0.5"),
        ({"place": "0.5,2"}, r"place=0.5,2.0 lies outside the picture"),
        ({"only": "violin"}, "only=violin is a name, and sounds get no names here"),
        ({"without": "../x", "names": "page"}, r"without=\.\./x is no name of a sound; give a number, or one of acc"),
        ({"only": "0"}, "only=0: sounds are numbered from 1"),
    ],
)
def test_unusable_options_are_refused(changes, sentence):
    with pytest.raises(InputError, match=sentence):
        separate.output_of(flag_values(**changes))


def test_a_mount_point_is_refused_at_once(tmp_path, video, monkeypatch):
    (tmp_path / "out").mkdir()
    monkeypatch.setattr(Path, "is_mount", lambda path: path == tmp_path / "out")
    with pytest.raises(InputError, match=r"is a mount point and cannot be replaced; name a folder in it, .*/results"):
        separate.check(video, tmp_path / "out")


def test_an_interrupt_while_the_model_loads_is_reported(tmp_path, video, monkeypatch, capsys):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(separate.flags, "FLAGS", flag_values(video=video, out=tmp_path / "out"))
    monkeypatch.setattr("mpnet_jax.processes.environment.prepare", lambda: None)
    monkeypatch.setattr("mpnet_jax.separation.separator.load", interrupted)
    with pytest.raises(SystemExit) as stopped:
        separate.main()
    assert (stopped.value.code, capsys.readouterr().err) == (130, "interrupted; nothing was written\n")


def test_the_command_checks_its_flags(tmp_path):
    status, output = run("mpnet_jax.separate", "--audio_only", f"--out={tmp_path / 'out'}")
    assert status == 2 and output.count("\n") == 1 and "sound alone cannot be separated" in output
    assert not (tmp_path / "out").exists()


@pytest.mark.e2e
@pytest.mark.slow
def test_a_run_separates_a_video_and_is_exported(tmp_path, video):
    config = tiny_config(tmp_path)
    workdir = tmp_path / "run"
    saved_config.claim_workdir(workdir, config)
    checkpoints = Checkpoints(workdir)
    checkpoints.save_best(method_of(config).state_at(0), 1.0, method="mnet")
    checkpoints.close()
    out = tmp_path / "out"
    status, output = run("mpnet_jax.separate", f"--video={video}", f"--out={out}", f"--workdir={workdir}", "--sounds=2")
    assert status == 0, output
    assert "page:" in output and len(json.loads((out / "separation.json").read_text())["sounds"]) == 2
    assert {"sound1.wav", "sound1.mp4", "overview.mp4", "index.html"} <= {path.name for path in out.iterdir()}
    status, output = run("mpnet_jax.export", f"--workdir={workdir}", f"--out={tmp_path / 'm.safetensors'}")
    assert status == 0, output
    assert read_model(tmp_path / "m.safetensors").facts["method"] == "mnet"
