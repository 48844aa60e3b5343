import re
from xml.dom import minidom

import numpy as np
import pytest

from mpnet_jax.report.drawing.charts import choice, curve, histogram


def parse(svg):
    minidom.parseString(svg)  # noqa: S318 -- our own output


def test_every_finite_value_is_in_one_bar():
    values = np.append(np.random.default_rng(0).normal(3.0, 4.0, 500), np.nan)
    svg = histogram(values, label="NSDR", unit="dB")
    parse(svg)
    assert sum(map(int, re.findall(r"dB: (\d+)</title>", svg))) == 500
    assert f"500 mixtures, mean {np.nanmean(values):.2f} dB, {(values > 0).sum()} above zero" in svg
    assert 'class="bar worse"' in svg
    assert '<line class="zero"' in svg


@pytest.mark.parametrize("values", [[2.0], [0.0, 0.0], [-1.0, 1.0], [1e-9, 1e6], [5.0] * 40])
def test_odd_ranges(values):
    svg = histogram(np.array(values), label="NSDR", unit="dB")
    parse(svg)
    assert sum(map(int, re.findall(r"dB: (\d+)</title>", svg))) == len(values)


def test_a_curve_of_many_records_is_thinned():
    svg = curve([[step, 1.0 / (step + 1)] for step in range(5000)], label="loss")
    parse(svg)
    assert len(re.search(r'points="([^"]*)"', svg)[1].split()) == 300
    assert "loss over 5000 records, from 1.00 to 0.00" in svg


def test_the_choice_is_marked():
    svg = choice([[0.001, 0.2], [0.01, 0.9], [0.1, 0.3], [1.0, float("nan")]], 0.01, x_label="t", y_label="right")
    parse(svg)
    # On a logarithmic axis 0.01 is half way from 0.001 to 0.1: between 46 and 466.
    assert 'class="end" cx="256.0"' in svg
    assert "chosen 0.01" in svg and "right over 3 values of t; 0.01 was chosen, with 0.90" in svg
    assert ">0.002</text>" in svg and ">0.1</text>" in svg


@pytest.mark.parametrize("chosen", [None, 7.0])
def test_a_choice_that_is_not_on_the_curve_is_not_marked(chosen):
    svg = choice([[0.0, 0.2], [1.0, 0.3]], chosen, x_label="t", y_label="right")
    parse(svg)
    assert "chosen" not in svg


def test_nothing_to_draw():
    assert choice([[0.1, 1.0], [0.2, float("nan")]], 0.1, x_label="t", y_label="right") == ""
    assert histogram(np.array([np.nan]), label="NSDR", unit="dB") == ""
    assert curve([[0, 1.0], [1, float("nan")]], label="loss") == ""
    assert curve([], label="loss") == ""


@pytest.mark.parametrize("points", [[[0, 1.0], [1, 1.0]], [[5, 1.0], [5, 2.0]], [[0, -1e9], [1, 1e9]]])
def test_flat_steep_and_single_step_curves(points):
    parse(curve(points, label="<loss>", unit="dB"))
