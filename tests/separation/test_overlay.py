import numpy as np
import pytest

from data_pipeline.media.video_writer import Planes
from mpnet_jax.separation import overlay

HEIGHT, WIDTH = 96, 128
GREY = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)


def corner(row: int, column: int) -> np.ndarray:
    levels = np.zeros((6, 8), np.float32)
    levels[row, column] = 1.0
    return levels


def luma(planes: np.ndarray) -> np.ndarray:
    return planes[:HEIGHT].astype(int)


def test_planes_have_the_encoder_s_layout():
    red = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    red[..., 0] = 255
    planes = Planes()(red)
    assert planes.shape == (HEIGHT * 3 // 2, WIDTH)
    np.testing.assert_allclose(luma(planes), 81, atol=2)  # BT.601
    np.testing.assert_allclose(planes[HEIGHT * 5 // 4 :], 240, atol=2)


def test_a_heat_map_only_changes_its_place():
    base = Planes()(GREY)
    shown = overlay.heat(corner(0, 7), height=HEIGHT, width=WIDTH).over(base)
    changed = np.abs(luma(shown) - luma(base))
    assert changed[:12, -12:].mean() > 20
    assert changed[HEIGHT // 2 :, : WIDTH // 2].max() <= 1


@pytest.mark.parametrize("levels", [np.zeros((6, 8), np.float32), np.ones((1, 1), np.float32)])
def test_values_do_not_wrap_around(levels):
    for value in (0, 255):
        base = Planes()(np.full_like(GREY, value))
        shown = overlay.heat(levels, height=HEIGHT, width=WIDTH).over(base)
        if not levels.any():
            np.testing.assert_allclose(shown.astype(int), base, atol=1)
        mixed = overlay.colours([levels, levels], height=HEIGHT, width=WIDTH).over(base)
        assert np.ptp(luma(mixed).astype(int)) <= 2  # Uniform, like the input.


def test_each_sound_has_its_colour():
    base = Planes()(GREY)
    shown = overlay.colours([corner(0, 0), corner(5, 7)], height=HEIGHT, width=WIDTH).over(base)
    blue = shown[HEIGHT : HEIGHT * 5 // 4].reshape(HEIGHT // 2, WIDTH // 2).astype(int)
    assert blue[2, 2] < 100 and blue[-3, -3] > 135  # Orange and blue.
