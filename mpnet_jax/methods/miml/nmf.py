"""Non-negative matrix factorisation of batches of spectrograms by multiplicative updates.

A spectrogram is approximated by the product of a few spectra (bases) and their gains over time. Each update lowers the
beta-divergence between the spectrogram and the product. Source: Fevotte and Idier, "Algorithms for nonnegative matrix
factorization with the beta-divergence" (2011), majorisation-minimisation updates.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

# Beta by the name of its divergence.
BETAS = {"itakura_saito": 0.0, "kullback_leibler": 1.0, "euclidean": 2.0}

# Least denominator and least estimate, so that silence gives finite values; with beta < 1 also the least observed
# magnitude. Linear magnitude; the machine epsilon of float32, -138 dB.
EPSILON = float(np.finfo(np.float32).eps)


class Factors(NamedTuple):
    """A factorised spectrogram.

    Attributes:
        bases: Spectra, not negative.
        gains: Gain of each basis over time, not negative.
    """

    bases: Float[Array, "*batch freq basis"]
    gains: Float[Array, "*batch basis time"]


def random_start(key: jax.Array, spectrogram: Float[Array, "*batch freq time"], bases: int) -> Factors:
    """Returns random initial factors whose product has the level of the spectrogram.

    Args:
        key: Random key.
        spectrogram: Linear magnitudes.
        bases: Number of bases.
    """
    *batch, freq, time = spectrogram.shape
    level = jnp.sqrt(jnp.mean(spectrogram, (-2, -1), keepdims=True) / bases)
    bases_key, gains_key = jax.random.split(key)
    return Factors(
        level * jax.random.uniform(bases_key, (*batch, freq, bases), minval=0.5, maxval=1.5),
        level * jax.random.uniform(gains_key, (*batch, bases, time), minval=0.5, maxval=1.5),
    )


def factorise(
    spectrogram: Float[Array, "*batch freq time"], start: Factors, *, beta: float, iterations: int
) -> Factors:
    """Factorises spectrograms into bases and gains.

    Args:
        spectrogram: Linear magnitudes, not negative.
        start: Initial factors; zeros in them stay zero.
        beta: Beta of the divergence; see `BETAS`.
        iterations: Number of updates; each updates the bases and then the gains.

    Returns:
        The factors; those of silence are zero or almost zero.
    """
    observed = _observed(spectrogram, beta)

    def update(_: Array, factors: Factors) -> Factors:
        gains = factors.gains
        bases = _updated(observed.mT, gains.mT, factors.bases.mT, beta).mT
        return Factors(bases, _updated(observed, bases, gains, beta))

    return jax.lax.fori_loop(0, iterations, update, start)


def fit_gains(
    spectrogram: Float[Array, "*batch freq time"],
    bases: Float[Array, "*batch freq basis"],
    *,
    beta: float,
    iterations: int,
) -> Float[Array, "*batch basis time"]:
    """Fits the gains of fixed bases to a spectrogram, starting from equal gains of all bases at each time.

    Args:
        spectrogram: Linear magnitudes, not negative.
        bases: Fixed spectra; a basis of zeros contributes nothing.
        beta: Beta of the divergence; see `BETAS`.
        iterations: Number of updates.
    """
    observed = _observed(spectrogram, beta)
    level = jnp.sum(observed, -2, keepdims=True) / jnp.maximum(jnp.sum(bases, (-2, -1), keepdims=True), EPSILON)
    start = jnp.broadcast_to(level, (*bases.shape[:-2], bases.shape[-1], spectrogram.shape[-1]))
    return jax.lax.fori_loop(0, iterations, lambda _, gains: _updated(observed, bases, gains, beta), start)


def wiener_shares(
    bases: Float[Array, "*batch freq basis"], gains: Float[Array, "*batch basis time"], *, sources: int
) -> Float[Array, "*batch source freq time"]:
    """Returns the share of each source in the sum of all estimates.

    Args:
        bases: Bases of all sources, source by source, equally many of each.
        gains: Gains of these bases.
        sources: Number of sources.

    Returns:
        Shares in [0, 1] that sum to 1, or 0 where all estimates are silent.
    """
    *batch, freq, count = bases.shape
    by_source = jnp.moveaxis(bases.reshape(*batch, freq, sources, count // sources), -2, -3)
    estimates = by_source @ gains.reshape(*batch, sources, count // sources, gains.shape[-1])
    return estimates / jnp.maximum(jnp.sum(estimates, -3, keepdims=True), EPSILON)


def _observed(spectrogram: Array, beta: float) -> Array:
    return jnp.maximum(spectrogram, EPSILON) if beta < 1 else spectrogram


def _updated(observed: Array, bases: Array, gains: Array, beta: float) -> Array:
    """Updates the gains once, or the bases if all matrices are transposed."""
    estimate = jnp.maximum(bases @ gains, EPSILON)
    numerator = bases.mT @ (observed * _power(estimate, beta - 2))
    if beta == 1:
        denominator = jnp.sum(bases, -2)[..., None]
    else:
        denominator = bases.mT @ _power(estimate, beta - 1)
    step = numerator / jnp.maximum(denominator, EPSILON)
    # With these exponents no update increases the divergence.
    if beta < 1:
        step **= 1 / (2 - beta)
    elif beta > 2:
        step **= 1 / (beta - 1)
    return gains * step


def _power(x: Array, exponent: float) -> Array:
    # Powers with an integer exponent are products, which are several times as fast.
    return jax.lax.integer_pow(x, int(exponent)) if float(exponent).is_integer() else x**exponent
