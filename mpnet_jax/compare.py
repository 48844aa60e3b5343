"""Compares methods: `python -m mpnet_jax.compare --config=configs/compare_rendered.py [--workdir=DIR]`.

Trains and evaluates every missing cell of `config.compare` by `mpnet_jax.train` and `mpnet_jax.evaluate` in separate
processes, and writes tables and figures after each cell. Several processes, on one machine or on several that share the
folder, take different cells. A command that was stopped or killed resumes within its cell when it is run again.
"""

import math
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags, logging

from data_pipeline import command
from data_pipeline.command import InputError
from mpnet_jax.comparison import cell_files, cells, programs
from mpnet_jax.comparison.cells import Grid
from mpnet_jax.comparison.report.outputs import write_outputs
from mpnet_jax.comparison.runner import Runner
from mpnet_jax.config import check as config_module
from mpnet_jax.config import saved_config
from mpnet_jax.config.specs import Config
from mpnet_jax.processes.stop_request import StopRequest


def main() -> None:
    """Runs the command with absl's flags."""
    config = config_module.from_flags()
    values = flags.FLAGS
    workdir = values.workdir or Path(f"runs/{config.name}")
    # The programs of a cell get the same config file and the same overrides.
    given = [flag for flag in config_module.given_flags() if not flag.startswith("--config.compare.")]
    minutes = math.inf if values.minutes is None else values.minutes
    status = compare(config, workdir, given=given, only=values.only, report_only=values.report_only, minutes=minutes)
    if status:
        sys.exit(status)


def compare(
    config: Config,
    workdir: Path,
    *,
    given: Sequence[str],
    only: str = "*",
    report_only: bool = False,
    minutes: float = math.inf,
    train: Sequence[str] = programs.TRAIN,
    evaluate: Sequence[str] = programs.EVALUATE,
) -> int:
    """Makes the missing cells of a comparison.

    Args:
        config: Checked config of the comparison.
        workdir: Folder of the comparison; created when missing.
        given: `--config=...` and its overrides, as flags for the programs.
        only: Pattern of the cells to make.
        report_only: Whether to make no cell and only write tables and figures of the finished ones.
        minutes: Time limit; no cell is begun that is expected to end later.
        train: Training program and its first arguments.
        evaluate: Evaluation program and its first arguments.

    Returns:
        Exit status: 0 when all cells are finished or the time is over, 1 when some failed, 128 + signal after a stop
        request.

    Raises:
        InputError: A cell's config cannot run, a data set is missing, the workdir belongs to another comparison, or a
            file was made with other settings.
    """
    grid = Grid(config)
    plan = grid.plan
    wanted = plan.matching(only)
    for cell in wanted:
        grid.method(cell, cell.rate or config.compare.rates.tried[0])  # refuses a config that cannot run
    cell_files.refuse_other_settings(workdir, grid)
    if report_only:
        if not _report(workdir, plan):
            raise InputError(f"--workdir={workdir} has no finished cell of this config's grid; make some first")
        return 0
    _require_data(config, plan)
    saved_config.claim_workdir(workdir, config)
    with StopRequest() as stop:
        runner = Runner(grid, workdir, given=given, stop=stop, minutes=minutes, train=train, evaluate=evaluate)
        runner.run(wanted, finished=lambda: _write_so_far(workdir, plan))
    if stop.signal_name is not None:
        logging.info("%s: stopped; the same command resumes where this one stopped", stop.signal_name)
        return stop.exit_status
    _report(workdir, plan)
    for path in runner.failed:
        logging.error("failed: %s, see %s; the same command tries again", path, workdir / "logs" / f"{path}.log")
    return 1 if runner.failed else 0


def _write_so_far(workdir: Path, plan: cells.Plan) -> None:
    """Writes the finished cells; an error here must not end hours of training."""
    try:
        write_outputs(workdir, plan)
    except Exception:  # noqa: BLE001
        logging.exception("the tables could not be written; the comparison continues, --report_only tries again")


def _report(workdir: Path, plan: cells.Plan) -> bool:
    """Writes tables, figures and page and prints their paths; returns False when no cell is finished."""
    page = write_outputs(workdir, plan)
    if page is not None:
        sys.stdout.write(f"numbers: {workdir / 'results.json'}\ntables:  {workdir / 'results.md'}\nreport:  {page}\n")
    return page is not None


def _require_data(config: Config, plan: cells.Plan) -> None:
    """Raises InputError for missing data sets before any cell is started."""
    fields = config.compare
    names = {"data.name": config.data.name}
    for start in plan.starts:
        names["compare.start.changes"] = dict(start.overrides).get("data.name", config.data.name)
    if fields.far:
        names["evaluation.far.name"] = config.evaluation.far.name
    if fields.localisation and "mpnet" in fields.methods:
        names["evaluation.places.name"] = config.evaluation.places.name
    for field, name in names.items():
        folder = Path(config.data.directory) / name
        if not folder.is_dir():
            raise InputError(
                f"no data set at {folder} (config.{field}); prepare it by python -m data_pipeline.prepare, or leave "
                "out what needs it (config.compare.far, .localisation, .start.steps)"
            )


if __name__ == "__main__":
    config_module.define_flag("quickstart")
    command.define_path("workdir", None, "Folder of the comparison; runs/<config.name> by default.")
    flags.DEFINE_string("only", "*", "Make only the cells that match this pattern, and the trials that they need.")
    flags.DEFINE_float("minutes", None, "Time limit: begin no cell that is expected to end later.", lower_bound=0.0)
    flags.DEFINE_bool("report_only", False, "Make no cell; write tables and figures of the finished ones.")
    command.run(main)
