"""Tests of the lines that a log keeps when its run resumes."""

from pathlib import Path

from mpnet_jax.run.log import LOSSES, SESSIONS, RunLog, read_lines


def test_lines_and_sessions_after_the_checkpoint_are_dropped(tmp_path: Path) -> None:
    log = RunLog(tmp_path)
    for first, commit in ((1, "a"), (5, "b")):
        log.session({"step": first, "commit": commit})
        log.losses([{"step": first + i, "loss": 1.0} for i in range(4)])
    log.cut_to(6)
    assert [line["step"] for line in read_lines(tmp_path / LOSSES)] == [1, 2, 3, 4, 5, 6]
    assert [line["commit"] for line in read_lines(tmp_path / SESSIONS)] == ["a", "b"]
    log.cut_to(4)  # before the second session
    assert [line["step"] for line in read_lines(tmp_path / LOSSES)] == [1, 2, 3, 4]
    assert [line["commit"] for line in read_lines(tmp_path / SESSIONS)] == ["a"]


def test_the_training_time_restarts_at_step_0(tmp_path: Path) -> None:
    log = RunLog(tmp_path)
    log.write_seconds(8, 70.0)
    log.cut_to(4)
    assert log.seconds() == 70.0
    log.cut_to(0)
    assert log.seconds() == 0.0
