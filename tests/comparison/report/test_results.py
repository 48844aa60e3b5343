"""What is made of finished cells: estimates, observations, tables, pictures, the page."""

import copy
import dataclasses
import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from data_pipeline.command import InputError
from mpnet_jax.compare import compare
from mpnet_jax.comparison import cell_files, cells
from mpnet_jax.comparison.cells import Cell, Plan
from mpnet_jax.comparison.report import published
from mpnet_jax.comparison.report.entries import ROUND_ONE, gather
from mpnet_jax.comparison.report.figures import draw
from mpnet_jax.comparison.report.markdown import markdown
from mpnet_jax.comparison.report.observations import verdict
from mpnet_jax.comparison.report.outputs import write_outputs
from mpnet_jax.comparison.report.page import grid_page
from mpnet_jax.comparison.report.results import at_edge, results
from tests.support import stand_ins
from tests.support.report_structure import Structure

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
    """Writes a cell's result as the stand-ins would have scored it."""
    if cell.kind == "trials":
        made = {"commands": [f"train {cell.path}"]}
        cell_files.write(workdir, cell, {"score": 5.0, "minutes": {"training": 1.0}, "made": made})
        return
    values = {f"config.{field}": str(value) for field, value in cells.changes(cell, config, 1e-3).items()}
    values["mix"] = "2,3,4"
    values |= {"split": "validation"} if cell.kind == "ablations" else {"far": ""}
    values |= {"counting": "", "localisation": ""} if (cell.kind, cell.method) == ("cells", "mpnet") else {}
    # The stand-ins take an M-Net for what MP-Net's config gives without a P-Net.
    run = workdir / "runs" / cell.name
    run.mkdir(parents=True)
    stand_ins.evaluate(values, run)
    folder = run / "validation" if cell.kind == "ablations" else run
    metrics = json.loads((folder / "metrics.json").read_text())
    of = "trials/mpnet-ratio-mix2-seed0-rate0.001" if cell.kind == "ablations" else cell.path
    made = {"choice": CHOICE, "commands": [f"train {of}", "evaluate"], "minutes": 2.0}
    cell_files.write(workdir, cell, cell_files.result(cell, metrics, **made))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Plan, dict]:
    """The folder of a whole comparison, its plan, and what is made of it."""
    workdir = tmp_path_factory.mktemp("made") / "comparison"
    config, plan = grid_of(workdir)
    for cell in plan:
        finish(workdir, config, cell)
    return workdir, plan, results(workdir, plan)


def test_every_row_has_its_seeds_and_numbers(made) -> None:
    _, _, found = made
    rows = found["entries"]
    assert (
        len(rows) == 2 * 2 + 4 * 3
    )  # MIML, seeing and told, without a mask; the others and the M-Net of round one with three settings
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
    # A minute of training and two of evaluation; the ablations are trained by a trial's command, which counts once.
    assert found["hours"] == {"starts": 0.0, "trials": 0.13, "cells": 1.65, "ablations": 0.2}
    assert found["done"] == {"starts": [0, 0], "trials": [8, 8], "cells": [33, 33], "ablations": [6, 6]}


def test_sounds_left_as_the_mixture_are_counted_and_do_not_move_the_median(made) -> None:
    workdir, plan, _ = made
    entry = gather(workdir, plan.cells)["mpnet-binary-mix2"]
    before = entry.mixtures("mix2")
    assert before["untouched"] == 0
    changed = copy.deepcopy(entry.results)
    changed[0]["lists"]["mix2"]["methods"]["mpnet"]["sar"][3] = 138.5
    changed[0]["lists"]["mix2"]["methods"]["mpnet"]["sar"][4] = None
    after = dataclasses.replace(entry, results=changed).mixtures("mix2")
    assert after["untouched"] == 1
    assert after["sar_median"] == pytest.approx(before["sar_median"], abs=0.1)


def test_what_is_so_holds_and_what_is_not_does_not(made) -> None:
    _, _, found = made
    lines = found["observations"]
    claims = {line["claim"] for line in lines}
    for part in ("MP-Net separates better than M-Net", "M-Net separates better than Pix", "PixelPlayer separates bet"):
        assert any(part in claim for claim in claims)
    assert all(line["verdict"] == "holds" for line in lines if "in SIR" in line["claim"])
    assert {line["verdict"] for line in lines} == {"holds"}
    assert sum("harder" in line["claim"] for line in lines) == 4
    assert not any("round one" in line["where"] for line in lines)
    assert sum("loses less" in line["claim"] for line in lines) == 2 * 3
    assert sum("over 90 %" in line["claim"] for line in lines) == 2 * 3
    # NSDR everywhere; SIR, SAR and AMID where the paper's table on MUSIC has that order.
    better = Counter(line["claim"][-5:].strip("( )") for line in lines if "separates better" in line["claim"])
    assert better == {"NSDR": 9, "SIR": 9, "SAR": 8, "AMID": 7}
    counts = [line["difference"]["ci95"][1] for line in lines if "over 90 %" in line["claim"]]
    assert max(counts) <= 0.1 + 1e-9  # a share is at most 1


def test_verdicts() -> None:
    intervals = ([0.1, 2.0], [-2.0, -0.1], [-0.1, 0.1], [0.0, 1.0])
    assert {verdict({"ci95": interval, "seeds": 1}) for interval in intervals} == {"undecided"}
    assert [verdict({"ci95": interval, "seeds": 2}) for interval in intervals] == [
        "holds",
        "does not hold",
        "undecided",
        "undecided",
    ]


def test_a_difference_is_of_one_seed_and_mixture(made) -> None:
    workdir, plan, found = made
    rows = gather(workdir, plan.cells)
    first, second = rows["mpnet-ratio-mix3"], rows["pixelplayer-ratio-mix3"]
    values = [
        np.mean(first.samples("mix3", "nsdr")[seed].values - second.samples("mix3", "nsdr")[seed].values)
        for seed in (0, 1, 2)
    ]
    pair = found["differences"]["ratio-mix3"]["mpnet - pixelplayer"]
    assert pair["nsdr"]["mean"] == pytest.approx(np.mean(values), abs=1e-12)
    assert "pixelplayer - miml" in found["differences"]["ratio-mix3"]


def test_ablations_are_set_against_no_change(made) -> None:
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
    assert "| original (3 seeds) \N{MINUS SIGN} default |" in markdown(found, [])
    assert "original (3 seeds) \N{MINUS SIGN} default, mix3" in grid_page(found)


def test_an_ablation_whose_other_seeds_are_missing_has_its_first_row_alone(made, tmp_path: Path) -> None:
    workdir, plan, _ = made
    shutil.copytree(workdir / "ablations", tmp_path / "ablations")
    for seed in (1, 2):
        (tmp_path / "ablations" / f"original-ratio-mix2-seed{seed}.json").unlink()
    alone = results(tmp_path, dataclasses.replace(plan, starts=(), trials=(), cells=()))["ablations"]
    assert [row["name"] for row in alone] == ["default", "original", "default (3 seeds)"]


def test_an_ablation_that_failed_with_its_first_seed_has_what_the_others_found(made, tmp_path: Path) -> None:
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


def test_ablations_say_what_mp_net_gains_over_its_own_m_net(made) -> None:
    workdir, plan, found = made
    firsts = [cell for cell in plan.ablations if cell.seed == 0]
    for cell, row in zip(firsts, found["ablations"], strict=False):
        of = cell_files.read(workdir, cell)["lists"]["mix2"]["methods"]
        mean = np.mean(np.subtract(of["mpnet"]["nsdr"], of["mnet"]["nsdr"]))
        assert row["over_round_one"]["mix2"]["nsdr"]["mean"] == pytest.approx(mean, abs=1e-12)
    head = "| MP-Net \N{MINUS SIGN} M-Net of round one | at steps | mix2 NSDR | mix2 SIR | mix2 SAR | mix2 AMID |"
    lines = markdown(found, []).splitlines()
    assert sum(line.startswith(head) for line in lines) == 1
    assert sum(line.startswith("| default | 30 \N{MINUS SIGN} 20 | ") for line in lines) == 1


def test_markdown_keeps_published_numbers_apart(made) -> None:
    _, _, found = made
    page = markdown(found, ["figures/trained_on_2.png"])
    ours, _, rest = page.partition("## Published")
    assert "not comparable" in rest.splitlines()[0]
    assert "| MP-Net | ratio | 7.00 | 10.39 | 15.31 | 13.36 | 5.75 |" in rest and "15.31" not in ours
    heads = (
        "| method | mask | mix-2 seeds | mix-2 NSDR | mix-2 SIR | mix-2 SAR | mix-2 AMID | mix-3 seeds | mix-3 NSDR |"
    )
    assert heads in ours
    assert "![figures/trained_on_2.png](figures/trained_on_2.png)" in ours
    for part in ("far set", "What the paper observed", "Ablations", "Learning rates", "Count of the sounds"):
        assert f"{part}" in ours
    for line in page.splitlines():
        if line.startswith("|"):
            assert "nan" not in line.lower() and "None" not in line


def test_tables_say_what_makes_them_honest(made) -> None:
    _, _, found = made
    page = markdown(found, [])
    lines = page.splitlines()
    test, far = (page.index(f"## {head}") for head in ("Separation", "The same on the far set"))
    assert test < page.index("MIML's class network learns from the labels") < far
    assert any("PixelPlayer separates better than MIML (NSDR)" in line for line in lines)
    for part in (page[test:far], page[far:]):
        assert "| Mixture |  |  | 0.00 | -1.00 [-1.00, -1.00] |  | -1.00 [-1.00, -1.00] |  | 0.00 | -1.00 " in part
        assert "| Oracle masks | binary |  | 20.00 [20.00, 20.00] | " in part
    assert not any("than MIML, told" in line for line in lines)  # an upper bound is no method of the paper's
    assert any(line.startswith("| MIML, told the classes | none | 3 | ") for line in lines)
    # Three seeds of twelve mixtures, of each one silent; the far set is the same here.
    row = "| MIML | none | mix-3 | 36 | 3 silent estimate | 0 | {} | 36 | 3 silent estimate | 0 | {} |"
    medians = [found["entries"]["miml-none-mix3"]["mixtures"][part]["sar_median"] for part in ("test", "far")]
    assert row.format(*(f"{median:.2f}" for median in medians)) in lines
    assert {"NSDR", "oracle", "AMID", "BSS Eval", "MIML", "intervals"} <= set(found["definitions"])
    assert "Student's t" in found["definitions"]["intervals"]


def test_rates_that_are_edges_or_not_yet_tried(made) -> None:
    _, plan, found = made
    rates = {"miml": {"0.001": None, "0.003": 2.0}, "mnet": {"0.001": 4.0}}
    page = markdown(found | {"rates": rates, "rates_at_edge": {"miml": "highest"}}, [])
    assert "| MIML | failed | **2.00** | highest |" in page and "| M-Net | **4.00** |  |  |" in page
    assert "highest" in grid_page(found | {"rates": rates, "rates_at_edge": {"miml": "highest"}})
    assert at_edge(plan, rates) == {"miml": "highest"}  # the M-Net's other rate may be better
    three = dataclasses.replace(plan, trials=(*plan.trials, dataclasses.replace(plan.trials[0], rate=1e-2)))
    assert at_edge(three, {"miml": {"0.001": 1.0, "0.003": 2.0, "0.01": 0.0}}) == {}
    assert at_edge(three, {"miml": {"0.001": 3.0, "0.003": 2.0, "0.01": 0.0}}) == {"miml": "lowest"}


def test_a_mean_outside_its_interval_is_drawn() -> None:
    values = {"nsdr": {"mean": 2.0, "ci95": [2.5, 3.0]}}
    entry = {"method": "mnet", "mask": "ratio", "sources": 2, "mixes": {"2": values, "3": values}}
    assert draw({"mnet-ratio-mix2": entry})["trained_on_2.png"].startswith(b"\x89PNG")


def test_writes_numbers_pictures_and_a_whole_page(made) -> None:
    workdir, plan, _ = made
    assert write_outputs(workdir, plan) == workdir / "results.html"
    assert {path.name for path in (workdir / "figures").iterdir()} == {"trained_on_2.png", "trained_on_3.png"}
    assert json.loads((workdir / "results.json").read_text())["observations"]
    page = Structure((workdir / "results.html").read_text())
    words = " ".join(page.words)
    for part in (
        "What the paper observed",
        "Paired differences",
        "Trained on mixtures of 3",
        "Counting",
        "Localisation",
        "Ablations",
    ):
        assert part in words
    assert not any(attributes.get("src", "").startswith("http") for _, attributes in page.tags)


@pytest.mark.parametrize("pattern", ["trials/*", "pixelplayer-binary-mix2-seed1", "ablations/*"])
def test_says_what_little_there_is(tmp_path: Path, pattern: str) -> None:
    workdir = tmp_path / "comparison"
    config, plan = grid_of(workdir)
    for cell in plan.matching(pattern):
        finish(workdir, config, cell)
    assert compare(config, workdir, given=[], report_only=True, only="mpnet-ratio-mix2-seed0") == 0
    found = json.loads((workdir / "results.json").read_text())
    assert found["observations"] == [] and found["differences"] == {}
    assert "## Published" in (workdir / "results.md").read_text()


def test_nothing_to_report_is_one_sentence(tmp_path: Path) -> None:
    workdir = tmp_path / "comparison"
    config, _ = grid_of(workdir)
    with pytest.raises(InputError, match="has no finished cell of this config's grid; make some first"):
        compare(config, workdir, given=[], report_only=True, only="mpnet-*")
    assert not workdir.exists()


def test_a_spoiled_cell_is_named(tmp_path: Path) -> None:
    workdir = tmp_path / "comparison"
    _, plan = grid_of(workdir)
    path = workdir / f"{plan.cells[0].path}.json"
    path.parent.mkdir(parents=True)
    path.write_text("{")
    with pytest.raises(InputError, match=r"miml-none-mix2-seed0\.json cannot be read as JSON .*; delete it"):
        results(workdir, plan)


def test_the_published_numbers_are_whole() -> None:
    assert len(published.MUSIC) == 7
    assert all(len(numbers) == 4 for found in published.MUSIC.values() for numbers in found)
