"""Tests of matrix factorisation: against scikit-learn from the same start, its properties, and a separation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.decomposition import non_negative_factorization

from data_pipeline.spec import AudioSpec
from data_pipeline.spectrogram import stft
from mpnet_jax.methods.miml import nmf
from mpnet_jax.metrics.bss_eval import bss_eval
from mpnet_jax.steps.separate_step import waveforms

AUDIO = AudioSpec(8000, 63 * 128, 510, 128)
BASES, ITERATIONS = 5, 40

# Compiled as a whole, which takes less time than to compile each of their operations.
random_start = jax.jit(nmf.random_start, static_argnums=2)
factorise = jax.jit(nmf.factorise, static_argnames=("beta", "iterations"))
fit_gains = jax.jit(nmf.fit_gains, static_argnames=("beta", "iterations"))
wiener_shares = jax.jit(nmf.wiener_shares, static_argnames="sources")


@pytest.fixture(scope="module")
def spectrograms() -> np.ndarray:
    """Three products of four spectra and their gains, with added noise."""
    rng = np.random.default_rng(0)
    exact = rng.gamma(0.5, 1.0, (3, 65, 4)) @ rng.gamma(0.5, 1.0, (3, 4, 31))
    return (exact + 0.05 * rng.gamma(0.5, 1.0, exact.shape)).astype(np.float32)


def objective(spectrogram, bases, gains, beta):
    """Returns the divergence by its definition, in float64."""
    x, y = np.asarray(spectrogram, np.float64), np.asarray(bases, np.float64) @ np.asarray(gains, np.float64)
    if beta == 0:
        return np.sum(x / y - np.log(x / y) - 1)
    if beta == 1:
        return np.sum(x * np.log(x / y) - x + y)
    return np.sum(x**beta / (beta * (beta - 1)) + y**beta / beta - x * y ** (beta - 1) / (beta - 1))


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0, 2.0, 3.0])
def test_the_objective_is_that_of_scikit_learn_from_the_same_start(spectrograms, beta):
    start = random_start(jax.random.key(1), jnp.asarray(spectrograms), BASES)
    ours = factorise(spectrograms, start, beta=beta, iterations=ITERATIONS)
    for n, spectrogram in enumerate(spectrograms):
        bases, gains, _ = non_negative_factorization(
            spectrogram,
            W=np.array(start.bases[n]),
            H=np.array(start.gains[n]),
            n_components=BASES,
            init="custom",
            solver="mu",
            beta_loss=beta,
            max_iter=ITERATIONS,
            tol=0,
        )
        found = objective(spectrogram, ours.bases[n], ours.gains[n], beta)
        assert found == pytest.approx(objective(spectrogram, bases, gains, beta), rel=0.01)
        assert found < 0.2 * objective(spectrogram, start.bases[n], start.gains[n], beta)


@pytest.mark.parametrize("beta", [0.0, 1.0])
def test_gains_of_fixed_bases_are_those_of_scikit_learn(spectrograms, beta):
    bases = random_start(jax.random.key(1), jnp.asarray(spectrograms), BASES).bases
    ours = fit_gains(jnp.asarray(spectrograms), bases, beta=beta, iterations=300)
    for n, spectrogram in enumerate(spectrograms):
        gains, _, _ = non_negative_factorization(
            spectrogram.T.copy(),
            H=np.asarray(bases[n]).T.copy(),
            n_components=BASES,
            update_H=False,
            solver="mu",
            beta_loss=beta,
            max_iter=300,
            tol=0,
        )
        found = objective(spectrogram, bases[n], ours[n], beta)
        assert found == pytest.approx(objective(spectrogram, bases[n], gains.T, beta), rel=0.01)


@pytest.mark.parametrize("beta", [0.0, 1.0])
def test_every_update_lowers_the_divergence(spectrograms, beta):
    factors = random_start(jax.random.key(2), jnp.asarray(spectrograms), BASES)
    divergences = []
    for _ in range(8):
        divergences.append([objective(*of_one, beta) for of_one in zip(spectrograms, *factors, strict=True)])
        factors = factorise(jnp.asarray(spectrograms), factors, beta=beta, iterations=1)
    assert (np.diff(divergences, axis=0) < 0).all()


@pytest.mark.parametrize("divergence", nmf.BETAS)
def test_silence_stays_finite_and_silent(spectrograms, divergence):
    beta = nmf.BETAS[divergence]
    mixed = spectrograms.copy()
    mixed[0] = 0.0  # a silent spectrogram
    mixed[1, :, 10:] = 0.0  # a silent end
    mixed[2, 40:] = 0.0  # silent rows
    start = random_start(jax.random.key(0), jnp.asarray(mixed), BASES)
    bases, gains = factorise(jnp.asarray(mixed), start, beta=beta, iterations=ITERATIONS)
    estimate = np.asarray(bases @ gains)
    assert np.isfinite(bases).all() and np.isfinite(gains).all()
    assert np.abs(estimate[mixed == 0]).max() < 1e-3
    fitted = fit_gains(jnp.asarray(mixed), bases, beta=beta, iterations=ITERATIONS)
    shares = wiener_shares(bases, fitted, sources=1)
    assert np.isfinite(fitted).all() and np.isfinite(shares).all()
    np.testing.assert_array_equal(np.asarray(shares)[0], 0.0)


def test_a_basis_of_zeros_contributes_nothing(spectrograms):
    bases = random_start(jax.random.key(1), jnp.asarray(spectrograms), BASES).bases
    padded = jnp.concatenate([bases, jnp.zeros_like(bases)], -1)
    gains, padded_gains = (fit_gains(jnp.array(spectrograms), b, beta=1.0, iterations=20) for b in (bases, padded))
    np.testing.assert_allclose(padded_gains[:, :BASES], gains, rtol=1e-4)
    shares = wiener_shares(padded, padded_gains, sources=2)
    np.testing.assert_allclose(shares[:, 0], 1.0, rtol=1e-5)
    np.testing.assert_array_equal(shares[:, 1], 0.0)


def tones(pitches_hz, starts):
    """Returns a melody of harmonic tones of half a second, one note per row."""
    time = np.arange(AUDIO.clip_samples) / AUDIO.rate_hz
    notes = []
    for pitch, start in zip(pitches_hz, starts, strict=True):
        envelope = np.clip(1 - 2 * np.abs(time - start - 0.25), 0, 1)
        notes.append(envelope * sum(np.sin(2 * np.pi * pitch * n * time) / n for n in range(1, 6)))
    return np.stack(notes).astype(np.float32)


@pytest.mark.parametrize("divergence", ["kullback_leibler", "itakura_saito"])
def test_true_bases_separate_two_sources(divergence):
    notes = np.stack([tones((220, 330, 440), (0.0, 0.2, 0.4)), tones((262, 349, 523), (0.3, 0.1, 0.5))])
    truth = notes.sum(1)
    spectrum = stft(truth.sum(0), AUDIO)
    mixture = jnp.asarray(np.abs(spectrum))
    bases = np.abs(stft(notes, AUDIO)).mean(-1)  # (source, note, freq)
    bases = jnp.asarray(bases.reshape(-1, AUDIO.freq_bins).T)
    gains = fit_gains(mixture, bases, beta=nmf.BETAS[divergence], iterations=200)
    shares = wiener_shares(bases, gains, sources=2)
    separated = np.asarray(waveforms((shares * mixture)[None], jnp.angle(spectrum)[None], AUDIO))[0]
    scores = bss_eval(truth, np.stack([separated, separated[::-1]]))
    assert (scores.sdr[0] > 10).all(), scores.sdr
    assert (scores.sdr[1] < 0).all(), scores.sdr  # estimates of the other source
