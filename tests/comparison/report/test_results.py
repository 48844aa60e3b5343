"""Tests of the results that finished cells give."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from data_pipeline.command import InputError
from mpnet_jax.comparison import cell_files
from mpnet_jax.comparison.report.entries import ROUND_ONE
from mpnet_jax.comparison.report.results import at_edge, results
from tests.comparison.report.conftest import grid_of
from tests.support import stand_ins


def test_every_row_has_its_seeds_and_numbers(made) -> None:
    _, _, found = made
    rows = found["entries"]
    assert (
        len(rows) == 2 * 2 + 4 * 3
    )  # MIML with seen and with true classes, without a mask; the others and the M-Net of round one with three settings
    entry = rows["mpnet-ratio-mix2"]
    assert entry["seeds"] == [0, 1, 2] and entry["rate"] == [0.001]
    assert entry["test"]["nsdr"]["mean"] == pytest.approx(3.5, abs=0.1)
    assert entry["test"]["nsdr"]["seeds"] == 3 and entry["test"]["nsdr"]["count"] == 3 * stand_ins.MIXTURES
    assert list(entry["mixes"]) == ["2", "3", "4"]
    assert entry["far"]["sir"]["mean"] == pytest.approx(2.5, abs=0.1)
    assert entry["counting"]["clips"]["as_trained"]["mean"] == 1.0
    (scene,) = entry["localisation"]
    assert scene["guesses"]["energy map"]["pointing"]["seeds"] == 3
    assert scene["guesses"]["energy map"]["pointing"]["count"] == 3 * 2
    assert scene["guesses"]["centre"]["pointing"]["mean"] == 0.5
    assert rows[f"{ROUND_ONE}-ratio-mix2"]["test"]["nsdr"]["mean"] == pytest.approx(2.5, abs=0.1)
    assert entry["steps"] == {"trained": [35] * 3, "evaluated": [30] * 3}
    assert rows[f"{ROUND_ONE}-ratio-mix2"]["steps"] == {"evaluated": [20] * 3}
    assert entry["minutes"] == 1.0 and rows[f"{ROUND_ONE}-ratio-mix2"]["minutes"] is None
    assert entry["counting"]["clips"]["constant"] == {"as_trained": 0.5, "all": 0.25}
    assert entry["swapped"]["test"]["mean"] == -3.0 and entry["swapped"].keys() == {"test", "far"}
    # One minute of training and two of evaluation; the ablations share a trial's training, which counts once.
    assert found["hours"] == {"starts": 0.0, "trials": 0.13, "cells": 1.65, "ablations": 0.2}
    assert found["done"] == {"starts": [0, 0], "trials": [8, 8], "cells": [33, 33], "ablations": [6, 6]}


def test_ablations_are_compared_with_no_change(made) -> None:
    _, _, found = made
    default, changed = found["ablations"][:2]
    assert (default["change"], changed["change"]) == ("default", "original")
    assert "differences" not in default
    assert changed["overrides"] == {"recursion.mask_on": "original"}
    assert changed["differences"]["mix3"]["nsdr"]["mean"] == pytest.approx(0.0, abs=0.2)


def test_ablations_made_with_several_seeds_have_rows_over_these_too(made) -> None:
    workdir, plan, found = made
    assert [(row["name"], row["seeds"]) for row in found["ablations"]] == [
        ("default", [0]),
        ("original", [0]),
        ("default (3 seeds)", [0, 1, 2]),
        ("original (3 seeds)", [0, 1, 2]),
    ]
    by_change = {}
    for cell in plan.ablations:
        nsdr = cell_files.read(workdir, cell)["lists"]["mix3"]["methods"]["mpnet"]["nsdr"]
        by_change.setdefault(cell.change, []).append(np.mean(nsdr))
    found_difference = found["ablations"][3]["differences"]["mix3"]["nsdr"]
    wanted = np.mean(np.subtract(by_change["original"], by_change["default"]))
    assert found_difference["mean"] == pytest.approx(wanted, abs=1e-12)
    assert found_difference["seeds"] == 3 and found["ablations"][1]["differences"]["mix3"]["nsdr"]["seeds"] == 1


def test_an_ablation_whose_other_seeds_are_missing_has_its_first_row_alone(made, tmp_path: Path) -> None:
    workdir, plan, _ = made
    shutil.copytree(workdir / "ablations", tmp_path / "ablations")
    for seed in (1, 2):
        (tmp_path / "ablations" / f"original-ratio-mix2-seed{seed}.json").unlink()
    alone = results(tmp_path, dataclasses.replace(plan, starts=(), trials=(), cells=()))["ablations"]
    assert [row["name"] for row in alone] == ["default", "original", "default (3 seeds)"]


def test_an_ablation_that_failed_with_its_first_seed_has_a_row_of_the_others(made, tmp_path: Path) -> None:
    workdir, plan, _ = made
    shutil.copytree(workdir / "ablations", tmp_path / "ablations")
    path = tmp_path / "ablations/original-ratio-mix2-seed0.json"
    whole = json.loads(path.read_text())
    kept = {key: whole[key] for key in ("cell", "learning_rate", "made", "minutes")}
    path.write_text(json.dumps(kept | {"score": None}))
    found = results(tmp_path, dataclasses.replace(plan, starts=(), trials=(), cells=()))["ablations"]
    assert [(row["name"], row.get("failed", False)) for row in found][1::2] == [
        ("original", True),
        ("original (2 seeds)", False),
    ]
    assert found[3]["differences"]["mix3"]["nsdr"]["seeds"] == 2
    (tmp_path / "ablations/original-ratio-mix2-seed1.json").write_text(path.read_text())
    found = results(tmp_path, dataclasses.replace(plan, starts=(), trials=(), cells=()))["ablations"]
    assert [row["name"] for row in found] == ["default", "original", "default (3 seeds)"]


def test_ablations_compare_mp_net_with_its_m_net_of_round_one(made) -> None:
    workdir, plan, found = made
    firsts = [cell for cell in plan.ablations if cell.seed == 0]
    for cell, row in zip(firsts, found["ablations"], strict=False):
        of = cell_files.read(workdir, cell)["lists"]["mix2"]["methods"]
        mean = np.mean(np.subtract(of["mpnet"]["nsdr"], of["mnet"]["nsdr"]))
        assert row["over_round_one"]["mix2"]["nsdr"]["mean"] == pytest.approx(mean, abs=1e-12)


def test_a_spoiled_cell_is_named(tmp_path: Path) -> None:
    workdir = tmp_path / "comparison"
    _, plan = grid_of(workdir)
    path = workdir / f"{plan.cells[0].path}.json"
    path.parent.mkdir(parents=True)
    path.write_text("{")
    with pytest.raises(InputError, match=r"miml-none-mix2-seed0\.json cannot be read as JSON .*; delete it"):
        results(workdir, plan)


def test_a_best_rate_is_an_edge_only_when_all_were_tried(made) -> None:
    _, plan, _ = made
    rates = {"miml": {"0.001": None, "0.003": 2.0}, "mnet": {"0.001": 4.0}}
    assert at_edge(plan, rates) == {"miml": "highest"}  # the M-Net's other rate may be better
    three = dataclasses.replace(plan, trials=(*plan.trials, dataclasses.replace(plan.trials[0], rate=1e-2)))
    assert at_edge(three, {"miml": {"0.001": 1.0, "0.003": 2.0, "0.01": 0.0}}) == {}
    assert at_edge(three, {"miml": {"0.001": 3.0, "0.003": 2.0, "0.01": 0.0}}) == {"miml": "lowest"}
