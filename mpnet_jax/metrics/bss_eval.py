"""BSS Eval version 3: how much of an estimate is its source, the other sources, or neither."""

import warnings
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import mir_eval
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
    """Ratios in dB, each (variant, source) float64, NaN where `reason` is not empty.

    Attributes:
        sdr: source to distortion.
        sir: source to interference; infinite where none is distinguishable, as with a single source. See
            `bss_projection.bss_ratios`.
        sar: source to artefacts.
        reason: (variant, source) strings: "" or why the three values are missing.
    """

    sdr: Ratios
    sir: Ratios
    sar: Ratios
    reason: np.ndarray


class SingularReferences(ArithmeticError):
    """No projection exists: one reference is a filtered copy of the others."""


def bss_eval(
    reference: Float[np.ndarray, "..."], estimates: Float[np.ndarray, "..."], *, method: str = "fft"
) -> BssEval:
    """Scores several separations of one mixture against its true sources.

    A silent or non-finite estimate spoils only its own entry. A silent or non-finite reference spoils the
    whole mixture: interference is a projection on all references together, and a zero spans nothing. References that
    are filtered copies of each other are projected on all the same, except by "mir_eval", which has no value then.

    Args:
        reference: true waveforms, (source, samples).
        estimates: separated waveforms, (variant, source, samples); estimate s belongs to reference s.
        method: one of `METHODS`: "fft" is our own, "mir_eval" the published implementation.

    Returns:
        SDR, SIR and SAR in dB, and why any is missing.

    Raises:
        ValueError: unknown method, or shapes that do not fit together.

    Source: Vincent et al. 2006, "Performance measurement in blind audio source separation", Section III.
    """
    if method not in METHODS:
        raise ValueError(f"method={method!r} is unknown; choose one of {', '.join(sorted(METHODS))}")
    _check_shapes(reference, estimates)
    reason = _reasons(reference, estimates)
    ratios = np.full((3, *reason.shape), np.nan)
    scored = reason == ""
    if scored.any():
        # A spoiled estimate is scored as a copy of its reference and masked out below, so that
        # its neighbours in the same variant keep their values.
        whole = np.where(scored[..., np.newaxis], estimates, reference[np.newaxis]).astype(np.float64)
        used = scored.any(axis=1)
        try:
            ratios[:, used] = METHODS[method](reference.astype(np.float64), whole[used])
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
    """The published implementation, one variant after the other: (ratio, variant, source)."""
    with warnings.catch_warnings():
        # The module announces its end in 0.9; pyproject.toml keeps an older one.
        warnings.filterwarnings("ignore", r"\s*mir_eval\.separation", FutureWarning)
        try:
            ratios = [
                mir_eval.separation.bss_eval_sources(reference, one, compute_permutation=False)[:3] for one in estimates
            ]
        except (np.linalg.LinAlgError, AttributeError) as error:
            # AttributeError: its handler of a singular matrix names an exception that NumPy 2 moved.
            if isinstance(error, AttributeError) and not isinstance(error.__context__, np.linalg.LinAlgError):
                raise
            raise SingularReferences from error
    return np.moveaxis(np.asarray(ratios), 0, 1)


METHODS: Mapping[str, Method] = MappingProxyType({"fft": bss_ratios, "mir_eval": _mir_eval})
