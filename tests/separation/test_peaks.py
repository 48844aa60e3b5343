import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpnet_jax.separation.peaks import Peaks


def test_peaks_of_a_short_sound_by_hand():
    peaks = Peaks()
    peaks.add(np.concatenate([np.full(64, 0.1), [-0.5], np.zeros(63), [0.25]])[None].astype(np.float32))
    assert peaks.values() == [0.1, 0.5, 0.25]
    assert Peaks().values() == []


@given(st.lists(st.integers(0, 60_000), max_size=6), st.integers(1, 3))
def test_pieces_of_any_length_give_the_same_peaks(lengths, channels):
    sound = np.random.default_rng(0).normal(size=(channels, sum(lengths))).astype(np.float32)
    whole, parts = Peaks(), Peaks()
    whole.add(sound)
    for end, length in zip(np.cumsum(lengths), lengths, strict=True):
        parts.add(sound[:, end - length : end])
    assert parts.values() == whole.values()
    assert len(whole.values()) <= 801
    assert max(whole.values(), default=0.0) == pytest.approx(np.abs(sound).max(initial=0.0), abs=1e-5)


def test_a_long_sound_has_few_peaks_at_the_right_times():
    peaks = Peaks()
    for place in range(600):
        peaks.add(np.full((2, 10_007), place / 1000, np.float32))
    found = np.array(peaks.values())
    assert 400 <= len(found) <= 801
    expected = np.floor(600 * (np.arange(len(found)) + 1) / len(found) - 1e-9) / 1000
    np.testing.assert_allclose(found, expected, atol=2.5e-3)
