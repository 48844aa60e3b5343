"""Makes the cells of a comparison one after the other; several processes may do so at once."""

import json
import math
import shlex
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from absl import logging

from data_pipeline.command import InputError
from mpnet_jax.comparison import cell_files, programs, progress, rates
from mpnet_jax.comparison.cells import Cell, Grid, Plan
from mpnet_jax.comparison.claims import Claim, Claims
from mpnet_jax.comparison.programs import Lost
from mpnet_jax.comparison.rates import Choice
from mpnet_jax.processes.stop_request import StopRequest
from mpnet_jax.run.data import RECORDS
from mpnet_jax.run.facts import run_facts
from mpnet_jax.run.log import SESSIONS, RunLog, read_lines

DIVERGED = "the loss is not finite"  # part of the error message of training

_WAIT_SECONDS = 5.0
# Parts of a run's folder that are large and can be made again.
_LARGE = ("checkpoints", "bases", "classes", "report", "tensorboard", "scores", "validation/report")


class Runner:
    """The work of one process on a comparison.

    Attributes:
        failed: Paths of the cells that failed in this process.

    Args:
        grid: The comparison.
        workdir: Folder of the comparison.
        given: `--config` and its overrides, as flags for the programs.
        stop: Stop request.
        minutes: No cell is begun that is expected to end later; a begun run is resumed until then.
        train: Training program and its first arguments.
        evaluate: Evaluation program and its first arguments.
    """

    def __init__(
        self,
        grid: Grid,
        workdir: Path,
        *,
        given: Sequence[str],
        stop: StopRequest,
        minutes: float = math.inf,
        train: Sequence[str] = programs.TRAIN,
        evaluate: Sequence[str] = programs.EVALUATE,
    ) -> None:
        self._grid, self._workdir, self._plan, self._given, self._stop = grid, workdir, grid.plan, given, stop
        self._train, self._evaluate = train, evaluate
        self._ends = time.monotonic() + 60.0 * minutes
        self._claims = Claims(workdir / "claims", 60.0 * grid.settings.takeover_minutes)
        self.failed: list[str] = []

    def run(self, wanted: Plan, finished: Callable[[], object]) -> None:
        """Makes the wanted cells, or waits for other processes to make them, until all are finished or failed.

        Args:
            wanted: Some or all cells of the plan.
            finished: Called after each cell that this process made.

        Raises:
            InputError: The trials choose another learning rate than that of a method's finished cells.
        """
        while self._stop.signal_name is None:
            ready = self._in_time(self._ready(wanted), wanted)
            if not ready:
                break
            failures, made = len(self.failed), None
            for cell, choice in ready:
                made = cell if self._make(cell, choice) else None
                if made is not None or len(self.failed) > failures:  # hours may have passed
                    break
            if made is not None:
                logging.info("%s", progress.line(self._workdir, wanted, made, workers=1 + len(self._claims.held())))
                if not self._grid.settings.keep_runs:
                    self._prune()
                finished()
            elif len(self.failed) == failures:
                self._pause()
        # Another process may have made them since.
        self.failed = [path for path in self.failed if not (self._workdir / f"{path}.json").is_file()]

    def _ready(self, wanted: Plan) -> list[tuple[Cell, Choice]]:
        """Returns the missing cells that can be begun, with their learning rates, those with a begun run first."""
        hours = self._grid.settings.ablations.hours
        spent = sum(map(progress.minutes_of, cell_files.read_all(self._workdir, self._plan.ablations).values())) / 60
        ended = {"ablations"} if hours and spent >= hours else set()
        missing = [cell for cell in self._missing(wanted) if cell.path not in self.failed and cell.kind not in ended]
        begin = [cell for cell in missing if cell.start is None or self._done(cell.start)]
        ready = [(cell, choice) for cell in begin if (choice := self._choice(cell)) is not None]
        # The best trial, its cell and the ablation without a change share a run, which is trained again if its
        # checkpoints are removed in between.
        return sorted(ready, key=lambda one: not self._begun(one[0], one[1].rate))

    def _in_time(self, ready: list[tuple[Cell, Choice]], wanted: Plan) -> list[tuple[Cell, Choice]]:
        """Returns the cells that are expected to end in time or whose run is begun."""
        left = (self._ends - time.monotonic()) / 60.0
        if not ready or left == math.inf:
            return ready
        expected = progress.expected(cell_files.read_all(self._workdir, wanted), [cell for cell, _ in ready])
        begun = {cell for cell, choice in ready if self._begun(cell, choice.rate)}
        fitting = [one for one in ready if left > 0.0 and (one[0] in begun or expected[one[0]] <= left)]
        if not fitting:
            logging.info(
                "%.0f minutes left, too few for any of %d cells; run the same command again to continue",
                left,
                len(ready),
            )
        return fitting

    def _begun(self, cell: Cell, rate: float | None) -> bool:
        return rate is not None and (self._workdir / "runs" / cell.run_name(rate) / "checkpoints").is_dir()

    def _choice(self, cell: Cell) -> Choice | None:
        try:
            return rates.choose(self._workdir, cell, self._plan, self._grid.settings.rates.tried)
        except InputError as error:  # other methods continue
            self.failed.append(cell.path)
            logging.error("%s cannot be made: %s", cell.path, error)
            return None

    def _missing(self, wanted: Plan) -> list[Cell]:
        """Returns the cells without a file, and the starts whose networks are missing but needed by these cells."""
        missing = [cell for cell in wanted if not self._is_file(cell)]
        needed = {cell.start for cell in missing}
        return [start for start in wanted.starts if start in needed and not self._done(start)] + [
            cell for cell in missing if cell not in needed
        ]

    def _is_file(self, cell: Cell) -> bool:
        return (self._workdir / f"{cell.path}.json").is_file()

    def _done(self, cell: Cell) -> bool:
        """Returns whether a cell has its file, and a start its networks, too."""
        return self._is_file(cell) and (cell.kind != "starts" or self._begun(cell, cell.rate))

    def _make(self, cell: Cell, choice: Choice) -> bool:
        """Makes a cell unless another process does; returns whether this process finished it."""
        if self._stop.signal_name is not None:
            return False
        claim = self._claims.take(cell.run_name(choice.rate))
        if claim is None:
            return False
        try:
            if self._done(cell):
                return False
            self._refuse_another_rate(cell, choice)
            if cell.kind == "starts":  # no cell may start with it before it is trained again
                (self._workdir / f"{cell.path}.json").unlink(missing_ok=True)
            return self._run(cell, choice, claim)
        except Lost:
            logging.info("%s: taken over by another process", cell.path)
            return False
        finally:
            claim.release()

    def _run(self, cell: Cell, choice: Choice, claim: Claim) -> bool:
        run = self._workdir / "runs" / cell.run_name(choice.rate)
        changes = self._grid.changes(cell, choice.rate)
        if cell.start is not None:
            changes["start_from"] = self._workdir / "runs" / changes["start_from"]
        shared = [*self._given, f"--workdir={run}", *(f"--config.{field}={value}" for field, value in changes.items())]
        commands = {"train": [*self._train, *shared]}
        if cell.is_evaluated:
            commands["evaluate"] = [*self._evaluate, *shared, *self._evaluation_flags(cell)]
        log = self._workdir / "logs" / f"{cell.path}.log"
        logging.info("%s: learning rate %g, log in %s", cell.path, choice.rate, log)
        began, diverged, lines = time.monotonic(), False, []
        for name, command in commands.items():
            began = time.monotonic()
            if name == "evaluate" and not self._matches_others(cell, {"data": _records(run)}):
                return False
            lines.append(shlex.join(["python", *command[1:]]))
            status = programs.run_program(command, log, stop=self._stop, started=claim.note_child, beat=claim.beat)
            if self._stop.signal_name is not None:
                return False
            diverged = bool(status) and name == "train" and DIVERGED in programs.last_lines(log)
            if diverged and cell.kind != "starts":  # final: it would diverge again from its last checkpoint
                break
            if status:
                self.failed.append(cell.path)
                logging.error("%s failed with status %d: %s", cell.path, status, programs.last_lines(log))
                return False
        if diverged or not cell.is_evaluated:
            result = self._trained(cell, choice, run, lines, diverged=diverged)
        else:
            folder, minutes = run / "validation" if cell.kind == "ablations" else run, (time.monotonic() - began) / 60
            metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
            result = cell_files.result(cell, metrics, choice=choice._asdict(), commands=lines, minutes=minutes)
        if not self._matches_others(cell, result):
            return False
        settings = {"settings": cell_files.settings(cell, self._grid, choice.rate)}
        begun = {"start": cell_files.origin(self._workdir, cell.start)} if cell.start is not None else {}
        cell_files.write(self._workdir, cell, result | begun | settings)
        return True

    def _matches_others(self, cell: Cell, result: dict[str, Any]) -> bool:
        """Returns whether a result has the records and mixtures of the other cells; else the cell has failed."""
        try:
            cell_files.refuse_other_mixtures(cell, result, cell_files.read_all(self._workdir, self._plan))
        except InputError as error:
            self.failed.append(cell.path)
            logging.error("%s", error)
            return False
        return True

    def _refuse_another_rate(self, cell: Cell, choice: Choice) -> None:
        """Raises InputError when a finished cell of the method has another learning rate."""
        same = [other for other in self._plan.cells if cell.kind == "cells" and other.method == cell.method]
        for other, made in cell_files.read_all(self._workdir, same).items():
            if made["learning_rate"]["rate"] != choice.rate:
                raise InputError(
                    f"{other.path} was made at learning rate {made['learning_rate']['rate']:g}, and "
                    f"config.compare.rates now give {cell.method} {choice.rate:g}; set them as they were, or compare "
                    "in another --workdir"
                )

    def _evaluation_flags(self, cell: Cell) -> list[str]:
        """Returns the evaluation's flags for a cell."""
        fields = self._grid.settings
        if cell.kind == "ablations":
            return ["--split=validation", f"--mix={','.join(map(str, fields.ablations.mixes))}"]
        flags = [f"--mix={','.join(map(str, fields.mixes))}"] if fields.mixes else []
        recursive = {"counting": fields.counting, "localisation": fields.localisation} if cell.method == "mpnet" else {}
        return flags + [f"--{flag}" for flag, wanted in ({"far": fields.far} | recursive).items() if wanted]

    def _trained(
        self, cell: Cell, choice: Choice, run: Path, commands: Sequence[str], *, diverged: bool
    ) -> dict[str, Any]:
        """Returns the content of the file of a start, a trial, or a cell whose training diverged."""
        facts = run_facts()
        chosen = {"rate": choice.rate} if cell.rate is not None else {"learning_rate": choice._asdict()}
        return {
            "cell": cell_files.described(cell),
            **chosen,
            "score": None if diverged else rates.validation_score(run, self._grid.method(cell, choice.rate)),
            "score_of": "best validation SI-SDR improvement in training, dB",
            "minutes": {"training": round(RunLog(run).seconds() / 60, 1)},
            "made": {"commands": list(commands)} | {key: facts[key] for key in cell_files.FACTS},
            "trained": cell_files.sessions(read_lines(run / SESSIONS)),
            "data": _records(run),
        }

    def _prune(self) -> None:
        """Removes the large files of the runs that no missing cell of the plan can use."""
        missing = self._missing(self._plan)
        needed = {
            cell.run_name(rate)
            for cell in (*missing, *(cell.start for cell in missing if cell.start is not None))
            for choice in [self._choice(cell)]
            for rate in ([choice.rate] if choice else self._grid.settings.rates.tried)
        }
        for run in (self._workdir / "runs").iterdir():
            large = any((run / part).exists() for part in _LARGE)
            if run.name not in needed and large and (claim := self._claims.take(run.name)) is not None:
                for part in _LARGE:
                    shutil.rmtree(run / part, ignore_errors=True)
                claim.release()

    def _pause(self) -> None:
        """Waits while other processes work."""
        until = time.monotonic() + _WAIT_SECONDS
        while time.monotonic() < until and self._stop.signal_name is None:
            time.sleep(0.2)


def _records(run: Path) -> dict[str, str]:
    """Returns name and hash of the records that a run was trained on; empty for a run of an earlier version."""
    path = run / RECORDS
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
