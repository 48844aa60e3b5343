"""Means of the scores of separated mixtures."""

from collections.abc import Mapping, Sequence

import numpy as np

from mpnet_jax.metrics.aggregate import mixture_means
from mpnet_jax.metrics.workers import SourceScores

MIXTURE = "mixture"  # variant that is the unprocessed mixture, whose SDR an NSDR is relative to


def variant_means(variant: str, scores: Sequence[Mapping[str, SourceScores]]) -> dict[str, np.ndarray]:
    """Returns NSDR, SIR and SAR of each mixture for a variant, in dB; NaN where a source has no score."""
    ratios = {name: np.stack([getattr(s[variant], name) for s in scores]) for name in ("sdr", "sir", "sar")}
    nsdr = ratios.pop("sdr") - np.stack([s[MIXTURE].sdr for s in scores])
    return {name: mixture_means(values)[0] for name, values in ({"nsdr": nsdr} | ratios).items()}
