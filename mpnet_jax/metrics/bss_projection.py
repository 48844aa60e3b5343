"""Least-squares projections of BSS Eval, computed from correlations at short lags.

An estimate is projected on its own reference, delayed by 0 to 511 samples, and on all references with these delays. The
normal equations need correlations at lags below 512 only, which short FFTs compute block by block. One Cholesky factor
serves all estimates of a mixture. It preconditions conjugate gradients on the waveforms, which correct the rounding of
the correlations: the first step gives the solution, the second one checks it and is usually the last.

Correlations in double precision lose components that are 160 dB below the loudest part of a reference's spectrum, such
as the rounding noise of a low-passed float32 waveform. A projection may use them, and conjugate gradients recover them.
Components 210 dB below count as silence.
"""

import functools
import itertools
import threading
from collections.abc import Iterator

import numpy as np
import scipy.fft
from jaxtyping import Float
from scipy.linalg import get_blas_funcs, get_lapack_funcs, toeplitz
from threadpoolctl import ThreadpoolController

TAPS = 512
FFT_SAMPLES = 4096  # The fastest of 2,048 to 16,384; the data stays in the cache.
BLOCK_SAMPLES = FFT_SAMPLES - TAPS + 1  # No lag wraps around.

# Iterations end when the next step would explain less energy than these fractions of the estimate's and the residual's
# energy, added up. Interference 100 dB below the estimate is then accurate to 0.0001 dB.
_TOLERANCE_ESTIMATE = 1e-22
_TOLERANCE_RESIDUAL = 1e-17
_MOST_STEPS = 100  # Reached only by float64 waveforms with a continuum of levels down to silence.
# A filter of unit energy whose output has less than this fraction of a reference's energy counts as silent. The
# rounding noise of float32 waveforms is at 1e-16, that of computed float64 sinusoids at about 1e-24.
_DAMPING = 1e-21

# Interference counts as zero below these fractions of the estimate's and the distortion's energy, added up.
NOTHING_ESTIMATE = 1e-20
NOTHING_RESIDUAL = 1e-15

# Added to the diagonal, in units of a reference's energy, if rounding makes the matrix indefinite.
_FIRST_SHIFT = 1e-14

(_factorise,) = get_lapack_funcs(("potrf",), dtype=np.float64)
(_solve_triangular,) = get_blas_funcs(("trsv",), dtype=np.float64)

_kept = threading.local()  # Each thread's memory; see `_memory`.


@functools.cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()


def bss_ratios(
    reference: Float[np.ndarray, "source samples"], estimates: Float[np.ndarray, "variant source samples"]
) -> Float[np.ndarray, "ratio variant source"]:
    """Computes SDR, SIR and SAR in dB, without permutation, with distortion filters of 512 taps.

    A result depends on the references and its estimate alone, to the last bit. It does not depend on the other
    estimates, nor on the number of cores, because linear algebra runs on one thread.

    Args:
        reference: True waveforms, finite and not silent.
        estimates: Separated waveforms, finite and not silent; estimate s belongs to reference s.

    Returns:
        The ratios, (3, variant, source). SIR is infinite where the interference has less than 1e-20 of the estimate's
        energy plus 1e-15 of the distortion's: with a single reference, or where the others are scaled copies of it.

    Source: Vincent et al. 2006, "Performance measurement in blind audio source separation", Section III.
    """
    with _controller().limit(limits=1, user_api="blas"):
        projector = _Projector(reference)
        entries = [entry for variant in estimates for entry in _variant_ratios(projector, variant)]
    return np.moveaxis(np.reshape(entries, (*estimates.shape[:2], 3)), -1, 0)


def _variant_ratios(projector: "_Projector", variant: np.ndarray) -> Iterator[tuple[float, float, float]]:
    done: list[tuple[np.ndarray, ...]] = []
    for source, samples in enumerate(variant):
        # Equal estimates, such as the mixture for every source, are projected on all references once.
        same = next((i for i in range(source) if np.array_equal(samples, variant[i])), None)
        if same is None:
            estimate = projector.padded(samples)
            moments = projector.moments(estimate)
            done.append((estimate, moments, projector.artefacts(estimate, moments)))
        else:
            done.append(done[same])
        estimate, moments, artefacts = done[source]
        yield _ratios(estimate, projector.distortion(estimate, moments, source), artefacts)


def _ratios(estimate: np.ndarray, distortion: np.ndarray, artefacts: np.ndarray) -> tuple[float, float, float]:
    """Computes SDR, SIR and SAR from an estimate and the residuals of its two projections."""
    target = _energy(estimate - distortion)
    interference = _energy(distortion - artefacts)
    if interference <= NOTHING_ESTIMATE * _energy(estimate) + NOTHING_RESIDUAL * _energy(distortion):
        interference = 0.0
    return (
        _decibels(target, _energy(distortion)),
        _decibels(target, interference),
        _decibels(_energy(estimate - artefacts), _energy(artefacts)),
    )


class _Projector:
    """Projects waveforms on delayed references.

    Args:
        reference: True waveforms, (source, samples).
    """

    def __init__(self, reference: np.ndarray) -> None:
        self._blocks = -(-reference.shape[1] // BLOCK_SAMPLES)
        self.padded_samples = self._blocks * BLOCK_SAMPLES + TAPS - 1
        padded = [self.padded(sound) for sound in reference]
        starts = [sound[: 1 - TAPS].reshape(self._blocks, BLOCK_SAMPLES) for sound in padded]
        self._spectra = np.stack([np.asarray(scipy.fft.rfft(start, FFT_SAMPLES)) for start in starts])
        # lags[i, j, lag] is the sum over t of reference i at t times reference j at t + lag.
        lags = np.stack([self.moments(sound).reshape(-1, TAPS) for sound in padded], axis=1)
        side, count = len(reference) * TAPS, len(reference)
        memory = _memory(side**2 + count * TAPS**2)
        self._factor = _factor(lags, memory[: side**2].reshape(side, side))
        own = memory[side**2 :].reshape(count, TAPS, TAPS)
        # The leading block of the Cholesky factor is the factor of the first reference alone.
        own[0] = self._factor.T[:TAPS, :TAPS]
        others = [_factor(lags[i : i + 1, i : i + 1], own[i]) for i in range(1, count)]
        self._own_factors = [own[0].T, *others]

    def padded(self, sound: np.ndarray) -> np.ndarray:
        """Returns the waveform, scaled to unit energy and followed by zeros."""
        out = np.zeros(self.padded_samples)
        peak = max(sound.max(), -sound.min())  # Divided out first, since the energy may overflow.
        np.divide(sound, peak, out=out[: sound.size])
        out /= np.sqrt(_energy(out))
        return out

    def moments(self, estimate: np.ndarray) -> np.ndarray:
        """Returns the inner products of all delayed references with an estimate, (source * delay,)."""
        return self._correlations(self._spectra, estimate)

    def artefacts(self, estimate: np.ndarray, moments: np.ndarray) -> np.ndarray:
        """Returns the residual of the projection on all references."""
        return self._unexplained(estimate, moments, self._spectra, self._factor)

    def distortion(self, estimate: np.ndarray, moments: np.ndarray, source: int) -> np.ndarray:
        """Returns the residual of the projection on one reference."""
        spectra = self._spectra[source : source + 1]
        return self._unexplained(estimate, moments[_taps(source)], spectra, self._own_factors[source])

    def _unexplained(
        self, estimate: np.ndarray, moments: np.ndarray, spectra: np.ndarray, factor: np.ndarray
    ) -> np.ndarray:
        """Returns a projection's residual, by preconditioned conjugate gradients for damped least squares.

        Source: Björck 1996, "Numerical Methods for Least Squares Problems", Section 7.4.
        """
        residual, gradient = estimate.copy(), moments
        filters, direction, before = np.zeros(len(factor)), np.zeros(len(factor)), 1.0
        for _ in range(_MOST_STEPS):
            half_step = _solve_triangular(factor, gradient, lower=1)
            explained = _energy(half_step)
            if explained <= _TOLERANCE_ESTIMATE + _TOLERANCE_RESIDUAL * _energy(residual):
                break
            step = _solve_triangular(factor, half_step, lower=1, trans=1)
            direction = step + explained / before * direction
            change = self._filtered(spectra, direction.reshape(-1, TAPS))
            length = explained / (_energy(change) + _DAMPING * _energy(direction))
            filters += length * direction
            change *= length
            residual -= change
            gradient = self._correlations(spectra, residual) - _DAMPING * filters
            before = explained
        return residual

    def _correlations(self, spectra: np.ndarray, sound: np.ndarray) -> np.ndarray:
        """Returns the inner products of delayed references with a waveform, (source * delay,)."""
        # Overlapping pieces of the waveform, (block, FFT_SAMPLES), and their conjugate spectra, (block, freq).
        pieces = np.lib.stride_tricks.sliding_window_view(sound, FFT_SAMPLES)[::BLOCK_SAMPLES]
        conjugate = np.asarray(scipy.fft.rfft(pieces))
        np.conjugate(conjugate, out=conjugate)
        # Cross spectra, summed over the blocks: (source, freq).
        products = np.stack([np.einsum("bf,bf->f", blocks, conjugate) for blocks in spectra])
        return np.asarray(scipy.fft.irfft(products.conj(), FFT_SAMPLES))[:, :TAPS].ravel()

    def _filtered(self, spectra: np.ndarray, filters: np.ndarray) -> np.ndarray:
        """Returns the sum of filtered references, by overlap-add."""
        responses = np.asarray(scipy.fft.rfft(filters, FFT_SAMPLES))
        products = spectra[0] * responses[0]
        for blocks, response in zip(spectra[1:], responses[1:], strict=True):
            products += blocks * response
        pieces = np.asarray(scipy.fft.irfft(products, FFT_SAMPLES))
        out = np.zeros(self.padded_samples)
        out[: 1 - TAPS] = pieces[:, :BLOCK_SAMPLES].ravel()
        for block, tail in enumerate(pieces[:, BLOCK_SAMPLES:], start=1):
            out[block * BLOCK_SAMPLES :][: TAPS - 1] += tail
        return out


def _taps(source: int) -> slice:
    return slice(source * TAPS, (source + 1) * TAPS)


def _memory(count: int) -> np.ndarray:
    """Returns memory for `count` numbers, reused for every mixture; allocating it may take longer than using it."""
    if getattr(_kept, "memory", np.empty(0)).size < count:
        _kept.memory = np.empty(count)
    return _kept.memory[:count]


def _factor(lags: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """Returns the lower Cholesky factor of the inner products of delayed references.

    If rounding has made the matrix indefinite, its diagonal is raised slightly. That only changes how fast the
    conjugate gradients converge, and hides nothing that correlations in double precision would show.

    Args:
        lags: Correlations of the references at lags from 0, (source, source, lag).
        upper: Memory for the result, (source * lag, source * lag); it is overwritten.
    """
    shift = 0.0
    while True:
        for i, j in itertools.combinations_with_replacement(range(len(lags)), 2):
            upper[_taps(i), _taps(j)] = toeplitz(lags[i, j], lags[j, i])
        upper[np.diag_indices(len(upper))] += shift
        # Transposed, the matrix has the memory layout of LAPACK.
        factor, failed = _factorise(upper.T, lower=1, clean=0, overwrite_a=1)
        if not failed:
            return factor
        shift = 10 * shift or _FIRST_SHIFT
        if shift > 1.0:
            raise ArithmeticError("a reference's correlations are not finite")


def _energy(sound: np.ndarray) -> float:
    return float(sound @ sound)


def _decibels(signal: float, noise: float) -> float:
    if noise == 0.0:
        return np.inf
    with np.errstate(divide="ignore"):
        return float(10 * (np.log10(signal) - np.log10(noise)))
