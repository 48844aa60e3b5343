"""A finished comparison of stand-ins, shared by the tests of its report."""

import json
from pathlib import Path

import pytest

from mpnet_jax.comparison import cell_files
from mpnet_jax.comparison.cells import Cell, Grid
from mpnet_jax.comparison.report.results import results
from tests.support import stand_ins


def config_of(workdir: Path):
    config = stand_ins.grid_config(workdir)
    config.compare.methods = ("mnet", "mnet_longer", "mpnet", "pixelplayer", "miml")
    config.compare.settings = ("binary-mix2", "ratio-mix2", "ratio-mix3")
    config.compare.seeds = (0, 1, 2)
    config.compare.mixes = (2, 3, 4)
    config.compare.ablations.changes = ("mpnet original: recursion.mask_on=original", "mpnet sum: loss.plus=sum")
    config.compare.ablations.seeds = (0, 1)
    return config


def finish(workdir: Path, grid: Grid, cell: Cell) -> None:
    """Writes the file of a cell with the scores of the stand-ins."""
    values = {f"config.{field}": str(value) for field, value in grid.changes(cell).items()}
    values["mix"] = "2,3,4"
    values |= {"split": "validation"} if cell.kind == "ablations" else {"far": ""}
    values |= {"counting": "", "localisation": ""} if (cell.kind, cell.method) == ("cells", "mpnet") else {}
    run = workdir / "runs" / cell.name
    run.mkdir(parents=True)
    stand_ins.evaluate(values, run)
    folder = run / "validation" if cell.kind == "ablations" else run
    metrics = json.loads((folder / "metrics.json").read_text())
    known = {"settings": cell_files.settings(cell, grid), "start": cell_files.origin(workdir, cell), "commands": []}
    cell_files.write(workdir, cell, cell_files.result(cell, metrics, minutes=2.0, **known))


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Grid, dict]:
    """Returns the folder of a finished comparison, its cells and its results."""
    workdir = tmp_path_factory.mktemp("made") / "comparison"
    workdir.parent.mkdir(exist_ok=True)
    grid = Grid(config_of(workdir))
    for cell in grid:
        finish(workdir, grid, cell)
    return workdir, grid, results(workdir, grid)
