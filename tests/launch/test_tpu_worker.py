"""Tests launch/tpu_worker.sh: a training that survives the connection that started it."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.launch_scripts import LAUNCH

TRAINING = """#!/usr/bin/env bash
echo "begun $*" >>"$NOTES"
trap 'echo saved; exit 143' TERM
until [ -e "$NOTES.end" ]; do sleep 0.05; done
echo trained
exit "$(cat "$NOTES.end")"
"""
CURL = """#!/usr/bin/env bash
echo 3
"""


class Worker:
    """A machine with a copy of the checkout."""

    def __init__(self, folder: Path) -> None:
        self._folder, self.notes = folder, folder / "notes"
        (folder / "launch").mkdir()
        shutil.copy(LAUNCH / "tpu_worker.sh", folder / "launch")
        for name, text in (("training", TRAINING), ("curl", CURL)):
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)

    def start(self, *words: str) -> subprocess.Popen[str]:
        path = f"{self._folder}:{os.environ['PATH']}"
        return subprocess.Popen(
            ["bash", self._folder / "launch" / "tpu_worker.sh", *words],  # noqa: S607
            env={"PATH": path, "NOTES": str(self.notes), "PYTHON": "training", "STATE": str(self._folder / "state")},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            process_group=0,
        )

    def run(self, *words: str) -> tuple[int, str]:
        process = self.start(*words)
        output, _ = process.communicate(timeout=60)
        return process.returncode, output

    def begun(self) -> list[str]:
        return self.notes.read_text().splitlines() if self.notes.is_file() else []

    def wait_until_begun(self, times: int = 1) -> None:
        deadline = time.monotonic() + 60
        while len(self.begun()) < times:
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def end(self, status: int) -> None:
        """Ends every training with a status."""
        self.notes.with_name("notes.end.new").write_text(str(status))
        self.notes.with_name("notes.end.new").replace(self.notes.with_name("notes.end"))

    def training(self) -> int:
        """Returns the process ID."""
        return int((self._folder / "state" / "pid").read_text())


@pytest.fixture
def worker(tmp_path: Path):
    worker = Worker(tmp_path)
    yield worker
    worker.end(0)


def break_connection(process: subprocess.Popen[str]) -> None:
    """Kills what depends on the connection. (SIGHUP would be ignored when nohup runs the tests.)"""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=10)


def test_trains_with_the_worker_number_and_returns_the_status(worker: Worker) -> None:
    worker.end(2)
    status, output = worker.run("run", "id1", "--workdir=a b", "--distributed")
    assert status == 2 and "trained" in output
    assert worker.begun() == ["begun -m mpnet_jax.train --workdir=a b --distributed --process_index=3"]


def test_a_training_survives_its_connection_and_is_followed_again(worker: Worker) -> None:
    for again in ("id1", "id1", "id2"):  # the first call, gcloud's own retry, and a new command of the user
        process = worker.start("run", again)
        worker.wait_until_begun()
        time.sleep(0.3)
        break_connection(process)
    process = worker.start("run", "id3")
    time.sleep(0.3)
    worker.end(0)
    assert process.communicate(timeout=30)[0] == "trained\n" and process.returncode == 0
    assert len(worker.begun()) == 1


def test_a_training_that_ended_without_a_connection_is_reported(worker: Worker) -> None:
    process = worker.start("run", "id1")
    worker.wait_until_begun()
    break_connection(process)
    worker.end(2)
    time.sleep(0.5)
    assert worker.run("run", "id1") == (2, "trained\n")
    assert len(worker.begun()) == 1
    worker.end(0)
    assert worker.run("run", "id2")[0] == 0
    assert len(worker.begun()) == 2


def test_status_1_of_the_training_becomes_70(worker: Worker) -> None:
    worker.end(1)
    assert worker.run("run", "id1")[0] == 70


def test_a_training_stopped_by_others_counts_as_lost(worker: Worker) -> None:
    process = worker.start("run", "id1")
    worker.wait_until_begun()
    os.kill(worker.training(), signal.SIGTERM)  # as a preempted machine does
    assert process.wait(timeout=30) == 134
    process.communicate()


def test_a_stopped_training_does_not_count_as_lost(worker: Worker) -> None:
    process = worker.start("run", "id1")
    worker.wait_until_begun()
    assert worker.run("stop") == (0, "")
    output, _ = process.communicate(timeout=30)
    assert (process.returncode, output) == (143, "saved\n")
    assert worker.run("stop") == (0, "no training runs here\n")


def test_an_unknown_step_is_refused(worker: Worker) -> None:
    assert worker.run("start") == (2, "error: step start is unknown; use install, run or stop\n")
