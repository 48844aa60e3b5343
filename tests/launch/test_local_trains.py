"""Trains with launch/local.sh, the one launcher that needs no other programs."""

import sys
from pathlib import Path

import pytest

from mpnet_jax.run.log import LOSSES, read_lines
from tests.support.launch_scripts import run
from tests.support.ports import free_port
from tests.support.tiny_run import config_file


@pytest.mark.e2e
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_processes_train_two_steps(tiny_set: Path, tmp_path: Path) -> None:
    folder = tmp_path / "a folder with spaces"
    folder.mkdir()
    workdir = folder / "run"
    arguments = (f"--config={config_file(folder, tiny_set)}", f"--workdir={workdir}", "--config.rounds.minus=2")
    done = run("local.sh", *arguments, seconds=800, PYTHON=sys.executable, PROCESSES="2", PORT=str(free_port()))
    assert done.returncode == 0, done.stderr
    assert "2 cpu device(s) of 2 process(es)" in done.stderr
    assert [line["step"] for line in read_lines(workdir / LOSSES)] == [1, 2]
    assert (workdir / "checkpoints" / "latest" / "2").is_dir()
