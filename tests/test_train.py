"""Tests of the training command: its files, resuming, stopping, devices, and refused input."""

import itertools
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data_pipeline import command
from data_pipeline.command import InputError
from mpnet_jax.processes.stop_request import StopRequest
from mpnet_jax.run.facts import run_facts
from mpnet_jax.run.log import LOSSES, SESSIONS, RunLog, read_lines
from mpnet_jax.run.writer import RunWriter
from mpnet_jax.train import train
from tests.support.short_frame_net import ShortFrameNet
from tests.support.tiny_run import config_file, run, start, tiny_config


def losses(workdir: Path) -> dict[int, float]:
    return {line["step"]: line["loss"] for line in read_lines(workdir / LOSSES)}


@pytest.fixture(scope="module", autouse=True)
def short_frame_net() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mpnet_jax.models.frame_net.ResNet18", ShortFrameNet)
        yield


@pytest.fixture(scope="module")
def straight(tiny_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workdir of an uninterrupted run."""
    workdir = tmp_path_factory.mktemp("straight") / "run"
    assert train(tiny_config(tiny_set), workdir) == 0
    return workdir


def test_writes_every_step_once_and_all_its_files(straight: Path) -> None:
    assert [line["step"] for line in read_lines(straight / LOSSES)] == [1, 2, 3, 4, 5, 6]
    assert [line["step"] for line in read_lines(straight / "validation.jsonl")] == [2, 4, 6]
    (session,) = read_lines(straight / SESSIONS)
    assert session["step"] == 1 and session["commit"] == run_facts()["commit"]
    assert (straight / "checkpoints" / "latest" / "6").is_dir()
    assert len(list((straight / "checkpoints" / "best_mnet").glob("[0-9]*"))) == 1
    assert list((straight / "tensorboard").glob("events*"))
    assert json.loads((straight / "config.json").read_text())["batch_size"] == 4
    assert len(json.loads((straight / "mixtures" / "validation_mix2.json").read_text())["mixtures"]) == 4


def test_a_finished_run_is_unchanged(straight: Path, tiny_set: Path) -> None:
    before = losses(straight)
    assert train(tiny_config(tiny_set), straight) == 0
    assert losses(straight) == before
    assert [line["step"] for line in read_lines(straight / SESSIONS)] == [1]


@pytest.mark.e2e
def test_a_finished_run_prints_how_to_evaluate_it(straight: Path, tiny_set: Path, tmp_path: Path) -> None:
    # A name that must be quoted, that looks like a flag, and that is as long as a name can be.
    workdir = shutil.copytree(straight, tmp_path / "-it's\na run".ljust(255, "x"))
    arguments = [
        f"--config={config_file(tmp_path, tiny_set, short=True)}",
        "--config.log_every=2",
        f"--workdir={workdir}",
    ]
    status, output = run("mpnet_jax.train", *arguments)
    assert status == 0, output
    printed = output.split("evaluate with: ")[1]
    assert shlex.split(printed) == ["python", "-m", "mpnet_jax.evaluate", *arguments]


@pytest.mark.e2e
def test_a_killed_run_resumes_bit_equal(straight: Path, tiny_set: Path, tmp_path: Path) -> None:
    workdir = tmp_path / "run"
    arguments = (f"--config={config_file(tmp_path, tiny_set, short=True)}", f"--workdir={workdir}")
    process = start("mpnet_jax.train", *arguments)
    deadline = time.monotonic() + 200
    while len(losses(workdir)) < 3:  # after the checkpoint of step 2
        assert time.monotonic() < deadline and process.poll() is None, process.communicate()[0]
        time.sleep(0.01)
    process.kill()
    process.communicate()
    interrupted_at = max(losses(workdir))
    assert train(tiny_config(tiny_set), workdir) == 0
    assert interrupted_at < 6, "the run ended before it could be killed"
    assert losses(workdir) == losses(straight)
    # A session whose steps were all lost leaves no line.
    first_steps = [line["step"] for line in read_lines(workdir / SESSIONS)]
    assert first_steps in ([1], [1, 3], [1, 5])


@pytest.mark.e2e
@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_a_stop_signal_saves_and_prints_how_to_resume(
    number: signal.Signals, straight: Path, tiny_set: Path, tmp_path: Path
) -> None:
    workdir = tmp_path / "it's a run"
    arguments = (
        f"--config={config_file(tmp_path, tiny_set, short=True)}",
        f"--workdir={workdir}",
        "--config.rounds.minus=2000",
    )
    process = start("mpnet_jax.train", *arguments)
    deadline = time.monotonic() + 200
    while len(losses(workdir)) < 3:
        assert time.monotonic() < deadline and process.poll() is None, process.communicate()[0]
        time.sleep(0.01)
    process.send_signal(number)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert f"{number.name}: saved step" in output
    printed = output.split("resume with: ")[1]
    assert shlex.split(printed) == ["python", "-m", "mpnet_jax.train", *arguments]
    saved = max(int(p.name) for p in (workdir / "checkpoints" / "latest").glob("[0-9]*"))
    assert saved == max(losses(workdir))
    common = {step: loss for step, loss in losses(workdir).items() if step <= 6}
    assert common == {step: losses(straight)[step] for step in common}


@pytest.mark.slow  # trains two more times
def test_a_clock_that_jumps_and_a_signal_during_a_checkpoint_change_nothing(
    straight: Path, tiny_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, calls = time.time, itertools.count()
    monkeypatch.setattr(time, "time", lambda: now() + (-1) ** next(calls) * 1e6)
    checkpoint = RunWriter.checkpoint

    def interrupted(writer: RunWriter, step: int, *others: Any) -> None:
        if step == 4:
            os.kill(os.getpid(), signal.SIGTERM)
        checkpoint(writer, step, *others)

    monkeypatch.setattr(RunWriter, "checkpoint", interrupted)
    with StopRequest() as stop:
        assert train(tiny_config(tiny_set), tmp_path / "run", stop) == 128 + signal.SIGTERM
    assert max(losses(tmp_path / "run")) == 4
    monkeypatch.setattr(RunWriter, "checkpoint", checkpoint)
    assert train(tiny_config(tiny_set), tmp_path / "run") == 0
    assert losses(tmp_path / "run") == losses(straight)
    assert RunLog(tmp_path / "run").seconds() < 1e5


@pytest.mark.e2e
@pytest.mark.slow  # starts a process of its own
def test_a_run_resumes_on_another_number_of_devices(straight: Path, tiny_set: Path, tmp_path: Path) -> None:
    workdir = shutil.copytree(straight, tmp_path / "run")
    shutil.rmtree(workdir / "checkpoints" / "latest" / "6")
    arguments = (f"--config={config_file(tmp_path, tiny_set, short=True)}", f"--workdir={workdir}")
    status, output = run("mpnet_jax.train", *arguments, devices=1)
    assert status == 0 and "resuming from step 4" in output, output
    resumed, uninterrupted = losses(workdir), losses(straight)
    assert {step: resumed[step] for step in (1, 2, 3, 4)} == {step: uninterrupted[step] for step in (1, 2, 3, 4)}
    np.testing.assert_allclose([resumed[s] for s in (5, 6)], [uninterrupted[s] for s in (5, 6)], rtol=1e-3)


@pytest.mark.e2e
@pytest.mark.slow  # tests/steps/test_train_step.py tests one step quickly
def test_one_device_and_two_give_the_same_losses(straight: Path, tiny_set: Path, tmp_path: Path) -> None:
    workdir = tmp_path / "run"
    arguments = (f"--config={config_file(tmp_path, tiny_set, short=True)}", f"--workdir={workdir}")
    status, output = run("mpnet_jax.train", *arguments, devices=1)
    assert status == 0, output
    one, two = losses(workdir), losses(straight)
    # Batch statistics are computed over both devices; the remaining difference is rounding, which grows with the steps.
    np.testing.assert_allclose([one[s] for s in (1, 2, 3)], [two[s] for s in (1, 2, 3)], rtol=1e-4)


def test_refuses_a_workdir_of_another_config(straight: Path, tiny_set: Path) -> None:
    config = tiny_config(tiny_set)
    config.batch_size = 8
    with pytest.raises(InputError, match=r"holds a run with config\.batch_size=4, this one has 8; choose another"):
        train(config, straight)


def test_refuses_a_folder_that_is_no_run(tiny_set: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(InputError, match=r"is not empty and holds no run .*; name a new or an empty folder"):
        train(tiny_config(tiny_set), tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "precious"


def test_refuses_a_batch_that_does_not_divide_by_the_devices(tiny_set: Path, tmp_path: Path) -> None:
    config = tiny_config(tiny_set)
    config.batch_size = 5
    with pytest.raises(InputError, match=r"config\.batch_size=5 must divide by 2 devices; try 4"):
        train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_refuses_too_few_clips_for_the_mixture(tiny_set: Path, tmp_path: Path) -> None:
    config = tiny_config(tiny_set)
    config.mixing.sources = 5
    with pytest.raises(InputError, match=r"a mixture of 5 sounds needs 5 classes .* the split has 4; add videos"):
        train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_refuses_a_data_set_of_other_sizes(tiny_set: Path, tmp_path: Path) -> None:
    config = tiny_config(tiny_set)
    config.audio.rate_hz = 16_000
    with pytest.raises(InputError, match=r"rate_hz=8000, and the run asks for 16000"):
        train(config, tmp_path / "run")


@pytest.mark.slow
def test_stops_at_a_loss_that_is_not_finite(tiny_set: Path, tmp_path: Path) -> None:
    config = tiny_config(tiny_set)
    config.optimiser.learning_rate = 1e30
    with pytest.raises(InputError, match=r"the loss is not finite at step \d .*; lower config\.optimiser"):
        train(config, tmp_path / "run")
    kept = list((tmp_path / "run" / "checkpoints" / "latest").glob("[0-9]*"))
    assert all(int(path.name) < 3 for path in kept)


@pytest.mark.slow
# The threads of Orbax fail in different ways when the disk is full.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_run_on_a_full_disk_keeps_its_checkpoint_and_resumes(
    tiny_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk]
    mounted = subprocess.run(mount, capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("no small disk to fill: mounting needs root")
    try:
        config = tiny_config(tiny_set)
        config.rounds.minus = 12
        with pytest.raises(SystemExit) as stopped:
            command.guarded(lambda: train(config, disk / "run") and None)
        assert stopped.value.code == 2
        (sentence,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
        assert re.match("error: cannot write .* [Nn]o space .*; free s", sentence), sentence
        subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)  # noqa: S607
        assert list((disk / "run" / "checkpoints" / "latest").glob("[0-9]*"))
        assert train(config, disk / "run") == 0
        assert list(losses(disk / "run")) == list(range(1, 13))
    finally:
        subprocess.run(["umount", "-l", disk], check=True)  # noqa: S607


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("flag", "sentence"),
    [
        ("--config.batch=8", "batch"),
        ("--config.batch_size=many", "batch_size"),
        (
            "--config.audio.frequency_rows=100",
            "config.audio.frequency_rows=100 must divide by 2**unet_depth=8",
        ),
        (
            "--config.optimiser.name=lion",
            "config.optimiser.name='lion' is unknown; use one of sgd, adam, adam_l2, adamw",
        ),
        (
            "--config.data.directory=nowhere",
            "no data set at nowhere/tiny; make it with `python -m data_pipeline.prepare",
        ),
        ("--config=nothing.py", "--config=nothing.py cannot be read; give a file, or one of base"),
        ("--workdri=x", "workdri"),
        ("extra", "argument 'extra' has no flag"),
    ],
)
def test_a_wrong_flag_is_refused_fast_in_one_sentence(flag: str, sentence: str, tiny_set: Path, tmp_path: Path) -> None:
    config = () if flag.startswith("--config=") else (f"--config={config_file(tmp_path, tiny_set)}",)
    started = time.monotonic()
    status, output = run("mpnet_jax.train", *config, f"--workdir={tmp_path / 'run'}", flag)
    lines = output.strip().splitlines()
    assert status == 2
    assert len(lines) == 1 and lines[0].startswith("error: ") and sentence in lines[0], output
    assert time.monotonic() - started < 20  # TensorFlow alone takes five seconds to load on a quiet machine
    assert not (tmp_path / "run").exists()
