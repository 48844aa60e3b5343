"""Compares this project's BSS Eval with mir_eval on a hundred mixtures of many kinds."""

import warnings

import mir_eval
import numpy as np
import pytest
import scipy.signal

from data_pipeline.rendered.sound.additive import synthesise_additive
from data_pipeline.rendered.sound.compose import Note
from data_pipeline.rendered.sound.instruments import INSTRUMENTS
from mpnet_jax.metrics.bss_eval import bss_eval

DECIBELS = 1e-3
HIGHEST = 100.0  # Higher ratios only measure rounding.
RATES_HZ = (8000, 11_025, 16_000, 22_050, 44_100)


def instruments(rng, sources, seconds, rate_hz):
    sounds = []
    for name in rng.choice(sorted(INSTRUMENTS), sources, replace=False):
        starts = np.arange(0, seconds - 0.2, 0.35)
        notes = [Note(s, min(s + 0.4, seconds), int(rng.integers(45, 84)), int(rng.integers(50, 120))) for s in starts]
        sounds.append(
            synthesise_additive(name, notes, rng, seconds=seconds, rate_hz=rate_hz, cents=rng.uniform(-20, 20))
        )
    return np.stack(sounds)


def noises(rng, sources, seconds, rate_hz):
    return rng.standard_normal((sources, round(seconds * rate_hz)))


def correlated(rng, sources, seconds, rate_hz):
    return (np.eye(sources) + 0.8) @ noises(rng, sources, seconds, rate_hz)


def low_passed(rng, sources, seconds, rate_hz):
    # Up to 80 dB below the loudest frequency, and zero at the highest frequency.
    sections = scipy.signal.butter(4, rng.uniform(0.1, 0.3), output="sos")
    return scipy.signal.sosfilt(sections, noises(rng, sources, seconds, rate_hz))


def tones(rng, sources, seconds, rate_hz):
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    partials = np.arange(1, 6)[:, np.newaxis]
    return np.stack([np.sin(2 * np.pi * hz * partials * time_s).sum(0) for hz in rng.uniform(100, 700, sources)])


def masked(rng, reference):
    """Assigns each bin of the mixture to its loudest source."""
    segment = {"nperseg": 510, "noverlap": 382}
    spectra = scipy.signal.stft(reference, **segment)[2]
    owner = np.abs(spectra).argmax(0)
    taken = np.where(owner == np.arange(len(reference))[:, None, None], spectra.sum(0), 0)
    return scipy.signal.istft(taken, **segment)[1][:, : reference.shape[1]]


def noisy(rng, reference):
    return reference + 10 ** rng.uniform(-2, 0) * reference.std() * rng.standard_normal(reference.shape)


def leaking(rng, reference):
    return reference + rng.uniform(0.01, 0.5) * np.roll(reference, 1, axis=0) + 0.01 * noisy(rng, reference)


def nearly_perfect(rng, reference):
    return reference + 1e-4 * reference.std() * rng.standard_normal(reference.shape)


def mixture(rng, reference):
    return np.repeat(reference.sum(0, keepdims=True), len(reference), axis=0)


SOUNDS = (instruments, noises, correlated, low_passed, tones)
ESTIMATES = (masked, noisy, leaking, nearly_perfect, mixture)


def case(seed):
    rng = np.random.default_rng(seed)
    long = seed % 25 == 24  # A few sounds of ten seconds.
    rate_hz = RATES_HZ[(seed // 5) % 5]
    seconds = 10.0 if long else rng.uniform(1.0, 3.0)
    sources = 2 if long else int(rng.choice([2, 2, 2, 3, 4, 5]))
    reference = SOUNDS[seed % 5](rng, sources, seconds, rate_hz)
    reference = reference * 10 ** rng.uniform(-4, 2)
    estimate = ESTIMATES[(seed // 5 + seed) % 5](rng, reference)
    if seed % 3 == 0:
        return reference.astype(np.float32), estimate.astype(np.float32)
    return reference, estimate


def published(reference, estimate):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        oracle = mir_eval.separation.bss_eval_sources
        return np.stack(oracle(reference.astype(float), estimate.astype(float), compute_permutation=False)[:3])


def check(seed):
    reference, estimate = case(seed)
    theirs = published(reference, estimate)
    result = bss_eval(reference, estimate[np.newaxis])
    ours = np.stack(result[:3])[:, 0]
    assert (result.reason == "").all()
    wrong = (theirs < HIGHEST) & ~(np.abs(ours - theirs) <= DECIBELS)
    if wrong.any():
        # mir_eval is inaccurate where a change of gain changes its result.
        quieter = published(reference.astype(float) / 3, estimate.astype(float) / 7)
        inaccurate = np.abs(theirs - quieter) > DECIBELS / 10
        assert not (wrong & ~inaccurate).any(), (ours, theirs, quieter)
    return wrong


@pytest.mark.parametrize("seed", [0, 1, 2, 3, 4, 35, 36, 37, 38, 39])
def test_some_mixtures(seed):
    check(seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100))
def test_a_hundred_mixtures(seed):
    check(seed)
