"""Tests of the entries of finished cells and of their differences."""

import copy
import dataclasses

import numpy as np
import pytest

from mpnet_jax.comparison.cell_files import read_all
from mpnet_jax.comparison.report.entries import gather


def test_sounds_left_as_the_mixture_are_counted_and_do_not_move_the_median(made) -> None:
    workdir, plan, _ = made
    entry = gather(read_all(workdir, plan.cells))["mpnet-binary-mix2"]
    before = entry.mixtures("mix2")
    assert before["untouched"] == 0
    changed = copy.deepcopy(entry.results)
    changed[0]["lists"]["mix2"]["methods"]["mpnet"]["sar"][3] = 138.5
    changed[0]["lists"]["mix2"]["methods"]["mpnet"]["sar"][4] = None
    after = dataclasses.replace(entry, results=changed).mixtures("mix2")
    assert after["untouched"] == 1
    assert after["sar_median"] == pytest.approx(before["sar_median"], abs=0.1)


def test_differences_are_paired_by_seed_and_mixture(made) -> None:
    workdir, plan, found = made
    rows = gather(read_all(workdir, plan.cells))
    first, second = rows["mpnet-ratio-mix3"], rows["pixelplayer-ratio-mix3"]
    values = [
        np.mean(first.samples("mix3", "nsdr")[seed].values - second.samples("mix3", "nsdr")[seed].values)
        for seed in (0, 1, 2)
    ]
    pair = found["differences"]["ratio-mix3"]["mpnet - pixelplayer"]
    assert pair["nsdr"]["mean"] == pytest.approx(np.mean(values), abs=1e-12)
    assert "pixelplayer - miml" in found["differences"]["ratio-mix3"]
