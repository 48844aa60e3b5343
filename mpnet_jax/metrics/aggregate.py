"""From values per mixture to a mean with an interval, and a count of what was left out."""

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Num

from mpnet_jax.metrics.bss_eval import NOT_FINITE

# Weights are made for this many (resample, mixture) entries at a time: 32 MB.
_CHUNK_ENTRIES = 4_000_000


def mixture_means(
    values: Float[np.ndarray, "..."], reasons: np.ndarray | None = None
) -> tuple[Float[np.ndarray, " mixture"], tuple[str, ...]]:
    """Averages the sources of each mixture; a mixture counts only when all its sources do.

    A separator must not gain by failing on the hard source of a pair, so one missing value leaves out the
    mixture.

    Args:
        values: (mixture, source), missing ones NaN or infinite.
        reasons: (mixture, source) strings, "" for a good value; those missing here are called "not finite".

    Returns:
        Mean of each mixture, NaN where it is left out, and the reason of each mixture ("" where it counts).

    Raises:
        ValueError: `values` without two axes, or `reasons` of another shape.
    """
    if values.ndim != 2 or (reasons is not None and reasons.shape != values.shape):
        other = "" if reasons is None else f" and reasons {reasons.shape}"
        raise ValueError(f"values has shape {values.shape}{other}; give (mixture, source) for both")
    found = []
    for row, row_values in enumerate(values):
        given = [] if reasons is None else [reason for reason in reasons[row] if reason]
        found.append(given[0] if given else "" if np.isfinite(row_values).all() else NOT_FINITE)
    keep = np.array([not reason for reason in found], dtype=bool)
    means = np.full(len(values), np.nan)
    means[keep] = values[keep].mean(axis=1)
    return means, tuple(found)


def count_left_out(reasons: Iterable[str]) -> dict[str, int]:
    """Counts mixtures left out by reason, the most frequent first; "" means nothing was wrong."""
    return dict(Counter(reason for reason in reasons if reason).most_common())


def summarise(
    values: Num[np.ndarray, "..."],
    video_ids: Sequence[Sequence[Hashable]],
    *,
    seed: int = 0,
    resamples: int = 2000,
) -> dict[str, Any]:
    """Mean over mixtures with a 95 % interval over videos.

    Mixtures share videos, so they are not independent and a bootstrap over mixtures would promise too much.
    Here the videos are drawn with replacement, and a mixture's weight is the product of how often each of its
    videos was drawn: the pigeonhole (multiway) bootstrap. The interval lies between the 2.5 % and 97.5 %
    quantiles of the weighted means. Resamples in which no mixture keeps all its videos are drawn anew.

    Args:
        values: one value a mixture; NaN and infinite ones are left out.
        video_ids: the videos of each mixture; one that occurs twice in a mixture counts once.
        seed: of the resampling.
        resamples: how many.

    Returns:
        JSON-ready {"mean": float, "ci95": [low, high], "count": int}. `mean` is None without a valid mixture;
        `ci95` is None when all come from the same videos, where nothing is known of the spread.

    Raises:
        ValueError: lengths that differ, a mixture without videos, or less than one resample.

    Source: Owen 2007, "The pigeonhole bootstrap", Annals of Applied Statistics 1(2), 386-411.
    """
    if values.ndim != 1 or len(values) != len(video_ids):
        raise ValueError(
            f"values has shape {values.shape} and video_ids {len(video_ids)} entries; give one of each a mixture"
        )
    if resamples < 1:
        raise ValueError(f"resamples={resamples} must be at least 1; 2000 is usual")
    if not all(len(ids) for ids in video_ids):
        empty = next(index for index, ids in enumerate(video_ids) if not len(ids))
        raise ValueError(f"mixture {empty} names no video; give the ids of the videos it was made of")
    keep = np.flatnonzero(np.isfinite(values))
    valid = values[keep].astype(np.float64)
    sets = [tuple(dict.fromkeys(video_ids[index])) for index in keep.tolist()]
    interval = None
    if len({frozenset(ids) for ids in sets}) > 1:
        means = _resampled_means(valid, sets, np.random.default_rng(seed), resamples)
        interval = [float(bound) for bound in np.quantile(means, [0.025, 0.975])]
    return {"mean": float(valid.mean()) if len(valid) else None, "ci95": interval, "count": len(valid)}


def _resampled_means(
    values: np.ndarray, sets: Sequence[Sequence[Hashable]], rng: np.random.Generator, resamples: int
) -> np.ndarray:
    """Weighted means of `resamples` draws of videos, (resample,)."""
    columns = {video: column for column, video in enumerate(dict.fromkeys(v for ids in sets for v in ids))}
    # Shorter mixtures point at one more column which is always drawn exactly once.
    width = max(map(len, sets))
    always = len(columns)
    members = np.full((len(sets), width), always)
    for row, ids in enumerate(sets):
        members[row, : len(ids)] = [columns[video] for video in ids]
    means: list[np.ndarray] = []
    missing = resamples
    while missing:
        rows = max(1, min(missing, math.ceil(_CHUNK_ENTRIES / len(sets))))
        drawn = rng.multinomial(always, np.full(always, 1.0 / always), size=rows)
        drawn = np.concatenate([drawn, np.ones((rows, 1), dtype=drawn.dtype)], axis=1)
        weights = drawn[:, members[:, 0]].astype(np.float64)
        for position in range(1, width):
            weights *= drawn[:, members[:, position]]
        totals = weights.sum(axis=1)
        drawn_any = totals > 0
        means.append((weights[drawn_any] @ values) / totals[drawn_any])
        missing -= int(drawn_any.sum())
    return np.concatenate(means)
