import numpy as np
import pytest
from skimage.metrics import structural_similarity

from mpnet_jax.metrics.amid import DEFINITION, amid


def magnitudes(sources=2, freq=33, time=20, seed=0):
    return np.random.default_rng(seed).gamma(0.5, 2.0, (sources, freq, time)).astype(np.float32)


def picture(magnitude):
    return np.clip(200 * np.log10(1 + magnitude.astype(np.float64)), None, 255) / 255


def ssim(a, b):
    return structural_similarity(
        picture(a), picture(b), data_range=1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )


def test_true_sources_give_their_own_similarity():
    true = magnitudes()
    assert amid(true, true) == pytest.approx(100 * ssim(true[0], true[1]), rel=1e-6)  # pictures are float32


def test_swapped_sources_are_as_bad_as_can_be():
    true = magnitudes()
    assert amid(true[::-1].copy(), true) == pytest.approx(100.0)


def test_every_ordered_pair_counts():
    separated, true = magnitudes(3), magnitudes(3, seed=1)
    pairs = [ssim(separated[i], true[j]) for i in range(3) for j in range(3) if i != j]
    assert amid(separated, true) == pytest.approx(100 * np.mean(pairs), rel=1e-6)


def test_the_picture_saturates():
    # 200 * log10(1 + s) reaches 255 at s = 17.84; louder magnitudes look the same.
    loud, louder = magnitudes() + 18, magnitudes(seed=1) + 1000
    assert amid(loud, louder) == pytest.approx(100.0)


def test_nan_without_a_pair_or_finite_values():
    assert np.isnan(amid(magnitudes(1), magnitudes(1)))
    bad = magnitudes()
    bad[0, 0, 0] = np.nan
    assert np.isnan(amid(bad, magnitudes()))
    assert np.isnan(amid(magnitudes(), bad))


def test_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match="both must be the same"):
        amid(magnitudes(2), magnitudes(3))
    with pytest.raises(ValueError, match="both must be the same"):
        amid(magnitudes()[0], magnitudes()[0])
    with pytest.raises(ValueError, match="a picture of 33 x 10 is too small; SSIM needs 11 x 11"):
        amid(magnitudes(time=10), magnitudes(time=10))


def test_the_definition_names_every_constant():
    for word in ("200*log10", "255", "Gaussian", "1.5", "i != j", "100"):
        assert word in DEFINITION
