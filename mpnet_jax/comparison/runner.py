"""Makes the cells of a comparison one after the other, each by a training and an evaluation."""

import contextlib
import fcntl
import json
import shlex
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from absl import logging

from data_pipeline.command import InputError
from mpnet_jax.comparison import cell_files, programs
from mpnet_jax.comparison.cells import Cell, Grid
from mpnet_jax.comparison.programs import Programs
from mpnet_jax.processes.stop_request import StopRequest

_PAUSE_SECONDS = 1.0


class Runner:
    """The work of one process on a comparison.

    Attributes:
        failed: Paths of the cells that failed.

    Args:
        grid: The comparison.
        workdir: Folder of the comparison.
        given: `--config` and its overrides, as flags for the programs.
        stop: Stop request.
        called: The programs that train and evaluate.
    """

    def __init__(self, grid: Grid, workdir: Path, *, given: Sequence[str], stop: StopRequest, called: Programs) -> None:
        self._grid, self._workdir, self._given, self._stop, self._called = grid, workdir, given, stop, called
        self.failed: list[str] = []

    def run(self, chains: Sequence[Sequence[Cell]]) -> None:
        """Makes the missing cells of chains, in their order; a chain on which another process works comes later."""
        waiting = list(chains)
        while waiting and self._stop.signal_name is None:
            busy = [chain for chain in waiting if not self._make_chain(chain)]
            if len(busy) == len(waiting):
                time.sleep(_PAUSE_SECONDS)
            waiting = busy

    def _make_chain(self, chain: Sequence[Cell]) -> bool:
        """Makes the missing cells of a chain; returns False where another process holds one of their runs."""
        for cell in chain:
            if self._stop.signal_name is not None or cell_files.is_finished(self._workdir, cell):
                continue
            with _lock(self._workdir / "runs" / f"{cell.run_name}.lock") as lock:
                if lock is None:
                    return False
                if not cell_files.is_finished(self._workdir, cell):  # another process may have made it before
                    try:
                        self._make(cell, lock)
                    except InputError as error:
                        self.failed.append(cell.path)
                        logging.error("%s", error)
        return True

    def _make(self, cell: Cell, lock: int) -> None:
        """Trains and evaluates a cell and writes its file, unless a stop is requested.

        Raises:
            InputError: A program failed, or its result does not fit the other cells.
        """
        run, log = self._workdir / "runs" / cell.run_name, self._workdir / "logs" / f"{cell.path}.log"
        changes = self._grid.changes(cell)
        if cell.start is not None:
            if not cell_files.is_finished(self._workdir, cell.start):
                raise InputError(f"{cell.path} cannot be made without {cell.start.path}, which failed")
            changes["start_from"] = self._workdir / "runs" / changes["start_from"]
        shared = [*self._given, f"--workdir={run}", *(f"--config.{field}={value}" for field, value in changes.items())]
        commands = [[*self._called.train, *shared], [*self._called.evaluate, *shared, *self._evaluation_flags(cell)]]
        logging.info("%s: log in %s", cell.path, log)
        log.parent.mkdir(parents=True, exist_ok=True)
        began = time.monotonic()
        for command in commands:
            began = time.monotonic()
            with log.open("ab") as output:
                (status,) = programs.run_all([command], stop=self._stop, output=output, kept_open=[lock])
            if self._stop.signal_name is not None:
                return
            if status:
                raise InputError(f"{cell.path} failed with status {status}; the end of {log} says why")
        folder = run / "validation" if cell.kind == "ablations" else run
        result = cell_files.result(
            cell,
            json.loads((folder / "metrics.json").read_text(encoding="utf-8")),
            settings=cell_files.settings(cell, self._grid),
            start=cell_files.origin(self._workdir, cell),
            commands=[shlex.join(["python", *command[1:]]) for command in commands],
            minutes=(time.monotonic() - began) / 60,
        )
        others = cell_files.read_all(self._workdir, self._grid)
        cell_files.refuse_other_mixtures(cell, result, others)
        cell_files.write(self._workdir, cell, result)
        count, minutes = len(others) + 1, sum(filter(None, result["minutes"].values()))
        logging.info("%s: finished, %d of %d cells, %.0f minutes", cell.path, count, len(list(self._grid)), minutes)

    def _evaluation_flags(self, cell: Cell) -> list[str]:
        """Returns the evaluation's flags for a cell."""
        fields = self._grid.settings
        if cell.kind == "ablations":
            return ["--split=validation", f"--mix={','.join(map(str, fields.ablations.mixes))}"]
        wanted = {"far": fields.far}
        if cell.method == "mpnet":
            wanted |= {"counting": fields.counting, "localisation": fields.localisation}
        return [f"--mix={','.join(map(str, fields.mixes))}", *(f"--{flag}" for flag, is_on in wanted.items() if is_on)]


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[int | None]:
    """Locks a file and yields its descriptor; yields None where another process has locked it.

    The system releases the lock when the process has ended, and all child processes that keep the file open.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
        else:
            yield file.fileno()
