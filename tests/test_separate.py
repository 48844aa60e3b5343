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
        separate.check(str(path), str(tmp_path / "out"), audio_only=False)


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
            separate.check(path, out, audio_only=audio_only)
    assert separate.check(str(video), str(tmp_path / "out"), audio_only=False) == (video, tmp_path / "out")


def test_a_mount_point_is_refused_at_once(tmp_path, video, monkeypatch):
    (tmp_path / "out").mkdir()
    monkeypatch.setattr(Path, "is_mount", lambda path: path == tmp_path / "out")
    with pytest.raises(InputError, match=r"is a mount point and cannot be replaced; name a folder in it, .*/results"):
        separate.check(str(video), str(tmp_path / "out"), audio_only=False)


def test_an_interrupt_while_the_model_loads_is_reported(tmp_path, video, monkeypatch, capsys):
    def interrupted(_):
        raise KeyboardInterrupt

    values = {"video": str(video), "out": str(tmp_path / "out"), "workdir": None, "audio_only": False}
    values |= {"audio_track": None, "video_track": None}
    monkeypatch.setattr(separate.flags, "FLAGS", types.SimpleNamespace(**values))
    monkeypatch.setattr("mpnet_jax.processes.environment.prepare", lambda: None)
    monkeypatch.setattr("mpnet_jax.weights.trained.load", interrupted)
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
