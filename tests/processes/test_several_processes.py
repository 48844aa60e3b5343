"""Trains with several processes: equal losses, one writer, a common stop, and a lost process."""

import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from mpnet_jax.run.log import LOSSES, VALIDATION, read_lines
from mpnet_jax.train import train
from tests.support.tiny_run import config_file, run, start_several, tiny_config

ENDLESS = "--config.rounds.minus=5000"


def losses(workdir: Path) -> dict[int, float]:
    return {line["step"]: line["loss"] for line in read_lines(workdir / LOSSES)}


def ended(several: list[subprocess.Popen[str]], *, seconds: float = 500) -> list[tuple[int, str]]:
    """Waits for all processes; returns (exit status, output) of each."""
    outputs = [process.communicate(timeout=seconds)[0] for process in several]
    return [(process.returncode, output) for process, output in zip(several, outputs, strict=True)]


def wait_for_steps(workdir: Path, steps: int, several: list[subprocess.Popen[str]]) -> None:
    deadline = time.monotonic() + 400
    while len(losses(workdir)) < steps:
        gone = [process for process in several if process.poll() is not None]
        assert time.monotonic() < deadline and not gone, [process.communicate()[0] for process in gone]
        time.sleep(0.01)


def saved_steps(workdir: Path) -> list[int]:
    """Returns the steps of complete checkpoints; a killed process may leave an incomplete one under another name."""
    return sorted(int(path.name) for path in (workdir / "checkpoints" / "latest").iterdir() if path.name.isdecimal())


@pytest.fixture(scope="module")
def alone(tiny_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the workdir of a run of one process with two devices."""
    workdir = tmp_path_factory.mktemp("alone") / "run"
    assert train(tiny_config(tiny_set), workdir) == 0
    return workdir


@pytest.mark.e2e
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_processes_train_validate_and_write_as_one(alone: Path, tiny_set: Path, tmp_path: Path) -> None:
    workdir = tmp_path / "run"
    several = start_several("mpnet_jax.train", f"--config={config_file(tmp_path, tiny_set)}", f"--workdir={workdir}")
    (status, output), (other_status, other_output) = ended(several)
    assert (status, other_status) == (0, 0), output + other_output
    assert "2 cpu device(s) of 2 process(es)" in output and "trained 6 steps" in output
    assert "step" not in other_output, other_output  # only process 0 reports
    two, one = losses(workdir), losses(alone)
    assert list(two) == list(one)  # every step once, though two computed it
    np.testing.assert_allclose(list(two.values()), list(one.values()), rtol=1e-4)
    scores, scores_of_one = (
        [line["si_sdr_improvement"] for line in read_lines(folder / VALIDATION)] for folder in (workdir, alone)
    )
    np.testing.assert_allclose(scores, scores_of_one, atol=1e-3)  # dB
    assert saved_steps(workdir) == saved_steps(alone) == [4, 6]
    assert len(list((workdir / "tensorboard").glob("events*"))) == 1


@pytest.mark.e2e
@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("killed", [0, 1])
def test_a_lost_process_ends_the_other_and_the_run_resumes(killed: int, tiny_set: Path, tmp_path: Path) -> None:
    workdir = tmp_path / "run"
    arguments = (f"--config={config_file(tmp_path, tiny_set)}", f"--workdir={workdir}", ENDLESS)

    # kill -9 of one: JAX ends the other and says why.
    several = start_several("mpnet_jax.train", *arguments)
    wait_for_steps(workdir, 3, several)
    several[killed].kill()
    status, output = ended(several, seconds=60)[1 - killed]
    assert status == -signal.SIGABRT, output
    assert "another task died" in output and "Traceback" not in output, output

    # The same command resumes. After SIGTERM to either process, both save the same step and stop.
    before = len(losses(workdir))
    several = start_several("mpnet_jax.train", *arguments)
    wait_for_steps(workdir, before + 1, several)  # a new step, after those computed before the loss
    several[1 - killed].send_signal(signal.SIGTERM)
    (status, output), (other_status, other_output) = ended(several, seconds=300)
    assert (status, other_status) == (128 + signal.SIGTERM,) * 2, output + other_output
    stopped = saved_steps(workdir)[-1]
    assert f"SIGTERM: saved step {stopped}; resume with" in output
    assert max(losses(workdir)) == stopped

    # One process with another number of devices resumes, and the losses equal those of an uninterrupted run.
    config = tiny_config(tiny_set)
    config.rounds.minus = stopped + 2
    assert train(config, tmp_path / "alone") == 0
    recorded = (workdir / "config.json").read_text()
    (workdir / "config.json").write_text(recorded.replace('"rounds.minus": 5000', f'"rounds.minus": {stopped + 2}'))
    status, output = run("mpnet_jax.train", *arguments[:2], f"--config.rounds.minus={stopped + 2}", devices=1)
    assert status == 0 and f"resuming from step {stopped}" in output, output
    pieces, straight = losses(workdir), losses(tmp_path / "alone")
    assert list(pieces) == list(straight)
    np.testing.assert_allclose(list(pieces.values()), list(straight.values()), rtol=1e-4)
