"""Tests of the results that finished cells give."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from data_pipeline.command import InputError
from mpnet_jax.comparison import cell_files
from mpnet_jax.comparison.cells import Grid
from mpnet_jax.comparison.report.results import results
from tests.comparison.report.conftest import config_of
from tests.support import stand_ins


def test_every_row_has_its_seeds_and_numbers(made) -> None:
    _, _, found = made
    rows = found["entries"]
    assert (
        len(rows) == 2 * 2 + 4 * 3
    )  # MIML with seen and with true classes has no mask, the others have three settings
    entry = rows["mpnet-ratio-mix2"]
    assert entry["seeds"] == [0, 1, 2]
    assert entry["test"]["nsdr"]["mean"] == pytest.approx(3.5, abs=0.1)
    assert entry["test"]["nsdr"]["seeds"] == 3 and entry["test"]["nsdr"]["count"] == 3 * stand_ins.MIXTURES
    assert list(entry["mixes"]) == ["2", "3", "4"]
    assert entry["far"]["sir"]["mean"] == pytest.approx(2.5, abs=0.1)
    assert entry["steps"] == {"trained": [35] * 3, "evaluated": [30] * 3}
    assert entry["minutes"] == 3.0  # one of training, two of evaluation
    assert entry["swapped"]["test"]["mean"] == -3.0 and entry["swapped"].keys() == {"test", "far"}
    assert rows["mnet_longer-ratio-mix2"]["test"]["nsdr"]["mean"] == pytest.approx(2.5, abs=0.1)
    assert rows["miml_told-none-mix2"]["swapped"] == {}
    assert found["done"] == {"cells": [42, 42], "ablations": [10, 10]}


def test_counting_and_localisation_are_those_of_mp_net(made) -> None:
    _, _, found = made
    entry = found["entries"]["mpnet-ratio-mix2"]
    assert entry["counting"]["clips"]["as_trained"]["mean"] == 1.0
    assert entry["counting"]["clips"]["constant"] == {"as_trained": 0.5, "all": 0.25}
    (scene,) = entry["localisation"]
    assert scene["guesses"]["energy map"]["pointing"]["seeds"] == 3
    assert scene["guesses"]["energy map"]["pointing"]["count"] == 3 * 2
    assert scene["guesses"]["centre"]["pointing"]["mean"] == 0.5
    assert all("counting" not in other for other in found["entries"].values() if other["method"] != "mpnet")


def test_ablations_are_compared_with_no_change_and_with_their_m_net(made) -> None:
    workdir, grid, found = made
    rows = {(row["method"], row["change"]): row for row in found["ablations"]}
    assert rows.keys() == {
        *(("mnet", change) for change in ("default", "original")),
        *(("mpnet", change) for change in ("default", "original", "sum")),
    }
    assert rows["mpnet", "original"]["overrides"] == {"recursion.mask_on": "original"}
    assert "differences" not in rows["mpnet", "default"] and "over_start" not in rows["mnet", "original"]

    def scores(name: str) -> np.ndarray:
        cells = [cell for cell in grid.ablations if cell.name.startswith(f"{name}-")]
        values = [cell_files.read(workdir, cell)["lists"]["mix3"]["methods"][cell.method]["nsdr"] for cell in cells]
        return np.array(values)

    for (method, change), row in rows.items():
        assert row["seeds"] == [0, 1]
        partners = {"differences": f"default-{method}", "over_start": f"{change.replace('sum', 'default')}-mnet"}
        for part in partners.keys() & row.keys():
            mean = np.mean(scores(f"{change}-{method}") - scores(partners[part]))
            assert row[part]["mix3"]["nsdr"]["mean"] == pytest.approx(mean, abs=1e-12)


def test_an_ablation_whose_other_seed_is_missing_has_the_first_alone(made, tmp_path: Path) -> None:
    workdir, grid, _ = made
    shutil.copytree(workdir / "ablations", tmp_path / "ablations")
    (tmp_path / "ablations" / "sum-mpnet-ratio-mix2-seed1.json").unlink()
    row = next(row for row in results(tmp_path, grid)["ablations"] if row["change"] == "sum")
    assert row["seeds"] == [0] and row["differences"]["mix2"]["nsdr"]["seeds"] == 1


def test_a_spoiled_cell_is_named(tmp_path: Path) -> None:
    workdir = tmp_path / "comparison"
    grid = Grid(config_of(workdir))
    path = workdir / f"{grid.cells[0].path}.json"
    path.parent.mkdir(parents=True)
    path.write_text("{")
    with pytest.raises(InputError, match=r"mnet-binary-mix2-seed0\.json cannot be read as JSON .*; delete it"):
        results(workdir, grid)
