import copy
import json

import numpy as np
import pytest

from data_pipeline.command import InputError
from mpnet_jax.report.runs import compare, read_runs


def shifted(summary, change, **facts):
    """Returns the same results with `change` dB more for each source."""
    other = copy.deepcopy(summary)
    for row in other["mixtures"]:
        for name in ("nsdr", "sdr", "sir", "sar"):
            row[name] = [None if value is None else value + change for value in row[name]]
        row["amid"] -= change
    other["run"] |= facts
    return other


def pair(make_run, first, second):
    runs = read_runs([make_run("a", first), make_run("b", second)])
    return compare(runs[1], runs[0])


def test_differences_are_paired_by_mixture(make_run, summary):
    found = pair(make_run, summary, shifted(summary, 0.5))
    # One of the four mixtures has a source without NSDR, none lacks an SDR. Equal differences have no spread.
    assert found.differences["nsdr"] == {"mean": pytest.approx(0.5), "ci95": [pytest.approx(0.5)] * 2, "count": 3}
    assert found.differences["sdr"]["count"] == 4
    assert found.differences["amid"]["mean"] == pytest.approx(-0.5)
    assert found.first.name == "b" and not found.starts_checked


@pytest.mark.parametrize("sums", [("x", "x"), ("x", None), (None, "x")])
def test_equal_or_missing_checksums_are_paired(make_run, summary, sums):
    runs = [shifted(summary, 0.0, **({"mixtures_sha256": value} if value else {})) for value in sums]
    found = pair(make_run, *runs)
    assert found.differences
    assert found.starts_checked == (None not in sums)


def test_other_mixtures_are_not_paired(make_run, summary):
    other_sum = shifted(summary, 0.0, mixtures_sha256="y")
    other_video, other_index, fewer = (copy.deepcopy(summary) for _ in range(3))
    other_video["mixtures"][2]["video_ids"] = ["v2", "z"]
    other_index["mixtures"][3]["index"] = 9
    del fewer["mixtures"][-1]
    none = {"nsdr": summary["nsdr"]}
    first = shifted(summary, 0.0, mixtures_sha256="x")
    for place, other in enumerate([other_sum, other_video, other_index, fewer, none]):
        runs = read_runs([make_run(f"{place}/a", first), make_run(f"{place}/b", other)])
        assert not compare(runs[1], runs[0]).differences
    runs = read_runs([make_run("none/a", none), make_run("none/b", none)])
    assert not compare(runs[0], runs[1]).differences


def test_names_are_the_shortest_that_differ(make_run, summary):
    runs = read_runs([make_run(name, summary) for name in ("x/seed0", "y/seed0", "x/seed1")])
    assert [run.name for run in runs] == ["x/seed0", "y/seed0", "x/seed1"]
    assert [run.name for run in read_runs([str(run.folder) for run in runs[1:]])] == ["seed0", "seed1"]


def test_the_main_method(make_run, summary):
    values = summary["nsdr"]
    methods = {"mnet": {"nsdr": values}, "mpnet": {"nsdr": values}}
    unnamed = {"methods": methods | {"other": {}}}
    paths = [
        make_run("a", summary),
        make_run("b", summary | {"methods": methods}),
        make_run("c", unnamed),
        make_run("d", {"nsdr": values, "run": 3, "methods": [], "mixtures": [3, {}, {"video_ids": "ab"}]}),
    ]
    runs = read_runs(paths)
    assert [run.main for run in runs] == ["mpnet", "mpnet", "other", "separated"]
    assert [list(run.methods) for run in runs] == [
        ["mpnet"],
        ["mpnet", "mnet"],
        ["other", "mnet", "mpnet"],
        ["separated"],
    ]
    assert runs[0].methods["mpnet"]["nsdr"] == values
    assert runs[3].mixtures == [] and runs[3].values("nsdr").shape == (0,)
    np.testing.assert_array_equal(runs[0].values("nsdr"), [3.5, np.nan, -3.5, 7.5])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"metrics.json cannot be read as JSON \(Expecting property name"),
        ("\ud800".encode("utf-8", "surrogatepass"), "cannot be read as JSON .*utf-8"),
        ("[" * 100_000, "cannot be read as JSON"),
        (json.dumps([1]), "holds a list where results are expected; evaluate the run again"),
    ],
)
def test_damaged_results_are_one_sentence(make_run, summary, tmp_path, content, message):
    good, bad = make_run("good", summary), make_run("bad", "")
    data = content if isinstance(content, bytes) else content.encode()
    (tmp_path / "runs" / "bad" / "metrics.json").write_bytes(data)
    with pytest.raises(InputError, match=message) as error:
        read_runs([good, bad])
    assert "\n" not in str(error.value)


def test_runs_that_cannot_be_compared(make_run, summary, tmp_path):
    good = make_run("good", summary)
    for folders, message in [
        ([], "--runs= names fewer than two runs"),
        ([good], "good names fewer than two runs"),
        ([good, f"{good}/../good"], "twice; give each run once"),
        ([good, str(tmp_path / "none")], "none/metrics.json does not exist"),
    ]:
        with pytest.raises(InputError, match=message):
            read_runs(folders)
