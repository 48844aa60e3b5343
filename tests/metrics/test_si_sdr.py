import numpy as np
import pytest

from mpnet_jax.metrics.si_sdr import si_sdr


def test_value_by_hand():
    # The target is (3, 0) and the distortion (0, 1): 10 * log10(9) dB.
    assert si_sdr(np.array([2.0, 0.0]), np.array([3.0, 1.0])) == pytest.approx(10 * np.log10(9))


def test_a_batch_is_scored_along_the_last_axis():
    rng = np.random.default_rng(0)
    reference = rng.standard_normal((3, 2, 500)).astype(np.float32)
    estimate = (reference + 0.1 * rng.standard_normal(reference.shape)).astype(np.float32)
    scores = si_sdr(reference, estimate)
    assert scores.shape == (3, 2)
    assert scores.dtype == np.float64
    assert scores[2, 1] == pytest.approx(float(si_sdr(reference[2, 1], estimate[2, 1])))
    np.testing.assert_allclose(scores, 20.0, atol=1.0)


@pytest.mark.parametrize("gain", [1e-30, 0.1, -3.0, 1e30])
def test_gain_changes_nothing(gain):
    reference, estimate = np.random.default_rng(0).standard_normal((2, 500))
    assert si_sdr(reference, gain * estimate) == pytest.approx(float(si_sdr(reference, estimate)))


def test_infinite_and_missing_values():
    wave = np.array([1.0, -2.0, 0.5])
    assert si_sdr(wave, wave) == np.inf
    assert si_sdr(np.array([1.0, 0.0]), np.array([0.0, 1.0])) == -np.inf
    for bad in (np.zeros(3), np.array([np.nan, 1.0, 1.0]), np.array([np.inf, 1.0, 1.0])):
        assert np.isnan(si_sdr(bad, wave))
        assert np.isnan(si_sdr(wave, bad))


@pytest.mark.parametrize(("a", "b"), [((2, 5), (5,)), ((2, 5), (2, 4)), ((), ()), ((2, 0), (2, 0))])
def test_shapes_that_do_not_fit(a, b):
    with pytest.raises(ValueError, match=r"reference has shape .* and estimate .*; give the same"):
        si_sdr(np.ones(a), np.ones(b))
