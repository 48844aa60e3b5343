"""BSS Eval version 3: SDR, SIR and SAR of separated sounds."""

import warnings
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from mpnet_jax.metrics.bss_projection import bss_ratios

DEFINITION = (
    "SDR, SIR, SAR: BSS Eval version 3 in dB, time-invariant distortion filters of 512 taps, no permutation, "
    "on waveforms rebuilt with the phase of the mixture. NSDR: SDR less the SDR of the mixture itself."
)

SILENT_REFERENCE = "silent reference"
SILENT_ESTIMATE = "silent estimate"
NOT_FINITE = "not finite"
DEPENDENT_REFERENCES = "dependent references"

Ratios = Float[np.ndarray, "variant source"]
Method = Callable[[Float[np.ndarray, "source samples"], Float[np.ndarray, "variant source samples"]], np.ndarray]


class BssEval(NamedTuple):
    """Ratios in dB, each float64 (variant, source), NaN where `reason` is not empty.

    Attributes:
        sdr: Source-to-distortion ratios.
        sir: Source-to-interference ratios. Infinite where no interference can be distinguished, as with a single
            source; see `bss_projection.bss_ratios`.
        sar: Source-to-artefacts ratios.
        reason: Strings (variant, source): why the three ratios are missing, or "".
    """

    sdr: Ratios
    sir: Ratios
    sar: Ratios
    reason: np.ndarray


class SingularReferences(ArithmeticError):
    """Raised when no projection exists because a reference is a filtered copy of the others."""


def bss_eval(
    reference: Float[np.ndarray, "..."], estimates: Float[np.ndarray, "..."], *, method: str = "fft"
) -> BssEval:
    """Scores several separations of one mixture against its true sources.

    A silent or non-finite estimate has no ratios; the other estimates keep theirs. With a silent or non-finite
    reference the mixture has no ratios at all, because interference is a projection on all references together.
    References that are filtered copies of each other have ratios, except with "mir_eval".

    Args:
        reference: True waveforms, (source, samples).
        estimates: Separated waveforms, (variant, source, samples); estimate s belongs to reference s.
        method: One of `METHODS`: "fft" is this project's implementation, "mir_eval" the published one.

    Returns:
        SDR, SIR and SAR in dB, and the reason of each missing value.

    Raises:
        ValueError: The method is unknown, or the shapes do not match.

    Source: Vincent et al. 2006, "Performance measurement in blind audio source separation", Section III.
    """
    if method not in METHODS:
        raise ValueError(f"method={method!r} is unknown; choose one of {', '.join(sorted(METHODS))}")
    _check_shapes(reference, estimates)
    reason = _reasons(reference, estimates)
    ratios = np.full((3, *reason.shape), np.nan)
    scored = reason == ""
    if scored.any():
        # An invalid estimate is replaced by its reference and masked out below, so that the other estimates of the same
        # variant keep their values.
        valid = np.where(scored[..., np.newaxis], estimates, reference[np.newaxis]).astype(np.float64)
        used = scored.any(axis=1)
        try:
            ratios[:, used] = METHODS[method](reference.astype(np.float64), valid[used])
        except SingularReferences:
            reason[scored] = DEPENDENT_REFERENCES
        else:
            reason[scored & np.isnan(ratios).any(axis=0)] = NOT_FINITE
        ratios[:, reason != ""] = np.nan
    return BssEval(*ratios, reason=reason)


def _check_shapes(reference: np.ndarray, estimates: np.ndarray) -> None:
    if reference.ndim != 2:
        raise ValueError(f"reference has shape {reference.shape}; give (source, samples)")
    if estimates.ndim != 3:
        raise ValueError(
            f"estimates has shape {estimates.shape}; give (variant, source, samples), "
            "with a leading axis of one for a single variant"
        )
    if estimates.shape[1:] != reference.shape:
        raise ValueError(
            f"estimates has shape {estimates.shape} and reference {reference.shape}; "
            "source and samples must be the same in both"
        )
    if 0 in estimates.shape:
        raise ValueError(f"estimates has shape {estimates.shape}; no axis may be empty")


def _reasons(reference: np.ndarray, estimates: np.ndarray) -> np.ndarray:
    reason = np.full(estimates.shape[:2], "", dtype=object)
    reason[~estimates.any(axis=-1)] = SILENT_ESTIMATE
    reason[~np.isfinite(estimates).all(axis=-1)] = NOT_FINITE
    if not reference.any(axis=-1).all():
        reason[:] = SILENT_REFERENCE
    if not np.isfinite(reference).all():
        reason[:] = NOT_FINITE
    return reason


def _mir_eval(reference: np.ndarray, estimates: np.ndarray) -> np.ndarray:
    """Computes the ratios with mir_eval, one variant after the other: (ratio, variant, source)."""
    import mir_eval  # takes half a second, and the other method does not need it

    with warnings.catch_warnings():
        # The module is deprecated and leaves mir_eval in 0.9; pyproject.toml pins an older version.
        warnings.filterwarnings("ignore", r"\s*mir_eval\.separation", FutureWarning)
        try:
            ratios = [
                mir_eval.separation.bss_eval_sources(reference, one, compute_permutation=False)[:3] for one in estimates
            ]
        except (np.linalg.LinAlgError, AttributeError) as error:
            # AttributeError: mir_eval's handler of a singular matrix names an exception that NumPy 2 has moved.
            if isinstance(error, AttributeError) and not isinstance(error.__context__, np.linalg.LinAlgError):
                raise
            raise SingularReferences from error
    return np.moveaxis(np.asarray(ratios), 0, 1)


METHODS: Mapping[str, Method] = MappingProxyType({"fft": bss_ratios, "mir_eval": _mir_eval})
