"""Views stay in the scene, and boxes follow them."""

import numpy as np
import pytest

from data_pipeline.rendered.filming.camera import choose_views, in_view, least_visible
from data_pipeline.rendered.filming.ranges import SceneRanges
from data_pipeline.rendered.filming.shot import SHOTS, Extents, Framing, choose_shot

WHOLE = (0.0, 0.0, 1.0, 1.0)


def test_views_stay_in_the_scene_and_move_as_far_as_stated():
    ranges = SceneRanges(window=(0.7, 0.9), drift=0.1, shake=0.01)
    moved = []
    for seed in range(40):
        views = choose_views(np.random.default_rng(seed), ranges, frames=60, scene_px=512)
        assert views.shape == (60, 3)
        assert views[:, :2].min() >= 0 and (views[:, :2] + views[:, 2:]).max() <= 512 + 1e-9
        assert 0.7 * 512 <= views[:, 2].min() and views[:, 2].max() <= 0.9 * 512
        moved.append(np.ptp(views[:, :2], axis=0).max())
    assert min(moved) == 0 and 20 < max(moved) < 0.35 * 512


def test_boxes_are_scaled_with_the_zoom_and_clipped_at_bars():
    view = np.array([100.0, 50.0, 200.0])
    box, other, outside = (150.0, 100.0, 200.0, 200.0), (260.0, 90.0, 700.0, 110.0), (400.0, 0.0, 500.0, 900.0)
    assert in_view(np.array([box]), view, WHOLE) == pytest.approx((0.25, 0.25, 0.5, 0.75))
    assert in_view(np.array([box, other, outside]), view, WHOLE) == pytest.approx((0.25, 0.2, 1.0, 0.75))
    assert in_view(np.array([(0.0, 0.0, 400.0, 400.0)]), view, (0.0, 0.1, 1.0, 0.9)) == (0.0, 0.1, 1.0, 0.9)
    left, top, right, bottom = in_view(np.array([outside]), view, WHOLE)
    assert (right - left) * (bottom - top) == 0


def test_least_visible_is_that_of_the_worst_view():
    views = np.array([[0.0, 0.0, 100.0], [50.0, 0.0, 100.0]])
    assert least_visible((0.0, 0.0, 100.0, 20.0), views, WHOLE) == pytest.approx(0.5)
    # A box that is much larger than the view fills the frame.
    assert least_visible((-900.0, -900.0, 900.0, 900.0), views, WHOLE) == 1.0


@pytest.mark.parametrize("shot", SHOTS)
def test_shots_show_enough_of_the_instrument(shot):
    probabilities = tuple(float(name == shot) for name in SHOTS)
    ranges = SceneRanges(shots=probabilities)  # type: ignore[arg-type]
    extents = Extents((-0.6, -1.3, 1.4, 1.25), (-0.2, -1.0, 1.4, -0.5))
    framing = Framing(lambda *_: extents, area=0.3, tilt=0.1, opening=(0.1, 0.0, 0.9, 1.0), frames=40, scene_px=512)
    lengths = []
    for seed in range(30):
        found = choose_shot(np.random.default_rng(seed), ranges, framing)
        box = np.array(extents.instrument) * found.unit_px + np.tile(found.origin_px, 2)
        assert found.name == shot and found.alone == (shot == "alone")
        assert least_visible(tuple(box), found.views, framing.opening) >= ranges.least_visible
        lengths.append(1.6 * found.unit_px / 512)
    low, high = {
        "full": (0.2, 0.6),
        "part": (0.4, 1.05),
        "close": ranges.close_length,
        "alone": ranges.alone_length,
    }[shot]
    assert low <= min(lengths) and max(lengths) <= high
