import numpy as np
import pytest

from mpnet_jax.report.sections.places import gallery
from tests.support.report_structure import Structure


def test_the_greatest_heat_is_at_the_centre_of_its_cell(make_place):
    # Row 1 of 4, column 3 of 5.
    assert make_place().greatest() == (0.375, 0.7)
    heat = np.array([[np.nan, 1.0], [np.inf, 3.0]])
    assert make_place(heat=heat).greatest() == (0.75, 0.75)


def test_frames_with_box_mark_and_verdict(make_place):
    saved = {}
    html = gallery([make_place(), make_place(hit=False, title="<Tuba>", note="a & b")], saved.__setitem__)
    found = Structure(html)
    assert sorted(saved) == sorted(tag["src"].removeprefix("media/") for tag in found.all("img"))
    assert 'class="truth" style="left:50.0%;top:10.0%;width:40.0%;height:50.0%"' in html
    assert 'class="cross" style="left:70.0%;top:37.5%"' in html
    assert html.index(">Hit</b> Flute") < html.index(">Miss</b> &lt;Tuba&gt;")
    assert "a &amp; b" in html
    assert "greatest 70 % from the left and 38 % from the top" in html
    assert gallery([], saved.__setitem__) == ""


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frame": np.zeros((4, 4), np.uint8)}, r"frame has shape \(4, 4\); give \(height, width, 3\)"),
        ({"frame": np.zeros((0, 4, 3), np.uint8)}, r"frame has shape \(0, 4, 3\)"),
        ({"heat": np.zeros(4)}, r"heat has shape \(4,\); give \(rows, cols\)"),
        ({"heat": np.full((2, 2), np.nan)}, "with a finite number among them"),
        ({"box": (0.5, 0.1, 0.4, 0.2)}, "must be ymin < ymax and xmin < xmax"),
        ({"box": (0.0, 0.0, 1.2, 1.0)}, "as parts of the frame, 0 to 1"),
        ({"box": (0.0, 0.0, float("nan"), 1.0)}, "needs ymin, xmin, ymax, xmax"),
    ],
)
def test_invalid_arrays_are_refused(make_place, changes, message):
    with pytest.raises(ValueError, match=message):
        make_place(**changes)
