"""Tests of the curves."""

from mpnet_jax.comparison.report.figures import draw


def test_a_mean_outside_its_interval_is_drawn() -> None:
    values = {"nsdr": {"mean": 2.0, "ci95": [2.5, 3.0]}}
    entry = {"method": "mnet", "mask": "ratio", "sources": 2, "mixes": {"2": values, "3": values}}
    assert draw({"mnet-ratio-mix2": entry})["trained_on_2.png"].startswith(b"\x89PNG")
