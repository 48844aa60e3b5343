"""Tests of starts: made before other cells, kept while needed, and trained again where their networks are gone."""

import json
import shutil
from pathlib import Path

import pytest

from data_pipeline.command import InputError
from mpnet_jax.comparison import cells
from mpnet_jax.config import check as config_module
from tests.comparison.test_runner import journal, results, run, start
from tests.support.stand_ins import grid_config

NAMES = [f"pixelplayer-ratio-mix2-seed{seed}-rate0.001-start" for seed in (0, 1)]


@pytest.fixture
def workdir(tmp_path: Path) -> Path:
    return tmp_path / "comparison"


@pytest.fixture
def plan(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> cells.Plan:
    monkeypatch.setenv("START", "7")
    workdir.parent.mkdir(exist_ok=True)
    return cells.plan(grid_config(workdir))


def test_each_seed_has_one_for_all_methods_but_miml(workdir: Path, plan: cells.Plan) -> None:
    config = grid_config(workdir)
    config.compare.methods = ("miml", "pixelplayer", "mnet", "mpnet")
    plan = cells.plan(config)
    assert [start.run_name(1e-3) for start in plan.starts] == NAMES
    run = cells.changed(config, plan.starts[1], 1e-3)
    config_module.check(run)
    assert (run.method, run.seed, run.rounds.both, run.data.name) == ("pixelplayer", 1, 7, "rendered_far")
    for cell in (*plan.trials, *plan.cells, *plan.ablations):
        wanted = None if cell.method == "miml" else NAMES[cell.seed]
        assert cells.changes(cell, config, 1e-3).get("start_from") == wanted
    assert [start.seed for start in plan.matching("cells/*-seed1").starts] == [0, 1]  # the trials are of seed 0
    assert plan.matching("miml-*").starts == ()


def test_an_ablation_that_changes_the_start_has_its_own(workdir: Path, plan: cells.Plan) -> None:
    config = grid_config(workdir)
    config.compare.ablations.changes = (
        "plus: model.plus_bias=-3.0",
        "mel: audio.frequency_axis=mel recursion.mask_on=original",
    )
    default, plus, mel = cells.plan(config).ablations
    assert cells.changes(plus, config, 1e-3)["start_from"] == cells.changes(default, config, 1e-3)["start_from"]
    assert mel.start is not None and mel.start.path == "starts/start_mel-ratio-mix2-seed0"
    assert cells.changes(mel, config, 1e-3)["start_from"] == "pixelplayer-ratio-mix2-seed0-rate0.001-start_mel"
    run = cells.changed(config, mel.start, 1e-3)
    assert (run.audio.frequency_axis, run.recursion.mask_on, run.rounds.both) == ("mel", "remaining", 7)


def test_starts_are_made_first_and_named_in_each_cell(workdir: Path, plan: cells.Plan) -> None:
    status, output = run(workdir, KEEP="no")
    assert status == 0, output
    assert results(workdir).keys() == {cell.path for cell in plan}
    assert sorted(journal(workdir, "ends train")[:2]) == NAMES
    made = json.loads((workdir / "starts/start-ratio-mix2-seed1.json").read_text())
    assert made["cell"]["overrides"] == {"rounds.both": "7", "data.name": "rendered_far"}
    assert (made["score"], made["data"]["name"]) == (9.0, "rendered_far")
    cell = json.loads((workdir / "cells/mpnet-ratio-mix2-seed1.json").read_text())
    assert cell["start"] == {
        "path": "starts/start-ratio-mix2-seed1",
        "score": 9.0,
        "date": made["made"]["date"],
    }
    assert f"--config.start_from={workdir}/runs/{NAMES[1]}" in cell["made"]["commands"][0]
    said = json.loads((workdir / "results.json").read_text())["definitions"]["start"]
    assert "trained 7 steps on rendered_far (ratio-mix2)" in said and "9.00 (seed 0), 9.00 (seed 1)" in said
    # No cell needs them any more, and they are not trained again.
    assert not list((workdir / "runs").glob("*/checkpoints"))
    trained = journal(workdir, "ends train")
    assert run(workdir, KEEP="no")[0] == 0
    assert journal(workdir, "ends train") == trained


def test_a_start_without_networks_is_trained_again(workdir: Path, plan: cells.Plan) -> None:
    assert run(workdir, "trials/*")[0] == 0
    assert journal(workdir, "ends train").count(NAMES[0]) == 1
    shutil.rmtree(workdir / "runs")
    assert run(workdir, "cells/*-seed0")[0] == 0
    assert journal(workdir, "ends train").count(NAMES[0]) == 2
    assert journal(workdir, "ends train").count(NAMES[1]) == 0
    assert "starts/start-ratio-mix2-seed0" in results(workdir)


def test_a_failed_start_stops_its_seed_alone(workdir: Path, plan: cells.Plan) -> None:
    status, output = run(workdir, DIVERGE=NAMES[1])
    assert status == 1
    assert "starts/start-ratio-mix2-seed1 failed with status 2: error: the loss is not finite" in output
    assert results(workdir).keys() == {cell.path for cell in plan if cell.seed == 0}
    assert run(workdir)[0] == 0
    assert results(workdir).keys() == {cell.path for cell in plan}


def test_processes_wait_for_a_start_of_another(workdir: Path, plan: cells.Plan) -> None:
    processes = [start(workdir, "*-seed0*", NAP="0.3") for _ in range(2)]
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert journal(workdir, "ends train").count(NAMES[0]) == 1
    assert results(workdir).keys() == {cell.path for cell in plan if cell.seed == 0}


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("changes", "data.name rendered", "config.compare.start.changes='data.name rendered' must be like"),
        ("setting", "ratio", "config.compare.start.setting holds 'ratio'"),
        ("steps", -1, "config.compare.start.steps=-1 must"),
    ],
)
def test_an_invalid_start_is_one_sentence(workdir: Path, plan, field, value, sentence) -> None:
    config = grid_config(workdir)
    config.compare.start[field] = value
    with pytest.raises(InputError) as refused:
        config_module.check(config)
        cells.plan(config)
    assert sentence in str(refused.value)
