import jax
import numpy as np
import pytest

from mpnet_jax.metrics.bss_eval import bss_eval
from mpnet_jax.metrics.bss_eval_jax import bss_eval_batch
from mpnet_jax.metrics.bss_projection import bss_ratios

# Rounding of the same sums in another order.
DECIBELS = 1e-6


def mixtures(batch, sources, samples):
    rng = np.random.default_rng(0)
    reference = rng.standard_normal((batch, sources, samples))
    separation = reference + 0.1 * rng.standard_normal(reference.shape) + 0.05 * reference[:, ::-1]
    mixture = np.broadcast_to(reference.sum(1, keepdims=True), reference.shape)
    return reference, np.stack([separation, mixture + 1e-3 * rng.standard_normal(reference.shape)], axis=1)


@pytest.mark.parametrize(("sources", "samples"), [(2, 4000), (3, 700), (1, 3000)])
def test_a_batch_is_its_mixtures(sources, samples):
    reference, estimates = mixtures(2, sources, samples)
    result = bss_eval_batch(reference, estimates)
    assert result.shape == (3, 2, 2, sources)
    assert result.dtype == np.float64
    expected = np.stack([bss_ratios(*one) for one in zip(reference, estimates, strict=True)], axis=1)
    expected[expected > 150] = result[expected > 150]  # nothing but rounding is left
    np.testing.assert_allclose(result, expected, atol=DECIBELS)


def test_low_passed_references():
    # Down to 130 dB under the loudest.
    reference, estimates = mixtures(1, 2, 8000)
    shape = 10 ** (-6.5 * np.linspace(0, 1, 4001))
    reference = np.fft.irfft(np.fft.rfft(reference) * shape)
    estimates = reference[:, np.newaxis] + 0.01 * reference.std() * estimates
    expected = bss_ratios(reference[0], estimates[0])
    np.testing.assert_allclose(bss_eval_batch(reference, estimates)[:, 0], expected, atol=1e-3)


def test_it_is_a_method():
    (reference,), (estimates,) = mixtures(1, 2, 1500)
    estimates[1, 0] = 0.0
    result, expected = (bss_eval(reference, estimates, method=method) for method in ("jax", "fft"))
    np.testing.assert_allclose(result[:3], expected[:3], atol=DECIBELS)
    assert result.reason.tolist() == expected.reason.tolist() == [["", ""], ["silent estimate", ""]]
    assert not jax.config.jax_enable_x64


def test_a_platform_without_float64(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    reference, estimates = mixtures(1, 2, 600)
    with pytest.raises(NotImplementedError, match=r"platform 'tpu' has no float64, .*; use method='fft'"):
        bss_eval_batch(reference, estimates)
