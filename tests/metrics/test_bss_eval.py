import numpy as np
import pytest

from mpnet_jax.metrics.bss_eval import METHODS, BssEval, bss_eval
from tests.metrics.test_bss_against_mir_eval import published

SAMPLES = 4000


def noises(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def finite_entries(result):
    return np.isfinite(result.sdr) & np.isfinite(result.sir) & np.isfinite(result.sar)


def test_the_method_mir_eval_is_mir_eval():
    reference = noises(2, SAMPLES)
    estimates = np.stack([reference + 0.3 * noises(2, SAMPLES, seed=1), reference + 0.5 * reference[::-1]])
    result = bss_eval(reference, estimates, method="mir_eval")
    for variant, estimate in enumerate(estimates):
        for ours, theirs in zip(result[:3], published(reference, estimate), strict=True):
            np.testing.assert_array_equal(ours[variant], theirs)
    assert isinstance(result, BssEval)
    assert result.sdr.shape == result.reason.shape == (2, 2)
    assert result.sdr.dtype == np.float64
    assert (result.reason == "").all()


def test_independent_noise_at_a_known_level():
    # 512 of the noise's 30,000 dimensions lie in the span of the reference and count as source: 0.1 dB.
    reference = noises(2, 30_000)
    estimate = reference + 10 ** (-12 / 20) * noises(2, 30_000, seed=1)
    result = bss_eval(reference, estimate[np.newaxis])
    np.testing.assert_allclose(result.sdr, 12.0, atol=0.3)
    np.testing.assert_allclose(result.sar, 12.0, atol=0.3)
    assert (result.sir > 25).all()


def test_leakage_at_a_known_level():
    reference = noises(2, 30_000)
    result = bss_eval(reference, (reference + 0.1 * reference[::-1])[np.newaxis])
    # The error is the other source alone: SIR = 20 dB and nearly no artefacts.
    np.testing.assert_allclose(result.sir, 20.0, atol=0.3)
    assert (result.sar > 60).all()


def test_a_gain_or_a_short_delay_costs_nothing():
    reference = noises(2, SAMPLES)
    delayed = np.zeros_like(reference)
    delayed[:, 100:] = 0.25 * reference[:, :-100]
    result = bss_eval(reference, delayed[np.newaxis])
    # The projection extends 511 samples past the end, where the estimate was cut; this is the only error.
    assert (result.sdr > 10).all()


def test_a_silent_estimate_spoils_only_itself():
    reference = noises(2, SAMPLES)
    estimates = np.stack([reference + 0.3 * noises(2, SAMPLES, seed=1)] * 2)
    expected = bss_eval(reference, estimates)
    estimates[1, 0] = 0.0
    result = bss_eval(reference, estimates)
    assert result.reason.tolist() == [["", ""], ["silent estimate", ""]]
    assert finite_entries(result).tolist() == [[True, True], [False, True]]
    np.testing.assert_array_equal(result.sdr[0], expected.sdr[0])
    np.testing.assert_array_equal(result.sir[1, 1], expected.sir[1, 1])


def test_a_silent_reference_spoils_the_mixture():
    reference = noises(3, SAMPLES)
    estimates = reference[np.newaxis] + 0.1 * noises(1, 3, SAMPLES, seed=1)
    reference[1] = 0.0
    result = bss_eval(reference, estimates)
    assert result.reason.tolist() == [["silent reference"] * 3]
    assert not finite_entries(result).any()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_not_finite(bad):
    reference = noises(2, SAMPLES)
    estimates = (reference + 0.3 * noises(2, SAMPLES, seed=1))[np.newaxis].copy()
    estimates[0, 1, 5] = bad
    result = bss_eval(reference, estimates)
    assert result.reason.tolist() == [["", "not finite"]]
    assert finite_entries(result).tolist() == [[True, False]]
    reference[0, 0] = bad
    assert bss_eval(reference, estimates).reason.tolist() == [["not finite"] * 2]


def test_references_that_admit_no_projection(monkeypatch):
    # Rounding decides whether a matrix counts as singular, so the error is forced here. Under NumPy 2, mir_eval's own
    # handler then fails with an AttributeError.
    def singular(*_):
        raise np.linalg.LinAlgError("Singular matrix")

    monkeypatch.setattr(np.linalg, "solve", singular)
    result = bss_eval(noises(2, SAMPLES), noises(1, 2, SAMPLES), method="mir_eval")
    assert result.reason.tolist() == [["dependent references"] * 2]
    assert not finite_entries(result).any()


@pytest.mark.parametrize("method", sorted(METHODS))
def test_one_source_has_no_interference(method):
    result = bss_eval(noises(1, SAMPLES), noises(1, 1, SAMPLES, seed=1), method=method)
    assert np.isinf(result.sir).all()
    assert result.reason.tolist() == [[""]]
    assert np.isfinite(result.sdr).all()


def test_an_unknown_method_lists_what_is_allowed():
    with pytest.raises(ValueError, match=r"method='fast' is unknown; choose one of fft, mir_eval"):
        bss_eval(noises(2, 600), noises(1, 2, 600), method="fast")
    assert "mir_eval" in METHODS


@pytest.mark.parametrize(
    ("reference", "estimates", "message"),
    [
        ((600,), (1, 2, 600), r"reference has shape \(600,\); give \(source, samples\)"),
        ((2, 600), (2, 600), r"estimates has shape \(2, 600\); give \(variant, source, samples\)"),
        (
            (2, 600),
            (1, 2, 599),
            r"\(1, 2, 599\) and reference \(2, 600\); source and samples must be the same",
        ),
        ((2, 600), (1, 3, 600), r"\(1, 3, 600\) and reference \(2, 600\)"),
        ((2, 600), (0, 2, 600), r"no axis may be empty"),
    ],
)
def test_shapes_that_do_not_fit(reference, estimates, message):
    with pytest.raises(ValueError, match=message):
        bss_eval(noises(*reference), noises(*estimates))
