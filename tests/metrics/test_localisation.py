import numpy as np
import pytest

from mpnet_jax.metrics.localisation import area_under_curve, greatest_place, iou_at_half, pointing, right_player

# In this map of 2 x 4 places, the maximum is in the second row and third column, with the centre (0.75, 0.625).
ENERGY = np.array([[0.1, 0.2, 0.6, 0.1], [0.0, 0.3, 1.0, 0.4]])
UNKNOWN = np.full(4, np.nan)


def test_the_greatest_places_centre():
    assert greatest_place(ENERGY) == (0.75, 0.625)
    assert greatest_place(np.ones((2, 2))) == (0.25, 0.25)  # The first of equals.


@pytest.mark.parametrize(
    ("box", "hit"), [((0.5, 0.5, 1.0, 0.75), 1.0), ((0.0, 0.0, 1.0, 0.6), 0.0), ((0.75, 0.625, 0.8, 0.7), 1.0)]
)
def test_pointing(box, hit):
    assert pointing(ENERGY, np.array(box)) == hit


def test_iou_by_hand():
    # Two places, each an eighth of the area, have at least half the maximum. The box covers one and half of the other.
    assert iou_at_half(ENERGY, np.array([0.25, 0.5, 1.0, 0.75])) == pytest.approx((0.125 + 0.0625) / 0.25)
    assert iou_at_half(ENERGY, np.array([0.0, 0.5, 1.0, 0.75])) == pytest.approx(1.0)
    assert iou_at_half(ENERGY, np.array([0.0, 0.0, 1.0, 0.25])) == 0.0
    assert iou_at_half(np.ones((3, 5)), np.array([0.1, 0.2, 0.5, 0.6])) == pytest.approx(0.4 * 0.4)


def test_area_under_curve_by_hand():
    # Energies inside: 0.6 and 1.0. Outside: 0.1, 0.2, 0.1, 0.0, 0.3, 0.4.
    assert area_under_curve(ENERGY, np.array([0.0, 0.5, 1.0, 0.75])) == 1.0
    # Inside: 0.3. Three of the places outside have more (0.6, 1.0, 0.4).
    assert area_under_curve(ENERGY, np.array([0.6, 0.3, 0.9, 0.4])) == pytest.approx(4 / 7)
    assert area_under_curve(np.ones((3, 3)), np.array([0.0, 0.0, 0.4, 0.4])) == 0.5
    assert np.isnan(area_under_curve(ENERGY, np.array([0.0, 0.0, 0.1, 0.1])))  # No centre inside.
    assert np.isnan(area_under_curve(ENERGY, np.array([0.0, 0.0, 1.0, 1.0])))  # No centre outside.


def test_the_right_player():
    left, right = np.array([0.1, 0.1, 0.9, 0.4]), np.array([0.1, 0.6, 0.9, 0.9])
    assert (right_player(ENERGY, right, left), right_player(ENERGY, left, right)) == (1.0, 0.0)
    assert right_player(np.ones((1, 1)), left, right) == 0.5
    # The place lies in neither box, so only the distances count.
    assert right_player(ENERGY, np.array([0.1, 0.45, 0.9, 0.5]), np.array([0.1, 0.9, 0.9, 1.0])) == 1.0


def test_nan_without_a_box():
    known = np.array([0.0, 0.0, 1.0, 0.5])
    assert np.isnan([pointing(ENERGY, UNKNOWN), iou_at_half(ENERGY, UNKNOWN), area_under_curve(ENERGY, UNKNOWN)]).all()
    assert np.isnan([right_player(ENERGY, UNKNOWN, known), right_player(ENERGY, known, UNKNOWN)]).all()
