"""A finished comparison of stand-ins, shared by the tests of its report."""

import json
from pathlib import Path

import pytest

from mpnet_jax.comparison import cell_files, cells
from mpnet_jax.comparison.cells import Cell, Plan
from mpnet_jax.comparison.report.results import results
from tests.support import stand_ins

CHOICE = {"rate": 1e-3, "reason": "best validation score", "scores": {"0.001": 5.0, "0.003": 4.0}}


def grid_of(workdir: Path):
    config = stand_ins.grid_config(workdir)
    config.compare.methods = ("miml", "pixelplayer", "mnet", "mpnet")
    config.compare.settings = ("binary-mix2", "ratio-mix2", "ratio-mix3")
    config.compare.seeds = (0, 1, 2)
    config.compare.mixes = (2, 3, 4)
    config.compare.ablations.repeated = ("original",)
    return config, cells.plan(config)


def finish(workdir: Path, config, cell: Cell) -> None:
    """Writes the file of a cell with the scores of the stand-ins."""
    if cell.kind == "trials":
        made = {"commands": [f"train {cell.path}"]}
        cell_files.write(workdir, cell, {"score": 5.0, "minutes": {"training": 1.0}, "made": made})
        return
    values = {f"config.{field}": str(value) for field, value in cells.changes(cell, config, 1e-3).items()}
    values["mix"] = "2,3,4"
    values |= {"split": "validation"} if cell.kind == "ablations" else {"far": ""}
    values |= {"counting": "", "localisation": ""} if (cell.kind, cell.method) == ("cells", "mpnet") else {}
    # For the stand-ins, MP-Net's config without a round for the Plus-Net is the M-Net's.
    run = workdir / "runs" / cell.name
    run.mkdir(parents=True)
    stand_ins.evaluate(values, run)
    folder = run / "validation" if cell.kind == "ablations" else run
    metrics = json.loads((folder / "metrics.json").read_text())
    of = "trials/mpnet-ratio-mix2-seed0-rate0.001" if cell.kind == "ablations" else cell.path
    made = {"choice": CHOICE, "commands": [f"train {of}", "evaluate"], "minutes": 2.0}
    cell_files.write(workdir, cell, cell_files.result(cell, metrics, **made))


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Plan, dict]:
    """Returns the folder of a finished comparison, its plan and its results."""
    workdir = tmp_path_factory.mktemp("made") / "comparison"
    config, plan = grid_of(workdir)
    for cell in plan:
        finish(workdir, config, cell)
    return workdir, plan, results(workdir, plan)
