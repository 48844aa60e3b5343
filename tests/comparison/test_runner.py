"""Tests of a comparison with stand-ins for training and evaluation."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from data_pipeline.command import InputError
from mpnet_jax.compare import compare
from mpnet_jax.comparison import cells
from mpnet_jax.config import check as config_module
from tests.support.stand_ins import ROOT, grid_config

STAND_INS = ROOT / "tests/support/stand_ins.py"


def start(workdir: Path, *rest: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(STAND_INS), "compare", str(workdir), *rest],
        env=os.environ | environment,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run(workdir: Path, *rest: str, **environment: str) -> tuple[int, str]:
    process = start(workdir, *rest, **environment)
    output, _ = process.communicate(timeout=120)
    return process.returncode, output


def journal(workdir: Path, words: str) -> list[str]:
    path = workdir.parent / "journal"
    lines = path.read_text().splitlines() if path.is_file() else []
    return [line.removeprefix(words).strip() for line in lines if line.startswith(words)]


def results(workdir: Path) -> dict[str, int]:
    """Returns {path of a result: time of its last change}."""
    found = [path for kind in cells.KINDS for path in (workdir / kind).glob("*.json")]
    return {str(path.relative_to(workdir).with_suffix("")): path.stat().st_mtime_ns for path in found}


def planned(workdir: Path) -> set[str]:
    return {cell.path for cell in cells.plan(grid_config(workdir))}


def wait_for(what, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not what():
        assert time.monotonic() < deadline and process.poll() is None, process.communicate()[0]
        time.sleep(0.02)


@pytest.fixture
def workdir(tmp_path: Path) -> Path:
    return tmp_path / "comparison"


def test_every_cell_is_made_once(workdir: Path) -> None:
    status, output = run(workdir)
    assert status == 0, output
    assert results(workdir).keys() == planned(workdir)
    assert "all there" in output and f"[{len(planned(workdir))}/{len(planned(workdir))}]" in output
    # The best trial of each method shares its run with the cell of its setting and the default ablation.
    trained = journal(workdir, "ends train")
    assert trained.count("mpnet-ratio-mix2-seed0-rate0.001") == 3
    assert len(set(trained)) == 2 * 2 + 2 + 1
    before = results(workdir)
    status, output = run(workdir)
    assert (status, output.splitlines()[0]) == (0, f"numbers: {workdir / 'results.json'}")
    assert results(workdir) == before and journal(workdir, "ends train") == trained


def test_the_content_of_a_cell(workdir: Path) -> None:
    assert run(workdir, "cells/mpnet-ratio-mix2-seed1")[0] == 0
    cell = json.loads((workdir / "cells/mpnet-ratio-mix2-seed1.json").read_text())
    assert cell["cell"] == {"kind": "cells", "method": "mpnet", "mask": "ratio", "sources": 2, "seed": 1}
    assert cell["learning_rate"] == {
        "rate": 0.001,
        "reason": "best validation score of mpnet at ratio-mix2, seed 0",
        "scores": {"0.001": 9.0, "0.003": 7.0},
    }
    train, evaluate = cell["made"]["commands"]
    assert " train --config=stand_in.py --workdir=" in train and "--config.optimiser.learning_rate=0.001" in train
    assert evaluate.endswith("--mix=2,3 --far --counting --localisation")
    # The commits of training and evaluation differ.
    assert [(of["step"], of["commit"]) for of in cell["trained"]] == [(1, "t")] and cell["made"]["commit"] == "c"
    trial = json.loads((workdir / "trials/mpnet-ratio-mix2-seed0-rate0.001.json").read_text())
    assert trial["trained"] == cell["trained"]
    assert set(cell["lists"]) == {"mix2", "mix3", "far_mix2", "counting", "places, one player"}
    rows, values = cell["lists"]["mix3"]["rows"], cell["lists"]["mix3"]["methods"]
    assert [cell["videos"][place] for place in rows[0]] == ["v0", "v3", "v6"]
    assert list(values) == ["mnet", "mpnet"] and len(values["mpnet"]["nsdr"]) == len(rows)
    # Only the cells of the pattern and their trials.
    assert len(results(workdir)) == 1 + 2


@pytest.mark.parametrize("moment", ["train", "evaluate"])
def test_a_kill_loses_nothing_and_repeats_no_finished_cell(workdir: Path, moment: str) -> None:
    last = f"{moment} pixelplayer-ratio-mix2-seed1-rate0.001"
    process = start(workdir, SLOW=last)
    wait_for(lambda: journal(workdir, f"begins {last}") == [""], process)
    process.kill()
    process.communicate()
    before = results(workdir)
    assert len(before) == 4 + 2 + 1
    status, output = run(workdir)
    assert status == 0, output
    after = results(workdir)
    assert after.keys() == planned(workdir)
    assert {path: after[path] for path in before} == before
    # The program of the killed process was asked to save and exited before it was started again.
    lines = [line for line in (workdir.parent / "journal").read_text().splitlines() if line.endswith(last)]
    wanted = ["begins", "stopped", "begins", "ends"]
    assert [line.split()[0] for line in lines] == wanted


def test_a_request_to_stop_is_passed_on(workdir: Path) -> None:
    process = start(workdir, NAP="30")
    wait_for(lambda: journal(workdir, "begins train"), process)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 128 + signal.SIGTERM
    assert "SIGTERM: stopped; the same command resumes where this one stopped" in output
    assert len(journal(workdir, "stopped train")) == 1
    assert len(list((workdir / "logs" / "trials").iterdir())) == 1  # no other cell is begun
    assert results(workdir) == {}
    assert run(workdir, "trials/*")[0] == 0


def test_processes_share_the_work(workdir: Path) -> None:
    workdir.parent.mkdir(exist_ok=True)
    processes = [start(workdir, NAP="0.1") for _ in range(3)]
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], outputs
    assert results(workdir).keys() == planned(workdir)
    evaluated = journal(workdir, "ends evaluate")
    # Once for each cell; the ablation's default and its cell are two evaluations of one run.
    plan = cells.plan(grid_config(workdir))
    assert len(evaluated) == len(plan.cells) + len(plan.ablations)
    assert sum("[" in output for output in outputs) > 1


def test_a_cell_that_fails_leaves_the_others(workdir: Path) -> None:
    status, output = run(workdir, CRASH="pixelplayer")
    assert status == 1
    assert "trials/pixelplayer-ratio-mix2-seed0-rate0.001 failed with status 2: error: out of memory" in output
    assert results(workdir).keys() == {path for path in planned(workdir) if "pixelplayer" not in path}
    assert run(workdir)[0] == 0
    assert results(workdir).keys() == planned(workdir)


def test_a_rate_at_which_training_fails_is_a_result(workdir: Path) -> None:
    assert run(workdir, "mpnet-*", DIVERGE="0.001")[0] == 0
    trial = json.loads((workdir / "trials/mpnet-ratio-mix2-seed0-rate0.001.json").read_text())
    assert trial["score"] is None
    cell = json.loads((workdir / "cells/mpnet-ratio-mix2-seed0.json").read_text())
    assert cell["learning_rate"]["rate"] == 0.003


def test_a_method_that_learns_at_no_rate_leaves_the_others(workdir: Path) -> None:
    assert run(workdir, "trials/*")[0] == 0
    for path in (workdir / "trials").glob("pixelplayer-*.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"score": None}))
    status, output = run(workdir)
    assert status == 1
    assert "pixelplayer learns at none of config.compare.rates.tried=(0.001, 0.003); give lower ones" in output
    assert {path for path in planned(workdir) - results(workdir).keys()} == {
        f"cells/pixelplayer-ratio-mix2-seed{seed}" for seed in (0, 1)
    }


def test_tables_that_cannot_be_written_stop_no_cell(workdir: Path) -> None:
    (workdir / "results.md").mkdir(parents=True)
    (workdir / "config.json").write_text(json.dumps(config_module.flatten(grid_config(workdir))))
    status, output = run(workdir, "mpnet-*")
    assert "the tables could not be written; the comparison continues" in output
    assert {path for path in planned(workdir) if "/mpnet-" in path} <= results(workdir).keys()
    assert status != 0


def test_other_mixtures_are_refused(workdir: Path) -> None:
    assert run(workdir, "pixelplayer-ratio-mix2-seed0")[0] == 0
    status, output = run(workdir, "cells/*", SHA="other")
    assert status == 1
    # A cell that does not match does not stop the others.
    for name in ("pixelplayer-ratio-mix2-seed1", "mpnet-ratio-mix2-seed0"):
        assert f"cells/{name} was evaluated on another list " in output
        assert name not in " ".join(path for path in results(workdir) if path.startswith("cells"))


def test_other_data_fail_before_they_are_evaluated(workdir: Path) -> None:
    assert run(workdir, "pixelplayer-ratio-mix2-seed0")[0] == 0
    trial = json.loads((workdir / "trials/pixelplayer-ratio-mix2-seed0-rate0.001.json").read_text())
    assert trial["data"] == {"name": "rendered", "sha256": "renderedd"}
    status, output = run(workdir, DATA="other")
    assert status == 1
    assert "cells/pixelplayer-ratio-mix2-seed1 was trained on other records of rendered than " in output
    assert "trials/mpnet-ratio-mix2-seed0-rate0.003 was trained on other records" in output
    assert journal(workdir, "begins evaluate") == ["pixelplayer-ratio-mix2-seed0-rate0.001"]


def test_a_begun_run_is_used_before_another_is_trained(workdir: Path) -> None:
    assert run(workdir)[0] == 0
    made = sorted(results(workdir), key=lambda path: results(workdir)[path])
    assert made[:7] == [
        "trials/pixelplayer-ratio-mix2-seed0-rate0.001",
        "trials/pixelplayer-ratio-mix2-seed0-rate0.003",
        "cells/pixelplayer-ratio-mix2-seed0",
        "trials/mpnet-ratio-mix2-seed0-rate0.001",
        "trials/mpnet-ratio-mix2-seed0-rate0.003",
        "cells/mpnet-ratio-mix2-seed0",
        "ablations/default-ratio-mix2-seed0",
    ]


def test_no_cell_is_begun_that_does_not_end_in_time(workdir: Path) -> None:
    status, output = run(workdir, MINUTES="0")
    assert (status, results(workdir)) == (0, {})
    # The first training takes a minute, so the others are expected to do so, too.
    status, output = run(workdir, MINUTES="0.9")
    assert status == 0 and "1 minutes left, too few for any of 3 cells; run the same command again" in output
    assert list(results(workdir)) == ["trials/pixelplayer-ratio-mix2-seed0-rate0.001"]
    # A begun run is resumed.
    (workdir / "runs/mpnet-ratio-mix2-seed0-rate0.003/checkpoints").mkdir(parents=True)
    assert run(workdir, MINUTES="0.9")[0] == 0
    assert set(results(workdir)) == {
        "trials/pixelplayer-ratio-mix2-seed0-rate0.001",
        "trials/mpnet-ratio-mix2-seed0-rate0.003",
    }
    assert run(workdir, MINUTES="60")[0] == 0
    assert results(workdir).keys() == planned(workdir)


def test_files_of_other_settings_are_refused(workdir: Path) -> None:
    assert run(workdir, "ablations/*")[0] == 0
    config = grid_config(workdir)
    config.compare.ablations.changes = ("original: recursion.mask_on=remaining",)
    with pytest.raises(
        InputError, match=r"original-ratio-mix2-seed0\.json was made with config\.recursion\.mask_on='orig"
    ):
        compare(config, workdir, given=[])
    config = grid_config(workdir)
    config.evaluation.batch_size = 3
    config.evaluation.floor_dbfs = -50.0
    with pytest.raises(
        InputError, match=r"was made with config\.evaluation\.floor_dbfs=-40\.0, and would be made with"
    ):
        compare(config, workdir, given=[], report_only=True)
    config = grid_config(workdir)
    config.mixing.truth = "phase_sensitive"
    with pytest.raises(
        InputError, match=r"was made with config\.mixing\.truth='magnitude', and would be made with 'ph"
    ):
        compare(config, workdir, given=[], report_only=True)
    # A method's numbers depend on no other method's settings.
    config = grid_config(workdir)
    config.miml.bases = 7
    assert compare(config, workdir, given=[], report_only=True) == 0
    config.loss.plus = "sum"  # PixelPlayer's files, which come first, have none
    with pytest.raises(
        InputError, match=r"trials/mpnet-ratio-mix2-seed0-rate0\.001\.json was made with config\.loss\.pl"
    ):
        compare(config, workdir, given=[], report_only=True)
    # No number of a trial or an ablation depends on fields of the test split.
    config = grid_config(workdir)
    config.evaluation.counting.clips = 5
    assert compare(config, workdir, given=[], report_only=True) == 0
    # Files of earlier versions without settings are accepted.
    for kind in ("trials", "ablations"):
        for path in (workdir / kind).glob("*.json"):
            cell = json.loads(path.read_text())
            assert cell.pop("settings")["evaluation.seed"] == 1
            path.write_text(json.dumps(cell))
    config.evaluation.floor_dbfs = -50.0
    assert compare(config, workdir, given=[], report_only=True) == 0


def test_a_cell_that_diverges_is_a_result_without_a_score(workdir: Path) -> None:
    assert run(workdir, "*seed1", DIVERGE="mpnet-ratio-mix2-seed1-rate0.001")[0] == 0
    cell = json.loads((workdir / "cells/mpnet-ratio-mix2-seed1.json").read_text())
    assert cell["score"] is None and cell["learning_rate"]["rate"] == 0.001
    trained = journal(workdir, "begins train")
    status, output = run(workdir, "*", DIVERGE="mpnet-ratio-mix2-seed0-rate0.001-original")
    assert status == 0, output
    assert "ablations/original-ratio-mix2-seed0: training failed" in output
    assert (
        journal(workdir, "begins train").count("mpnet-ratio-mix2-seed1-rate0.001")
        == 1
        == trained.count("mpnet-ratio-mix2-seed1-rate0.001")
    )
    text = (workdir / "results.md").read_text()
    assert "| MP-Net | ratio | 1, 1 failed | " in text and "| original (failed) | " in text
    assert "mpnet-ratio-mix2, seed 1" in (workdir / "results.html").read_text()


def test_two_learning_rates_of_one_method_are_refused(workdir: Path) -> None:
    assert run(workdir, "mpnet-ratio-mix2-seed1")[0] == 0
    trial = workdir / "trials/mpnet-ratio-mix2-seed0-rate0.003.json"
    trial.write_text(json.dumps(json.loads(trial.read_text()) | {"score": 100.0}))
    status, output = run(workdir, "mpnet-ratio-mix2-seed0")
    assert status == 2
    assert "cells/mpnet-ratio-mix2-seed1 was made at learning rate 0.001, and config.compare.rates now give" in output


def test_another_comparison_is_refused(workdir: Path) -> None:
    assert run(workdir, "trials/*")[0] == 0
    config = grid_config(workdir)
    config.batch_size = 8
    with pytest.raises(InputError, match=r"was made with config\.batch_size=80, and would be made with 8 now"):
        compare(config, workdir, given=[])
    config = grid_config(workdir)
    config.evaluation.far.name = "nowhere"
    with pytest.raises(InputError, match=r"no data set at .*nowhere \(config\.evaluation\.far\.name\); prepare it"):
        compare(config, workdir, given=[])
    config.compare.ablations.changes = ("a: recursion.mask_on=half",)
    with pytest.raises(InputError, match=r"config\.recursion\.mask_on='half' is unknown"):
        compare(config, workdir, given=[])


def test_runs_that_no_cell_needs_are_pruned(workdir: Path) -> None:
    assert run(workdir, "trials/*", KEEP="no")[0] == 0
    kept = {path.parent.name for path in (workdir / "runs").glob("*/checkpoints")}
    assert kept == {f"{method}-ratio-mix2-seed0-rate0.001" for method in ("pixelplayer", "mpnet")}
    assert run(workdir, KEEP="no")[0] == 0
    assert not list((workdir / "runs").glob("*/checkpoints"))
    assert results(workdir).keys() == planned(workdir)


def test_ablations_have_a_budget(workdir: Path) -> None:
    status, output = run(workdir, "ablations/*", HOURS="0.01")
    assert status == 0, output
    assert [path for path in results(workdir) if path.startswith("ablations")] == ["ablations/default-ratio-mix2-seed0"]
