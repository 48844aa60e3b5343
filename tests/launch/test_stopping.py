"""Tests that launchers forward stop signals and wait."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.launch_scripts import LAUNCH
from tests.support.repository import ROOT

# Records its start and ends like a training run that is stopped.
TRAINING = """#!/usr/bin/env bash
trap 'echo TERM >>"$NOTES"; exit 143' TERM
trap 'echo USR1 >>"$NOTES"; exit 138' USR1
echo begun >>"$NOTES"
while :; do sleep 0.05; done
"""
PASSING_ON = """#!/usr/bin/env bash
shift 3  # srun's own options
exec "$@"
"""
NOTING = """#!/usr/bin/env bash
[ "$1" = show ] && echo node1 || echo "$*" >>"$NOTES"
"""


def begin(script: str, folder: Path, *, begun: int, **variables: str) -> tuple[subprocess.Popen[str], Path]:
    """Starts a launcher and waits until `begun` training runs have started; returns the process and their notes."""
    notes = folder / "notes"
    for name, text in (("training", TRAINING), ("srun", PASSING_ON), ("scontrol", NOTING)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    process = subprocess.Popen(
        ["bash", LAUNCH / script],  # noqa: S607
        env={"PATH": f"{folder}:{os.environ['PATH']}", "NOTES": str(notes), "PYTHON": "training"} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not notes.is_file() or notes.read_text().count("begun") < begun:
        assert time.monotonic() < deadline and process.poll() is None, process.communicate()[0]
        time.sleep(0.02)
    return process, notes


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGUSR1, 138)])
def test_local_stops_all_processes_without_a_restart(number: int, status: int, tmp_path: Path) -> None:
    process, notes = begin("local.sh", tmp_path, begun=2, PROCESSES="2")
    process.send_signal(number)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == status, output
    name = signal.Signals(number).name.removeprefix("SIG")
    assert notes.read_text().split() == ["begun", "begun", name, name]


def test_slurm_saves_and_requeues_before_the_time_limit(tmp_path: Path) -> None:
    job = {"SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "node1", "SLURM_SUBMIT_DIR": str(ROOT)}
    process, notes = begin("slurm.sbatch", tmp_path, begun=1, **job)
    process.send_signal(signal.SIGUSR1)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 138, output
    assert notes.read_text().splitlines() == ["begun", "USR1", "requeue 7"]


def test_slurm_waits_for_a_preempted_training(tmp_path: Path) -> None:
    job = {"SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "node1", "SLURM_SUBMIT_DIR": str(ROOT)}
    process, notes = begin("slurm.sbatch", tmp_path, begun=1, **job)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    assert process.poll() is None  # SLURM signals the processes itself
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    if not children.is_file():
        process.kill()
        pytest.skip("this system does not list a process's children")
    os.kill(int(children.read_text(encoding="utf-8").split()[0]), signal.SIGTERM)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 143, output
    assert notes.read_text().splitlines() == ["begun", "TERM"]
