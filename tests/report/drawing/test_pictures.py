import io

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from mpnet_jax.report.drawing.pictures import (
    colormap_png,
    css_gradient,
    decibel_levels,
    frame_png,
    frequency_ticks,
    heat_png,
    time_ticks,
)


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


@pytest.mark.parametrize("rising", [True, False])
def test_low_frequencies_are_drawn_at_the_bottom(rising):
    values = np.array([[0.0, np.nan], [1.0, 2.0]])
    row_hz = np.array([100.0, 200.0])
    if not rising:
        values, row_hz = values[::-1], row_hz[::-1]
    drawn = pixels(colormap_png(values, row_hz, colors="magma"))
    low, high = (np.round(255 * np.array(mpl.colormaps["magma"](end)[:3])) for end in (0.0, 1.0))
    np.testing.assert_array_equal(drawn[1], [low, low])
    np.testing.assert_array_equal(drawn[0], [high, high])


def test_a_frame_keeps_its_pixels():
    frame = np.random.default_rng(0).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    np.testing.assert_array_equal(pixels(frame_png(frame)), frame)


def test_heat_is_clear_where_there_is_none():
    heat = np.zeros((5, 5))
    heat[1, 3] = 7.0
    drawn = np.asarray(Image.open(io.BytesIO(heat_png(heat, height=50, width=100))))
    assert drawn.shape == (50, 100, 4)
    alpha = drawn[..., 3]
    assert np.unravel_index(alpha.argmax(), alpha.shape) == pytest.approx((15, 70), abs=2)
    assert alpha[40:].max() == 0 and 200 < alpha.max() < 255


@pytest.mark.parametrize("heat", [np.zeros((2, 2)), np.full((3, 3), np.nan), np.array([[-1.0, 2.0], [np.nan, np.inf]])])
def test_any_heat_can_be_drawn(heat):
    alpha = np.asarray(Image.open(io.BytesIO(heat_png(heat, height=8, width=8))))[..., 3]
    assert alpha.shape == (8, 8) and alpha.min() == 0


def test_levels_cover_sixty_decibels():
    levels = decibel_levels(np.array([0.0, 1e-3, 10 ** (-30 / 20), 1.0]), 1.0)
    np.testing.assert_allclose(levels, [0.0, 0.0, 0.5, 1.0], atol=1e-12)
    assert not decibel_levels(np.zeros(3), 0.0).any()


def test_frequency_ticks_stand_at_their_rows():
    log = frequency_ticks(np.geomspace(50, 5000, 201))
    assert [label for _, label in log] == ["50", "100", "200", "500", "1k", "2k", "5k"]
    # 500 Hz is half way on the logarithmic axis: the middle of the middle row of 201.
    assert {label: place for place, label in log}["500"] == pytest.approx(0.5, abs=1e-3)
    linear = frequency_ticks(np.linspace(0, 5000, 251))
    places = [place for place, _ in linear]
    assert linear[-1][1] == "5k"
    assert min(np.diff(places)) > 0.08
    falling = frequency_ticks(np.geomspace(50, 5000, 201)[::-1])
    assert falling == log


def test_time_ticks_fit():
    assert time_ticks(2.0) == [(0.0, "0.0"), (0.25, "0.5"), (0.5, "1.0"), (0.75, "1.5"), (1.0, "2.0")]
    assert [label for _, label in time_ticks(6.0)] == ["0", "1", "2", "3", "4", "5", "6"]
    assert len(time_ticks(47.0)) <= 9


def test_the_legend_runs_from_low_to_high():
    gradient = css_gradient("magma")
    assert gradient.startswith("linear-gradient(to right,#000004")
    assert gradient.endswith("#fcfdbf)")
