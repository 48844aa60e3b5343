"""BSS Eval version 3 on an accelerator: many mixtures in one compiled program.

The projections of `bss_projection` with a fixed number of steps, which is enough unless a reference has bands more
than 130 dB below its loudest.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float

from mpnet_jax.metrics.bss_projection import BLOCK_SAMPLES, FFT_SAMPLES, NOTHING_ESTIMATE, NOTHING_RESIDUAL, TAPS

_STEPS = 3
# On the diagonal of every matrix, since no branch asks whether it is needed; further steps take back what it hides.
_SHIFT = 1e-13


def bss_eval_batch(
    reference: Float[np.ndarray, "batch source samples"], estimates: Float[np.ndarray, "batch variant source samples"]
) -> Float[np.ndarray, "ratio batch variant source"]:
    """SDR, SIR and SAR in dB of many mixtures of the same shape, on JAX's default device.

    Args:
        reference: true waveforms, finite, none silent.
        estimates: separated waveforms, finite, none silent; estimate s belongs to reference s.

    Returns:
        (3, batch, variant, source) float64; SIR infinite as in `bss_projection.bss_ratios`.

    Raises:
        NotImplementedError: the platform has no float64.

    Source: Vincent et al. 2006, "Performance measurement in blind audio source separation", Section III.
    """
    platform = jax.default_backend()
    if platform not in ("cpu", "gpu", "cuda", "rocm"):
        raise NotImplementedError(f"platform {platform!r} has no float64, which BSS Eval needs; use method='fft'")
    with jax.enable_x64(True), jax.default_matmul_precision("highest"):
        return np.asarray(_batch(np.asarray(reference, np.float64), np.asarray(estimates, np.float64)))


@jax.jit
def _batch(reference: Array, estimates: Array) -> Array:
    return jnp.moveaxis(jax.vmap(_mixture)(reference, estimates), -1, 0)


def _mixture(reference: Array, estimates: Array) -> Array:
    """(source, samples) and (variant, source, samples) to (variant, source, ratio)."""
    padded = _padded(reference)
    count = padded.shape[-1] // BLOCK_SAMPLES
    starts = padded[:, : count * BLOCK_SAMPLES].reshape(-1, count, BLOCK_SAMPLES)
    spectra = jnp.fft.rfft(starts, FFT_SAMPLES)
    # [i, j]: sum over t of reference i at t times reference j at t + lag
    lags = jax.vmap(functools.partial(_correlations, spectra), out_axes=1)(padded)
    factor = _factor(lags)
    own_lags = _after(factor[-1, -1], jnp.stack([lags[i : i + 1, i : i + 1] for i in range(len(reference))]))
    own_factors = jax.vmap(_factor)(own_lags)

    def one(estimate: Array, own: Array, own_factor: Array) -> Array:
        distortion = _residual(estimate, own[jnp.newaxis], own_factor)
        return _ratios(estimate, distortion, _residual(_after(distortion, estimate), spectra, factor))

    return jax.vmap(jax.vmap(one), in_axes=(0, None, None))(_padded(estimates), spectra, own_factors)


def _after(done: Array, array: Array) -> Array:
    """The array, once something else is done.

    Two batches of LAPACK at a time in JAX on a CPU may each wait for the other's threads, for ever (jaxlib 0.10.2).
    """
    return array + 0.0 * done


def _padded(sound: Array) -> Array:
    samples = sound.shape[-1]
    whole = -(-samples // BLOCK_SAMPLES) * BLOCK_SAMPLES + TAPS - 1
    sound /= jnp.abs(sound).max(-1, keepdims=True)
    sound /= jnp.linalg.norm(sound, axis=-1, keepdims=True)
    return jnp.pad(sound, [(0, 0)] * (sound.ndim - 1) + [(0, whole - samples)])


def _factor(lags: Array) -> Array:
    difference = np.arange(TAPS)[:, np.newaxis] - np.arange(TAPS)
    blocks = jnp.where(
        difference >= 0, lags[..., np.abs(difference)], lags.swapaxes(0, 1)[..., np.abs(difference)]
    )  # source, source, tap, tap
    side = len(lags) * TAPS
    return jnp.linalg.cholesky(blocks.transpose(0, 2, 1, 3).reshape(side, side) + _SHIFT * jnp.eye(side))


def _residual(estimate: Array, spectra: Array, factor: Array) -> Array:
    residual = estimate
    for _ in range(_STEPS):
        gradient = _correlations(spectra, residual).ravel()
        half = solve_triangular(factor, gradient, lower=True)
        filters = solve_triangular(factor, half, lower=True, trans=1)
        residual -= _filtered(spectra, filters.reshape(-1, TAPS))
    return residual


def _correlations(spectra: Array, sound: Array) -> Array:
    starts = np.arange(spectra.shape[1])[:, np.newaxis] * BLOCK_SAMPLES
    pieces = jnp.fft.rfft(sound[starts + np.arange(FFT_SAMPLES)])
    return jnp.fft.irfft((spectra.conj() * pieces).sum(1), FFT_SAMPLES)[:, :TAPS]


def _filtered(spectra: Array, filters: Array) -> Array:
    responses = jnp.fft.rfft(filters, FFT_SAMPLES)
    pieces = jnp.fft.irfft((spectra * responses[:, jnp.newaxis]).sum(0), FFT_SAMPLES)
    tails = jnp.pad(pieces[:, BLOCK_SAMPLES:], ((0, 0), (0, BLOCK_SAMPLES - TAPS + 1)))
    out = jnp.pad(pieces[:, :BLOCK_SAMPLES], ((0, 1), (0, 0))) + jnp.pad(tails, ((1, 0), (0, 0)))
    return out.ravel()[: len(pieces) * BLOCK_SAMPLES + TAPS - 1]


def _ratios(estimate: Array, distortion: Array, artefacts: Array) -> Array:
    def energy(sound: Array) -> Array:
        return jnp.sum(sound**2)

    target, explained = energy(estimate - distortion), energy(estimate - artefacts)
    interference = energy(distortion - artefacts)
    nothing = NOTHING_ESTIMATE * energy(estimate) + NOTHING_RESIDUAL * energy(distortion)
    interference = jnp.where(interference <= nothing, 0.0, interference)
    pairs = ((target, energy(distortion)), (target, interference), (explained, energy(artefacts)))
    return jnp.stack([jnp.where(noise == 0, jnp.inf, 10 * jnp.log10(signal / noise)) for signal, noise in pairs])
