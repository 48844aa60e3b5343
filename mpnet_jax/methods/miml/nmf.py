"""Non-negative matrix factorisation of spectrograms by multiplicative updates, a batch at a time.

A spectrogram is taken for a product of a few spectra (bases) and of how loud each is at every moment (gains). Each
update lowers the beta-divergence between the two. Source: Fevotte and Idier, "Algorithms for nonnegative matrix
factorization with the beta-divergence" (2011), the updates by majorisation.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

# Beta by the name of its divergence.
BETAS = {"itakura_saito": 0.0, "kullback_leibler": 1.0, "euclidean": 2.0}

# Nothing is divided by less, and no estimate counts as less: silence stays finite. With beta < 1, which no zero may
# meet, an observed bin counts as at least this, too. Linear magnitude: the rounding of 1 in float32, -138 dB.
EPSILON = float(np.finfo(np.float32).eps)


class Factors(NamedTuple):
    """A factorised spectrogram.

    Attributes:
        bases: spectra, not negative.
        gains: of each basis over time, not negative.
    """

    bases: Float[Array, "*batch freq basis"]
    gains: Float[Array, "*batch basis time"]


def random_start(key: jax.Array, spectrogram: Float[Array, "*batch freq time"], bases: int) -> Factors:
    """Random factors at the spectrogram's level, to start from.

    Args:
        key: random key.
        spectrogram: linear magnitudes.
        bases: how many.
    """
    *batch, freq, time = spectrogram.shape
    level = jnp.sqrt(jnp.mean(spectrogram, (-2, -1), keepdims=True) / bases)
    of_bases, of_gains = jax.random.split(key)
    return Factors(
        level * jax.random.uniform(of_bases, (*batch, freq, bases), minval=0.5, maxval=1.5),
        level * jax.random.uniform(of_gains, (*batch, bases, time), minval=0.5, maxval=1.5),
    )


def factorise(
    spectrogram: Float[Array, "*batch freq time"], start: Factors, *, beta: float, iterations: int
) -> Factors:
    """Bases and gains that come close to a spectrogram.

    Args:
        spectrogram: linear magnitudes, not negative.
        start: what the updates begin with; a zero in it stays zero.
        beta: of the divergence, see `BETAS`.
        iterations: updates of the bases and, after each, of the gains.

    Returns:
        The factors; those of silence are zero, or next to it.
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
    """Gains with which given bases come close to a spectrogram.

    Args:
        spectrogram: linear magnitudes, not negative.
        bases: spectra that stay as they are; one of zeros has no part in anything.
        beta: of the divergence, see `BETAS`.
        iterations: updates of the gains.

    Returns:
        The gains, from an equal start, at the level of each moment, for all bases.
    """
    observed = _observed(spectrogram, beta)
    level = jnp.sum(observed, -2, keepdims=True) / jnp.maximum(jnp.sum(bases, (-2, -1), keepdims=True), EPSILON)
    start = jnp.broadcast_to(level, (*bases.shape[:-2], bases.shape[-1], spectrogram.shape[-1]))
    return jax.lax.fori_loop(0, iterations, lambda _, gains: _updated(observed, bases, gains, beta), start)


def wiener_shares(
    bases: Float[Array, "*batch freq basis"], gains: Float[Array, "*batch basis time"], *, sources: int
) -> Float[Array, "*batch source freq time"]:
    """What share of a mixture each source has by its bases and their gains.

    Args:
        bases: of all sources, one source after the other, as many of each.
        gains: of these bases.
        sources: how many.

    Returns:
        Shares in [0, 1], whose sum is 1 wherever the estimates are not silent, and 0 where they are.
    """
    *batch, freq, count = bases.shape
    by_source = jnp.moveaxis(bases.reshape(*batch, freq, sources, count // sources), -2, -3)
    estimates = by_source @ gains.reshape(*batch, sources, count // sources, gains.shape[-1])
    return estimates / jnp.maximum(jnp.sum(estimates, -3, keepdims=True), EPSILON)


def beta_divergence(
    spectrogram: Float[Array, "*batch freq time"], estimate: Float[Array, "*batch freq time"], *, beta: float
) -> Float[Array, "*batch"]:
    """What the updates lower, summed over all bins: half the squared distance where beta is 2."""
    x, y = _observed(spectrogram, beta), jnp.maximum(estimate, EPSILON)
    if beta == 1:
        of_bins = jax.scipy.special.xlogy(x, x / y) - x + y
    elif beta == 0:
        of_bins = x / y - jnp.log(x / y) - 1
    else:
        of_bins = (x**beta + (beta - 1) * y**beta - beta * x * y ** (beta - 1)) / (beta * (beta - 1))
    return jnp.sum(of_bins, (-2, -1))


def _observed(spectrogram: Array, beta: float) -> Array:
    return jnp.maximum(spectrogram, EPSILON) if beta < 1 else spectrogram


def _updated(observed: Array, bases: Array, gains: Array, beta: float) -> Array:
    """One update of the gains; of the bases, with all matrices transposed."""
    estimate = jnp.maximum(bases @ gains, EPSILON)
    numerator = bases.mT @ (observed * _power(estimate, beta - 2))
    if beta == 1:
        denominator = jnp.sum(bases, -2)[..., None]
    else:
        denominator = bases.mT @ _power(estimate, beta - 1)
    step = numerator / jnp.maximum(denominator, EPSILON)
    # Within these exponents, no update raises the divergence.
    if beta < 1:
        step **= 1 / (2 - beta)
    elif beta > 2:
        step **= 1 / (beta - 1)
    return gains * step


def _power(x: Array, exponent: float) -> Array:
    # Of a whole number it is products, several times as fast.
    return jax.lax.integer_pow(x, int(exponent)) if float(exponent).is_integer() else x**exponent
