"""AMID: the structural similarity of each separated sound with the other true sounds; lower is better."""

import numpy as np
from jaxtyping import Float
from skimage.metrics import structural_similarity

DEFINITION = (
    "AMID: mean over ordered pairs i != j of SSIM(separated i, truth j), times 100. Each picture is "
    "min(200*log10(1+|S|), 255)/255 of a linear-frequency STFT magnitude; SSIM with Gaussian weights, "
    "sigma 1.5, population covariance, data range 1. Lower is better; silence alone scores well, so read it "
    "beside the mixture and the oracle masks."
)

# `structural_similarity` truncates its Gaussian at 3.5 sigma, which is 5 samples on each side.
_WINDOW = 11


def amid(separated_magnitude: Float[np.ndarray, "..."], true_magnitude: Float[np.ndarray, "..."]) -> float:
    """Returns the mean structural similarity of each separated sound with all true sounds but its own.

    Args:
        separated_magnitude: Linear-frequency STFT magnitudes of the estimates, (source, freq, time), not negative.
        true_magnitude: Magnitudes of the true sources, in the same shape.

    Returns:
        About -100 to 100; NaN for a single source, which has no pair, and if a magnitude is not finite.

    Raises:
        ValueError: The shapes differ, or the spectrograms are smaller than the SSIM window.

    Source: Eq. 11.
    """
    shape = separated_magnitude.shape
    if shape != true_magnitude.shape or len(shape) != 3:
        raise ValueError(
            f"separated_magnitude has shape {shape} and true_magnitude {true_magnitude.shape}; "
            "both must be the same (source, freq, time)"
        )
    if min(shape[1:]) < _WINDOW:
        raise ValueError(f"a picture of {shape[1]} x {shape[2]} is too small; SSIM needs {_WINDOW} x {_WINDOW}")
    if not (np.isfinite(separated_magnitude).all() and np.isfinite(true_magnitude).all()):
        return float("nan")
    separated, true = _picture(separated_magnitude), _picture(true_magnitude)
    overlaps = [
        structural_similarity(
            separated[i],
            true[j],
            data_range=1.0,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
        for i in range(shape[0])
        for j in range(shape[0])
        if i != j
    ]
    return 100.0 * float(np.mean(overlaps)) if overlaps else float("nan")


def _picture(magnitude: np.ndarray) -> np.ndarray:
    # In float32 the structural similarity takes 0.6 times as long, and AMID changes by less than 1e-5.
    return np.minimum(200.0 * np.log10(1.0 + magnitude.astype(np.float32)), 255.0, dtype=np.float32) / np.float32(255.0)
