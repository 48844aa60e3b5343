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
from mpnet_jax.comparison.cells import Grid
from tests.support import forked
from tests.support.stand_ins import ROOT, grid_config

STAND_INS = ROOT / "tests/support/stand_ins.py"
MNET, MPNET = "mnet-ratio-mix2-seed0", "mpnet-ratio-mix2-seed0"


def start(workdir: Path, *flags: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(STAND_INS), "compare", f"--workdir={workdir}", *flags],
        env=os.environ | environment,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run(workdir: Path, *flags: str, **environment: str) -> tuple[int, str]:
    return forked.run(STAND_INS, ["compare", f"--workdir={workdir}", *flags], environment)


def journal(workdir: Path, words: str) -> list[str]:
    path = workdir.parent / "journal"
    lines = path.read_text().splitlines() if path.is_file() else []
    return [line.removeprefix(words).strip() for line in lines if line.startswith(words)]


def finished(workdir: Path) -> dict[str, int]:
    """Returns {path of a cell: time of the last change of its file}."""
    found = [path for kind in ("cells", "ablations") for path in (workdir / kind).glob("*.json")]
    return {str(path.relative_to(workdir).with_suffix("")): path.stat().st_mtime_ns for path in found}


def planned(workdir: Path) -> set[str]:
    return {cell.path for cell in Grid(grid_config(workdir))}


def wait_for(what, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 200
    while not what():
        if time.monotonic() > deadline:
            process.kill()
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.02)


@pytest.fixture
def workdir(tmp_path: Path) -> Path:
    return tmp_path / "comparison"


def test_every_cell_is_made_once_and_begins_with_its_partner(workdir: Path) -> None:
    status, output = run(workdir)
    assert status == 0, output
    count = len(planned(workdir))
    assert finished(workdir).keys() == planned(workdir) and f"{count} of {count} cells" in output
    trained = journal(workdir, "ends train")
    assert trained[:2] == [MNET, MPNET]
    cell = json.loads((workdir / f"cells/{MPNET}.json").read_text())
    assert cell["start"] == {"path": f"cells/{MNET}", "networks": f"networks of {MNET}"}
    assert f"--config.start_from={workdir}/runs/{MNET}" in cell["commands"][0]
    # A second call makes nothing.
    before = finished(workdir)
    assert run(workdir)[0] == 0
    assert finished(workdir) == before and journal(workdir, "ends train") == trained


def test_the_content_of_a_cell(workdir: Path) -> None:
    assert run(workdir, "--only=cells/mpnet-ratio-mix2-seed1")[0] == 0
    # Only the cells of the pattern, and those that they begin with.
    assert finished(workdir).keys() == {"cells/mnet-ratio-mix2-seed1", "cells/mpnet-ratio-mix2-seed1"}
    cell = json.loads((workdir / "cells/mpnet-ratio-mix2-seed1.json").read_text())
    assert cell["cell"] == {"kind": "cells", "method": "mpnet", "mask": "ratio", "sources": 2, "seed": 1, "change": ""}
    train, evaluate = cell["commands"]
    assert " train --config=stand_in.py --workdir=" in train and "--config.rounds.plus=5" in train
    assert evaluate.endswith("--mix=2,3 --far --counting --localisation")
    # The commits of training and evaluation differ.
    assert [(of["step"], of["commit"]) for of in cell["trained"]] == [(1, "t")] and cell["made"]["commit"] == "c"
    assert set(cell["lists"]) == {"mix2", "mix3", "far_mix2", "counting", "places, one player"}
    rows, values = cell["lists"]["mix3"]["rows"], cell["lists"]["mix3"]["methods"]
    assert [cell["videos"][place] for place in rows[0]] == ["v0", "v3", "v6"]
    assert list(values) == ["mpnet"] and len(values["mpnet"]["nsdr"]) == len(rows)


@pytest.mark.parametrize("moment", ["train", "evaluate"])
def test_a_kill_loses_nothing_and_repeats_no_finished_cell(workdir: Path, moment: str) -> None:
    last = f"{moment} pixelplayer-ratio-mix2-seed0"
    process = start(workdir, SLOW=last)
    wait_for(lambda: journal(workdir, f"begins {last}") == [""], process)
    process.kill()
    process.communicate()
    before = finished(workdir)
    assert before
    status, output = run(workdir)
    assert status == 0, output
    after = finished(workdir)
    assert after.keys() == planned(workdir)
    assert {path: after[path] for path in before} == before
    # The program of the killed process saved and ended before it was started again.
    lines = [line for line in (workdir.parent / "journal").read_text().splitlines() if line.endswith(last)]
    assert [line.split()[0] for line in lines] == ["begins", "stopped", "begins", "ends"]


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_request_to_stop_is_passed_on(workdir: Path, processes: str) -> None:
    process = start(workdir, f"--processes={processes}", NAP="200")
    wait_for(lambda: len(journal(workdir, "begins train")) == int(processes), process)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=100)
    assert process.returncode == 128 + signal.SIGTERM
    assert "SIGTERM: stopped; the same command resumes where this one stopped" in output
    # No other cell is begun.
    assert len(journal(workdir, "stopped train")) == len(list((workdir / "logs/cells").iterdir())) == int(processes)
    assert finished(workdir) == {}


def test_a_pool_makes_every_cell_once_each_on_a_core(workdir: Path) -> None:
    status, output = run(workdir, "--processes=2", "--only=cells/*-seed0")
    assert status == 0, output
    assert finished(workdir).keys() == {path for path in planned(workdir) if "cells/" in path and "seed0" in path}
    assert len(journal(workdir, "ends evaluate")) == 3
    if sys.platform.startswith("linux"):
        assert set(journal(workdir, "cores")) == {"1"}


def test_shares_are_disjoint_and_complete(workdir: Path) -> None:
    made = []
    for share in ("0/2", "1/2"):
        before = finished(workdir)
        assert run(workdir, f"--cells={share}")[0] == 0
        made.append(finished(workdir).keys() - before.keys())
    assert set.union(*made) == planned(workdir) and sum(map(len, made)) == len(planned(workdir))
    # A cell and those that begin with its networks are in one share.
    for cells in made:
        assert all((f"cells/mnet-{path[12:]}" in cells) for path in cells if path.startswith("cells/mpnet-"))


def test_processes_of_one_machine_make_different_cells(workdir: Path) -> None:
    processes = [start(workdir, NAP="0.1") for _ in range(3)]
    outputs = [process.communicate(timeout=200)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], outputs
    assert finished(workdir).keys() == planned(workdir)
    assert len(journal(workdir, "ends evaluate")) == len(planned(workdir))
    assert sum(": finished" in output for output in outputs) > 1


def test_a_cell_that_fails_leaves_the_others(workdir: Path) -> None:
    status, output = run(workdir, CRASH="pixelplayer")
    assert status == 1
    log = workdir / "logs/cells/pixelplayer-ratio-mix2-seed0.log"
    assert f"cells/pixelplayer-ratio-mix2-seed0 failed with status 2; the end of {log} says why" in output
    assert "error: out of memory" in log.read_text()
    assert finished(workdir).keys() == {path for path in planned(workdir) if "pixelplayer" not in path}
    assert run(workdir)[0] == 0
    assert finished(workdir).keys() == planned(workdir)


def test_nothing_begins_with_a_cell_that_failed(workdir: Path) -> None:
    status, output = run(workdir, "--only=cells/*", CRASH=MNET)
    assert status == 1
    assert f"cells/{MPNET} cannot be made without cells/{MNET}, which failed" in output
    assert {path[-1] for path in finished(workdir) if "pixelplayer" not in path} == {"1"}


def test_a_cell_whose_partner_has_no_networks_left_fails(workdir: Path) -> None:
    assert run(workdir, f"--only=cells/{MNET}")[0] == 0
    (workdir / f"runs/{MNET}/checkpoints").rmdir()
    status, _ = run(workdir, f"--only=cells/{MPNET}")
    assert status == 1 and list(finished(workdir)) == [f"cells/{MNET}"]
    assert "is no workdir of a run" in (workdir / f"logs/cells/{MPNET}.log").read_text()


def test_other_data_and_mixtures_are_refused(workdir: Path) -> None:
    assert run(workdir, "--only=pixelplayer-ratio-mix2-seed0")[0] == 0
    status, output = run(workdir, "--only=cells/*", SHA="other")
    assert status == 1
    # A cell that does not match does not stop the others.
    for name in ("pixelplayer-ratio-mix2-seed1", MNET):
        assert f"cells/{name} was evaluated on another list " in output
    assert list(finished(workdir)) == ["cells/pixelplayer-ratio-mix2-seed0"]
    status, output = run(workdir, "--only=cells/*", DATA="other")
    assert status == 1 and f"cells/{MNET} was trained on other records of rendered than " in output
    assert list(finished(workdir)) == ["cells/pixelplayer-ratio-mix2-seed0"]


def refused(workdir: Path, **fields: object) -> str:
    """Returns why a comparison with changed fields is refused."""
    config = grid_config(workdir)
    config.update_from_flattened_dict({name.replace("__", "."): value for name, value in fields.items()})
    with pytest.raises(InputError) as error:
        compare(config, workdir, given=[])
    return str(error.value)


def test_files_of_other_settings_are_refused(workdir: Path) -> None:
    assert run(workdir, "--only=*seed0")[0] == 0
    assert "was made with config.batch_size=80, and would be made with 8 now" in refused(workdir, batch_size=8)
    assert "was made with config.evaluation.floor_dbfs=-40.0" in refused(workdir, evaluation__floor_dbfs=-50.0)
    assert "was made with config.mixing.truth='magnitude'" in refused(workdir, mixing__truth="phase_sensitive")
    # A method's numbers depend on no other method's settings, and an M-Net's on none of the Plus-Net's.
    assert "cells/mpnet-ratio-mix2-seed0.json was made with config.loss.plus=" in refused(workdir, loss__plus="sum")
    assert "cells/mpnet-ratio-mix2-seed0.json was made with config.optimiser.round_scale.both=1.0" in refused(
        workdir, optimiser__round_scale__both=0.5
    )
    config = grid_config(workdir)
    config.miml.bases, config.evaluation.batch_size = 7, 3
    assert compare(config, workdir, given=[], only="*seed0") == 0
    # No number of an ablation depends on fields of the test split.
    for path in (workdir / "cells").glob("*.json"):
        path.unlink()
    config.evaluation.counting.clips = 5
    assert compare(config, workdir, given=[], only="ablations/*") == 0


def test_a_partner_that_was_made_again_is_refused(workdir: Path) -> None:
    assert run(workdir, f"--only=cells/{MPNET}")[0] == 0
    path = workdir / f"cells/{MNET}.json"
    path.write_text(path.read_text().replace("networks of", "other networks of"))
    assert f"cells/{MPNET}.json began with other networks than those of cells/{MNET}" in refused(workdir)


def test_bad_input_is_one_sentence(workdir: Path) -> None:
    (workdir.parent / "rendered").mkdir(parents=True, exist_ok=True)
    assert "nowhere (config.evaluation.far.name); prepare it" in refused(workdir, evaluation__far__name="nowhere")
    changes = ("mpnet a: recursion.mask_on=half",)
    assert "config.recursion.mask_on='half' is unknown" in refused(workdir, compare__ablations__changes=changes)
    for share in ("1", "2/2", "-1/2", "a/b", "0/0"):
        with pytest.raises(InputError, match="must be i/n, with i from 0 to n - 1, such as 0/4"):
            compare(grid_config(workdir), workdir, given=[], share=share)
