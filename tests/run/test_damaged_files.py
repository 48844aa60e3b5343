"""A run whose files were damaged by a crash, a copy or another program; docs/CASES.md says which public reports."""

import itertools
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from data_pipeline.command import InputError
from mpnet_jax.run.checkpoint import Checkpoints
from mpnet_jax.run.log import LOSSES, TIME, RunLog, read_lines
from mpnet_jax.steps.train_state import TrainState

# Reads that Orbax gave up end in the background and find their event loop closed.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def state(step: int) -> TrainState:
    """Returns a small state whose weights are its step."""
    return TrainState(
        step=np.int32(step),
        params={"net": {"kernel": np.full((64, 64), float(step), np.float32)}},
        batch_stats={"net": {"mean": np.ones(8, np.float32)}},
        opt_state=(np.zeros((64, 64), np.float32),),
    )


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workdir with the checkpoints of steps 2 and 4, the best one of step 2."""
    workdir = tmp_path_factory.mktemp("saved")
    checkpoints = Checkpoints(workdir)
    checkpoints.save(state(2))
    checkpoints.save_best(state(2), 1.5, method="mnet")
    checkpoints.save(state(4))
    checkpoints.close()
    return workdir


def data_files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("d/*") if path.is_file()]


def cut_in_half(folder: Path) -> None:
    for path in data_files(folder):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty_all(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            path.write_bytes(b"")


def remove_data(folder: Path) -> None:
    for path in data_files(folder):
        path.unlink()


def remove_metadata(folder: Path) -> None:
    for path in folder.rglob("_METADATA"):
        path.unlink()


@pytest.mark.parametrize("damage", [cut_in_half, empty_all, remove_data, remove_metadata])
def test_a_damaged_checkpoint_is_one_sentence_that_names_the_one_before(
    saved: Path, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    workdir = shutil.copytree(saved, tmp_path / "run")
    damaged = workdir / "checkpoints" / "latest" / "4"
    damage(damaged)
    with pytest.raises(InputError) as raised:
        Checkpoints(workdir).restore(state(0), kind="latest")
    message = str(raised.value)
    assert message.startswith(f"checkpoint {damaged} is damaged and cannot be read") and "\n" not in message
    assert message.endswith("move it away, and the same training goes on from step 2")
    # The advice works.
    shutil.rmtree(damaged)
    restored = Checkpoints(workdir).restore(state(0), kind="latest")
    assert int(restored.step) == 2 and float(restored.params["net"]["kernel"][0, 0]) == 2


def test_a_damaged_best_checkpoint_is_one_sentence(saved: Path, tmp_path: Path) -> None:
    workdir = shutil.copytree(saved, tmp_path / "run")
    cut_in_half(workdir / "checkpoints" / "best_mnet")
    template = {"params": state(0).params, "batch_stats": state(0).batch_stats}
    with pytest.raises(InputError, match=r"restore it from a copy or train again$"):
        Checkpoints(workdir, read_only=True).restore_variables(template, kind="best_mnet")


def test_files_of_other_programs_beside_checkpoints_are_passed_over(saved: Path, tmp_path: Path) -> None:
    workdir = shutil.copytree(saved, tmp_path / "run")
    folder = workdir / "checkpoints" / "latest"
    for name in (".DS_Store", "desktop.ini", "9"):
        (folder / name).write_text("x")
    for name in ("@eaDir", "4 (1)", "notes", "6.orbax-checkpoint-tmp"):
        (folder / name).mkdir()
    checkpoints = Checkpoints(workdir)
    assert checkpoints.step("latest") == 4
    assert int(checkpoints.restore(state(0), kind="latest").step) == 4
    checkpoints.save(state(6))
    checkpoints.close()
    assert Checkpoints(workdir).step("latest") == 6


def test_a_clock_that_jumps_during_a_save_does_not_end_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now, calls = time.time, itertools.count()
    monkeypatch.setattr(time, "time", lambda: now() + (-1) ** next(calls) * 1e6)  # by 23 days at every look
    checkpoints = Checkpoints(tmp_path)
    for step in (2, 4):
        checkpoints.save(state(step))
    checkpoints.close()
    assert Checkpoints(tmp_path).step("latest") == 4


@pytest.mark.parametrize("content", [b"", b"{}", b"\0" * 40, b'{"seconds": "\xff"}'])
def test_a_damaged_training_time_does_not_stop_a_run(tmp_path: Path, content: bytes) -> None:
    (tmp_path / TIME).write_bytes(content)
    log = RunLog(tmp_path)
    assert log.seconds() == 0.0
    log.write_seconds(3, 5.0)
    assert log.seconds() == 5.0


@pytest.mark.parametrize("tail", [b"\0" * 64, b'{"step": 3, "lo', b"\xff\xfe\n", b'\0\0\n{"step": 4, "loss": 1.0}\n'])
def test_a_log_with_a_damaged_end_is_cut_there(tmp_path: Path, tail: bytes) -> None:
    good = b"".join(json.dumps({"step": step, "loss": 0.5}).encode() + b"\n" for step in (1, 2))
    (tmp_path / LOSSES).write_bytes(good + tail)
    RunLog(tmp_path).cut_to(2)
    assert (tmp_path / LOSSES).read_bytes() == good
    assert [line["step"] for line in read_lines(tmp_path / LOSSES)] == [1, 2]
