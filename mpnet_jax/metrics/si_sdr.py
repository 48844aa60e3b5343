"""Scale-invariant signal-to-distortion ratio, which is fast enough for validation during training."""

import numpy as np
from jaxtyping import Float


def si_sdr(reference: Float[np.ndarray, "..."], estimate: Float[np.ndarray, "..."]) -> np.ndarray:
    """Computes the ratio of the estimate's energy along the reference to its remaining energy; means are not removed.

    Args:
        reference: True waveforms, (..., samples).
        estimate: Separated waveforms, in the same shape.

    Returns:
        The ratios in dB, float64 (...). Infinite for a multiple of the reference, minus infinity for an orthogonal
        estimate, NaN where either waveform is silent or not finite.

    Raises:
        ValueError: The shapes differ, or there are no samples.

    Source: Le Roux et al. 2019, "SDR - half-baked or well done?".
    """
    if reference.shape != estimate.shape or reference.ndim == 0 or reference.shape[-1] == 0:
        raise ValueError(
            f"reference has shape {reference.shape} and estimate {estimate.shape}; "
            "give the same (..., samples) with at least one sample"
        )
    reference, estimate = _unit_peak(reference), _unit_peak(estimate)
    # Zero divided by zero gives the documented NaN.
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = np.sum(estimate * reference, axis=-1, keepdims=True) / np.sum(reference**2, axis=-1, keepdims=True)
        target = gain * reference
        signal = np.sum(target**2, axis=-1)
        distortion = np.sum((estimate - target) ** 2, axis=-1)
        return np.asarray(10.0 * np.log10(signal / distortion))


def _unit_peak(waveform: np.ndarray) -> np.ndarray:
    """Scales the peak to 1, so that no square underflows; the ratio does not depend on gain."""
    waveform = waveform.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return waveform / np.max(np.abs(waveform), axis=-1, keepdims=True)
