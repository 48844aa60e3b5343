import copy
import html
import json
import os
import subprocess
import sys

import pytest

from data_pipeline.command import InputError
from mpnet_jax.report.side_by_side import write_comparison
from tests.report.test_runs import shifted
from tests.support.report_structure import Structure, read


def words_of(index):
    return " ".join(" ".join(read(index).words).split())


def test_two_runs(make_run, rich_summary, tmp_path):
    folders = [make_run("a", rich_summary), make_run("b", shifted(rich_summary, 0.5, seed=7))]
    index = write_comparison(folders, tmp_path / "runs" / "comparison")
    assert sorted(entry.name for entry in index.parent.iterdir()) == ["comparison.json", "index.html"]
    found = read(index)
    sections = [tag["id"] for tag in found.all("h2") if "id" in tag]
    assert sections == ["numbers", "differences", "mixtures", "robustness", "counting", "localisation", "made"]
    links = {tag["href"] for tag in found.all("a") if not tag["href"].startswith("#")}
    assert links == {"../a/report/index.html", "../b/report/index.html"}
    assert all((index.parent / link).is_file() for link in links)
    words = words_of(index)
    assert "b \N{MINUS SIGN} a" in words and "first better" in words and "equal starts are assumed" in words
    assert "NSDR of b minus a" in words and "M-Net" in words
    assert len(found.all("img")) == 0 and index.stat().st_size < 1_000_000
    numbers = json.loads((index.parent / "comparison.json").read_text())
    assert [run["name"] for run in numbers["runs"]] == ["a", "b"]
    assert numbers["runs"][1]["run"]["seed"] == 7
    assert numbers["pairs"][0]["differences"]["nsdr"]["mean"] == pytest.approx(0.5)
    assert numbers["runs"][0]["mixes"] == rich_summary["mixes"]


def test_runs_of_other_mixtures_have_no_difference(make_run, rich_summary, tmp_path):
    other = copy.deepcopy(rich_summary)
    other["mixtures"].pop()
    folders = [make_run("a", rich_summary, report=False), make_run("b", rich_summary), make_run("c", other)]
    index = write_comparison(folders, tmp_path / "out")
    words = words_of(index)
    assert "b \N{MINUS SIGN} a" in words
    assert "c and a: not the same mixtures: no paired difference" in words
    assert "Mixture by mixture" not in words and "3 runs compared" in words
    pairs = json.loads((index.parent / "comparison.json").read_text())["pairs"]
    assert [bool(pair["differences"]) for pair in pairs] == [True, False, False]
    assert "../a/report" not in index.read_text() and "Only the main method of each run is drawn" in words


def test_strange_names_are_text(make_run, rich_summary, tmp_path):
    evil = "<img src=x onerror=alert(1)>&\"'"
    strange = copy.deepcopy(rich_summary)
    strange["run"] = {key: evil for key in ("config", "method", "commit", "machine", "split", "command", "steps")}
    strange["methods"] = {evil: strange["methods"]["mnet"]}
    strange["mixtures"][0] |= {"classes": [evil], "video_ids": [evil]}
    strange["definitions"] = {evil: evil, "lone": "\ud800"}
    strange["mixes"]["2"][evil] = strange["mixes"]["3"][evil] = strange["mixes"]["2"]["mnet"]
    folders = [make_run(name, strange) for name in (evil, "javascript:alert(1)", os.fsdecode(b"not-\xff-utf8"))]
    index = write_comparison(folders, tmp_path / "runs" / "comparison")
    source = index.read_text("utf-8")
    found = Structure(source)
    assert evil not in source and html.escape(evil) in source
    assert not found.all("img") and len(found.all("script")) == 1
    links = {tag["href"] for tag in found.all("a") if not tag["href"].startswith("#")}
    assert len(links) == 3 and all(link.startswith("../") and ":" not in link for link in links)


@pytest.mark.parametrize(
    "results",
    [
        {},
        {"nsdr": {"mean": float("nan")}, "run": None, "methods": None, "mixtures": {}, "mixes": []},
        {"run": {"steps": "many", "seed": [1]}, "counting": [], "localisation": {}, "definitions": 3},
        {
            "methods": {"mpnet": 3, "mnet": {"nsdr": 3, "sdr": {"mean": "x"}}},
            "mixtures": [{"video_ids": [], "nsdr": {}}],
        },
        {"mixtures": [{"video_ids": ["a"], "nsdr": "x", "classes": 3}], "mixes": {"2": {"mpnet": {"nsdr": 1}}}},
    ],
)
def test_missing_and_spoiled_parts_leave_gaps(make_run, results, tmp_path):
    index = write_comparison([make_run("a", results), make_run("b", results)], tmp_path / "out")
    read(index)
    json.loads((index.parent / "comparison.json").read_text(), parse_constant=pytest.fail)


def test_only_a_comparison_is_replaced(make_run, summary, tmp_path):
    folders = [make_run("a", summary), make_run("b", summary)]
    before = sorted(path for path in tmp_path.rglob("*"))
    for out, held in [(tmp_path / "runs", "a"), (tmp_path / "runs" / "a", "metrics.json")]:
        with pytest.raises(InputError, match=f"holds '{held}', which no report does"):
            write_comparison(folders, out)
    assert sorted(path for path in tmp_path.rglob("*")) == before
    out = tmp_path / "new" / "comparison"
    assert write_comparison(folders, out) == write_comparison(folders[::-1], out)
    assert json.loads((out / "comparison.json").read_text())["runs"][0]["name"] == "b"


def command(*arguments):
    call = [sys.executable, "-m", "mpnet_jax.report", *arguments]
    return subprocess.run(call, capture_output=True, text=True, timeout=120)


@pytest.mark.e2e
def test_the_command(make_run, summary, tmp_path):
    a, b = make_run("a", summary), make_run("b", summary)
    done = command(f"--runs={a},{b}", f"--out={tmp_path / 'out'}")
    assert done.returncode == 0, done.stderr
    assert f"report:  {tmp_path / 'out' / 'index.html'}" in done.stdout
    failed = command(f"--runs={a},{tmp_path}", f"--out={tmp_path / 'out'}")
    assert failed.returncode == 2
    assert failed.stderr.startswith(f"error: {tmp_path}/metrics.json does not exist; ")
    assert failed.stderr.count("\n") == 1
