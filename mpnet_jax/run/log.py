"""The log files of a training run: the losses of every step, validation scores, sessions and training time."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import logging

from data_pipeline.atomic import write_atomically

LOSSES = "losses.jsonl"
VALIDATION = "validation.jsonl"
SESSIONS = "sessions.jsonl"
TIME = "time.json"


class RunLog:
    """Appends JSON lines to the logs, and cuts them back to a checkpoint when a run resumes.

    Args:
        workdir: Folder of the run.
    """

    def __init__(self, workdir: Path) -> None:
        self._workdir = workdir

    def cut_to(self, step: int) -> None:
        """Drops the lines after `step` and incomplete lines; at step 0 also the training time."""
        for name in (LOSSES, VALIDATION, SESSIONS):
            path = self._workdir / name
            kept = [line for line in read_lines(path) if line["step"] <= step]
            write_atomically(path, "".join(json.dumps(line) + "\n" for line in kept))
        if step == 0:  # a new run, or one that lost its checkpoints
            (self._workdir / TIME).unlink(missing_ok=True)

    def losses(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """Appends one line for each step."""
        self._append(LOSSES, lines)

    def validation(self, line: Mapping[str, Any]) -> None:
        """Appends the score of one validation."""
        self._append(VALIDATION, [line])

    def session(self, line: Mapping[str, Any]) -> None:
        """Appends the start of a session: its first step and its `run_facts`."""
        self._append(SESSIONS, [line])

    def seconds(self) -> float:
        """Returns the training time so far, over all sessions of this run."""
        path = self._workdir / TIME
        if not path.is_file():
            return 0.0
        try:
            return float(json.loads(path.read_bytes())["seconds"])
        except (ValueError, KeyError, TypeError):
            logging.warning("%s is damaged; the training time is counted from now on", path)
            return 0.0

    def write_seconds(self, step: int, seconds: float) -> None:
        """Writes the training time up to a checkpoint."""
        write_atomically(self._workdir / TIME, json.dumps({"step": step, "seconds": round(seconds, 1)}) + "\n")

    def _append(self, name: str, lines: Sequence[Mapping[str, Any]]) -> None:
        with (self._workdir / name).open("a", encoding="utf-8") as file:
            file.write("".join(json.dumps(line) + "\n" for line in lines))


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Returns the lines of a JSON-lines file up to the first incomplete or damaged one; none if there is no file."""
    if not path.is_file():
        return []
    lines = []
    for line in path.read_bytes().splitlines():
        try:
            lines.append(json.loads(line))
        except ValueError:  # includes errors of JSON and of the encoding
            break
    return lines
