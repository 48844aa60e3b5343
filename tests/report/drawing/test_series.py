import re
from xml.dom import minidom

import numpy as np
import pytest

from mpnet_jax.report.drawing.series import MOST_POINTS, Series, legend, lines, scatter
from tests.report.conftest import estimate


def parse(svg):
    return minidom.parseString(svg)  # noqa: S318 -- our own output


def falling(name, top, style=0):
    return Series(name, {count: estimate(top - count) for count in (5, 2, 4, 3)}, style)


def draw(series, references=(), **changes):
    return lines(series, references, x_label="sounds", y_label="NSDR (dB)", **changes)


def test_lines_have_bands_marks_and_names():
    svg = draw([falling("MP-Net", 9.0), falling("M-Net", 8.9, 1), falling("<b>", 3.0, 7)])
    drawn = parse(svg)
    kinds = [element.getAttribute("class") for element in drawn.getElementsByTagName("path")]
    assert [kinds.count(f"mark series-{style}") for style in (0, 1)] == [4, 8]
    assert svg.count('<polygon class="band') == 3
    assert "MP-Net, 2: 7.00 (6.50 to 7.50)" in svg
    assert "NSDR (dB) over sounds: MP-Net from 7.00 to 4.00, M-Net from 6.90 to 3.90" in svg
    ends = {
        text.firstChild.data: float(text.getAttribute("y"))
        for text in drawn.getElementsByTagName("text")
        if text.getAttribute("class").startswith("name")
    }
    assert list(ends) == ["MP-Net", "M-Net", "<b>"]
    assert min(np.diff(list(ends.values()))) >= 16.9
    assert "name" not in draw([falling("MP-Net", 9.0)], labels=False)


def test_names_of_many_equal_lines_stay_apart_and_inside():
    svg = draw([falling(f"method {style}", 9.0, style) for style in range(6)])
    ends = [float(y) for y in re.findall(r'<text class="name[^"]*" x="\d+" y="([\d.]+)"', svg)]
    assert min(np.diff(ends)) >= 16.9 and max(ends) <= 250 - 42 + 8.1


def test_a_reference_is_drawn_where_it_does_not_flatten():
    near, far = (
        Series("near", {2: estimate(3.0), 5: estimate(3.0)}, 0),
        Series("far", {2: estimate(150.0)} | {5: estimate(151.0)}, 0),
    )
    svg = draw([falling("MP-Net", 9.0)], [near, far])
    assert svg.count('class="reference"') == 1
    assert ">near</text>" in svg and ">far</text>" not in svg


def test_missing_means_and_intervals_leave_gaps():
    points = {2: estimate(3.0), 3: {"mean": None, "ci95": None}, 4: None, 5: {"mean": 2.0, "ci95": None, "count": 1}}
    svg = draw([Series("MP-Net", points, 0)])
    parse(svg)
    assert svg.count("<title>") == 2 and "polygon" not in svg
    assert "nan" not in svg


def test_too_little_for_a_line():
    assert draw([]) == ""
    assert draw([Series("MP-Net", {2: estimate(3.0)}, 0)]) == ""


def test_the_legend_escapes_names():
    found = legend([("a & b", 0), ("c", 8)])
    assert "a &amp; b" in found and 'class="line series-2"' in found


def test_points_above_the_diagonal_are_counted():
    x, y = np.array([0.0, 1.0, np.nan, 3.0]), np.array([1.0, 0.0, 5.0, 4.0])
    svg = scatter(x, y, ["<a>", "b", "c", "d"], x_label="A", y_label="B")
    parse(svg)
    assert svg.count("<circle") == 3 and svg.count("point above") == 2
    assert "B against A: 2 of 3 mixtures above the diagonal" in svg
    assert "&lt;a&gt;: 0.0, 1.0" in svg


@pytest.mark.parametrize("count", [0, 1, MOST_POINTS + 5])
def test_few_and_many_points(count):
    svg = scatter(np.zeros(count), np.zeros(count), [""] * count, x_label="A", y_label="B")
    assert svg.count("<circle") == min(count, MOST_POINTS)
    assert bool(svg) == bool(count)
