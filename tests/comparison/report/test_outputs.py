"""Tests of the files that a comparison writes."""

import json
from pathlib import Path

import pytest

from data_pipeline.command import InputError
from mpnet_jax.compare import compare
from mpnet_jax.comparison.report.outputs import write_outputs
from tests.comparison.report.conftest import finish, grid_of
from tests.support.report_structure import Structure


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
        "Count of the sounds",
        "Where the sound comes from",
        "Ablations",
    ):
        assert part in words
    assert not any(attributes.get("src", "").startswith("http") for _, attributes in page.tags)


@pytest.mark.parametrize("pattern", ["trials/*", "pixelplayer-binary-mix2-seed1", "ablations/*"])
def test_a_few_finished_cells_are_reported(tmp_path: Path, pattern: str) -> None:
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
