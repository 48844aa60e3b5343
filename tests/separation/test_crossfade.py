import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpnet_jax.separation.crossfade import CrossFade, rising

COLUMNS = 8


def join(windows):
    fade = CrossFade(COLUMNS)
    return [fade.join(shares, last=place == len(windows) - 1) for place, shares in enumerate(windows)]


def whole(parts, number, columns):
    """Returns the joined mask of one sound; it is zero where the sound is missing."""
    out, first = np.zeros((2, columns)), 0
    for place, part in enumerate(parts):
        size = COLUMNS * (2 if place == len(parts) - 1 else 1)
        out[:, first : first + size] = part.get(number, 0.0)
        first += size
    return out


@given(st.integers(1, 6))
def test_windows_sum_to_one(count):
    parts = join([{1: np.ones((2, 2 * COLUMNS), np.float32)}] * count)
    np.testing.assert_allclose(whole(parts, 1, (count + 1) * COLUMNS), 1.0, atol=1e-6)


def test_rising_and_falling_sum_to_one_and_are_smooth():
    weights = rising(100)
    np.testing.assert_allclose(weights + weights[::-1], 1.0, atol=1e-6)
    assert weights[0] < 1e-3 and np.all(np.diff(weights) > 0)


def test_a_sound_fades_in_and_out_where_it_is_not_found():
    ones = np.ones((2, 2 * COLUMNS), np.float32)
    parts = join([{1: ones}, {1: ones, 2: ones}, {1: ones}, {1: ones}])
    second = whole(parts, 2, 5 * COLUMNS)[0]
    assert not second[:COLUMNS].any() and not second[3 * COLUMNS :].any()
    np.testing.assert_allclose(second[COLUMNS : 2 * COLUMNS], rising(COLUMNS))
    np.testing.assert_allclose(second[2 * COLUMNS : 3 * COLUMNS], 1 - rising(COLUMNS))


@pytest.mark.parametrize("count", [1, 3])
def test_windows_without_sounds_give_no_masks(count):
    assert join([{}] * count) == [{}] * count
