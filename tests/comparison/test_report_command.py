"""Tests of the files that a comparison writes, and of the list of its cells."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from absl import flags

from data_pipeline.command import InputError
from mpnet_jax import compare
from mpnet_jax.comparison.cells import Grid
from tests.comparison.report.conftest import config_of, finish
from tests.support.report_structure import Structure


def finished(workdir: Path, pattern: str):
    """Returns the config of a comparison in which the cells of a pattern are finished."""
    workdir.parent.mkdir(exist_ok=True)
    config = config_of(workdir)
    grid = Grid(config)
    for cell in (cell for chain in grid.chains(pattern).values() for cell in chain):
        finish(workdir, grid, cell)
    return config


def test_writes_numbers_tables_and_a_whole_page(tmp_path: Path, capsys) -> None:
    workdir = tmp_path / "comparison"
    compare.report(finished(workdir, "*"), workdir)
    printed = capsys.readouterr().out.splitlines()
    assert printed[-1] == f"report:  {workdir / 'results.html'}" and len(printed) == 3
    assert json.loads((workdir / "results.json").read_text())["observations"]
    assert "## Paired differences" in (workdir / "results.md").read_text()
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


@pytest.mark.parametrize("pattern", ["pixelplayer-binary-mix2-seed1", "ablations/*"])
def test_a_few_finished_cells_are_reported(tmp_path: Path, pattern: str) -> None:
    workdir = tmp_path / "comparison"
    compare.report(finished(workdir, pattern), workdir)
    found = json.loads((workdir / "results.json").read_text())
    assert found["observations"] == [] and found["differences"] == {}
    assert "## Published" in (workdir / "results.md").read_text()


def test_nothing_to_report_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no finished cell of this config's comparison; make some first"):
        compare.report(config_of(tmp_path / "comparison"), tmp_path / "comparison")
    assert not (tmp_path / "comparison").exists()


def test_the_list_names_chain_path_and_state(tmp_path: Path, monkeypatch, capsys) -> None:
    workdir = tmp_path / "comparison"
    config = finished(workdir, "mnet-ratio-mix2-seed1")
    monkeypatch.setattr(compare.config_module, "from_flags", lambda: config)
    given = {"workdir": workdir, "list": True, "only": "cells/m*net*seed1", "cells": "1/2"}
    monkeypatch.setattr(flags, "FLAGS", SimpleNamespace(**given))
    compare.main()
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        ["1", "cells/mnet-ratio-mix2-seed1", "finished"],
        ["1", "cells/mnet_longer-ratio-mix2-seed1", "missing"],
        ["1", "cells/mpnet-ratio-mix2-seed1", "missing"],
    ]
