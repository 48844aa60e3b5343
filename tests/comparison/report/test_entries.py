"""Tests of the entries of finished cells and of their differences."""

import numpy as np
import pytest

from mpnet_jax.comparison.cell_files import read_all
from mpnet_jax.comparison.report.entries import gather


def test_differences_are_paired_by_seed_and_mixture(made) -> None:
    workdir, grid, found = made
    rows = {entry.key: entry for entry in gather(read_all(workdir, grid.cells))}
    pairs = {"mpnet": "pixelplayer", "mnet_longer": "mnet"}
    for first, second in pairs.items():
        a, b = (rows[f"{method}-ratio-mix3"].samples("mix3", "nsdr") for method in (first, second))
        values = [np.mean(a[seed].values - b[seed].values) for seed in (0, 1, 2)]
        pair = found["differences"]["ratio-mix3"][f"{first} - {second}"]
        assert pair["nsdr"]["mean"] == pytest.approx(np.mean(values), abs=1e-12)
        assert pair["nsdr"]["seeds"] == 3
    assert "pixelplayer - miml" in found["differences"]["ratio-mix3"]
