"""Compares methods: `python -m mpnet_jax.compare --config=configs/compare_rendered.py [--workdir=DIR]`.

Trains and evaluates every missing cell of `config.compare` by `mpnet_jax.train` and `mpnet_jax.evaluate` in separate
processes, then writes tables and a page. Cells that begin with the networks of another form a chain with it.
`--processes=N` makes several chains at once; `--cells=i/n` makes every n-th, for a scheduler that starts n such
commands. A command that was stopped or killed resumes within its cell when it is run again.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags, logging

from data_pipeline import command
from data_pipeline.atomic import write_atomically
from data_pipeline.command import InputError
from data_pipeline.records.store import set_names
from mpnet_jax.comparison import cell_files, programs
from mpnet_jax.comparison.cells import ALL, Grid
from mpnet_jax.comparison.programs import Programs
from mpnet_jax.comparison.report.markdown import markdown
from mpnet_jax.comparison.report.page import grid_page
from mpnet_jax.comparison.report.results import results
from mpnet_jax.comparison.runner import Runner
from mpnet_jax.config import check as config_module
from mpnet_jax.config.specs import Config
from mpnet_jax.processes.stop_request import StopRequest


def main() -> None:
    """Runs the command with absl's flags."""
    config = config_module.from_flags()
    values = flags.FLAGS
    workdir = values.workdir or Path(f"runs/{config.name}")
    if values.list:
        for index, cells in Grid(config).chains(values.only, values.cells).items():
            for cell in cells:
                state = "finished" if cell_files.is_finished(workdir, cell) else "missing"
                sys.stdout.write(f"{index}\t{cell.path}\t{state}\n")
        return
    if not values.report_only:
        given = config_module.given_flags()
        wanted = {"only": values.only, "share": values.cells, "processes": values.processes}
        if status := compare(config, workdir, given=given, **wanted):
            sys.exit(status)
    if values.report_only or values.cells == ALL:
        report(config, workdir)


def compare(
    config: Config,
    workdir: Path,
    *,
    given: Sequence[str],
    only: str = "*",
    share: str = ALL,
    processes: int = 1,
    called: Programs = programs.INSTALLED,
) -> int:
    """Makes the missing cells of a comparison.

    Args:
        config: Checked config of the comparison.
        workdir: Folder of the comparison; created when missing.
        given: `--config=...` and its overrides, as flags for the programs.
        only: Pattern of the cells to make.
        share: Which of their chains to make; see `Plan.chains`.
        processes: Number of chains to make at once.
        called: The programs to call.

    Returns:
        Exit status: 0 when all cells are finished, 1 when some failed, 128 + signal after a stop request.

    Raises:
        InputError: A cell's config cannot run, a data set is missing, or a file was made with other settings.
    """
    grid = Grid(config)
    count = len(grid.chains(only))
    missing = {
        index: chain
        for index, chain in grid.chains(only, share).items()
        if not all(cell_files.is_finished(workdir, cell) for cell in chain)
    }
    for cell in (cell for chain in missing.values() for cell in chain):
        grid.method(cell)  # refuses a config that cannot run
    cell_files.refuse_other_settings(workdir, grid)
    _require_data(config)
    with StopRequest() as stop:
        if processes > 1:
            shared = [*called.compare, *given, f"--workdir={workdir}", f"--only={only}"]
            commands = [[*shared, f"--cells={index}/{count}"] for index in missing]
            failed = any(programs.run_all(commands, stop=stop, at_once=processes))
        else:
            for_cells = [flag for flag in given if not flag.startswith("--config.compare.")]
            runner = Runner(grid, workdir, given=for_cells, stop=stop, called=called)
            runner.run(list(missing.values()))
            failed = bool(runner.failed)
    if stop.signal_name is not None:
        logging.info("%s: stopped; the same command resumes where this one stopped", stop.signal_name)
        return stop.exit_status
    if failed:
        logging.error("some cells failed, see above and %s; the same command tries again", workdir / "logs")
    return int(failed)


def report(config: Config, workdir: Path) -> None:
    """Writes tables and page of the finished cells and prints their paths.

    Raises:
        InputError: No cell is finished, or a file was made with other settings.
    """
    grid = Grid(config)
    cell_files.refuse_other_settings(workdir, grid)
    found = results(workdir, grid)
    if not found["entries"] and not found["ablations"]:
        raise InputError(f"--workdir={workdir} has no finished cell of this config's comparison; make some first")
    names = {"numbers": "results.json", "tables": "results.md", "report": "results.html"}
    written = (json.dumps(found, indent=1, allow_nan=False) + "\n", markdown(found), grid_page(found))
    for (title, name), content in zip(names.items(), written, strict=True):
        write_atomically(workdir / name, content, shared=True)
        sys.stdout.write(f"{title + ':':8} {workdir / name}\n")


def _require_data(config: Config) -> None:
    """Raises InputError for missing data sets before any cell is started."""
    flat = config_module.flatten(config)
    needed = {"data.name": "", "evaluation.far.name": "compare.far", "evaluation.places.name": "compare.localisation"}
    for field, by in needed.items():
        for folder in (Path(config.data.directory) / name for name in set_names(flat[field])):
            if flat.get(by, True) and not folder.is_dir():
                raise InputError(
                    f"no data set at {folder} (config.{field}); prepare it by python -m data_pipeline.prepare, or "
                    "leave out what needs it (config.compare.far, .localisation)"
                )


if __name__ == "__main__":
    config_module.define_flag("quickstart")
    command.define_path("workdir", None, "Folder of the comparison; runs/<config.name> by default.")
    flags.DEFINE_string("only", "*", "Make only the cells that match this pattern, and those that they begin with.")
    flags.DEFINE_string("cells", ALL, "i/n makes every n-th chain of cells, from number i on (0 to n - 1).")
    flags.DEFINE_integer("processes", 1, "Number of chains to make at once, each on its own core.", lower_bound=1)
    flags.DEFINE_bool("list", False, "Make no cell; list them with the number of their chain.")
    flags.DEFINE_bool("report_only", False, "Make no cell; write tables and page of the finished ones.")
    command.run(main)
