"""Chooses the threshold of the Plus-Net's mask in written sounds on validation mixtures."""

from collections.abc import Callable, Iterable, Sequence

from mpnet_jax.steps.device_pass import HostBatch, Separator
from mpnet_jax.steps.separated_mixtures import validation_score

TRIED = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7)


def scores_by_threshold(
    separator_of: Callable[[float], Separator], batches: Iterable[HostBatch], tried: Sequence[float] = TRIED
) -> dict[float, float]:
    """Returns the mean improvement in SI-SDR, in dB, for each threshold; see `Rules.plus_threshold`.

    Args:
        separator_of: Returns the evaluation pass with a threshold.
        batches: Fixed validation batches.
        tried: The thresholds.
    """
    kept = list(batches)
    return {threshold: validation_score(separator_of(threshold), kept) for threshold in tried}


def best(scores: dict[float, float]) -> float:
    """Returns the threshold with the best score; of equal ones the least, which changes the least."""
    return max(sorted(scores), key=lambda threshold: scores[threshold])
