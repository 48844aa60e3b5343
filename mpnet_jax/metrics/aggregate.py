"""Means over mixtures with confidence intervals, and counts of the mixtures that are left out."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Num

from mpnet_jax.metrics.bss_eval import NOT_FINITE


def mixture_means(
    values: Float[np.ndarray, "..."], reasons: np.ndarray | None = None
) -> tuple[Float[np.ndarray, " mixture"], tuple[str, ...]]:
    """Averages the sources of each mixture.

    A mixture is left out if one of its values is missing: a separator must not profit from failing on the harder
    source.

    Args:
        values: Values (mixture, source); missing ones are NaN or infinite.
        reasons: Why a value is missing, strings (mixture, source), "" for a valid value. A missing value without a
            reason is "not finite".

    Returns:
        The mean of each mixture, NaN where it is left out, and the reason of each mixture, "" where it is not.

    Raises:
        ValueError: `values` does not have two axes, or `reasons` has another shape.
    """
    if values.ndim != 2 or (reasons is not None and reasons.shape != values.shape):
        other = "" if reasons is None else f" and reasons {reasons.shape}"
        raise ValueError(f"values has shape {values.shape}{other}; give (mixture, source) for both")
    of_mixtures = []
    for row, row_values in enumerate(values):
        given = [] if reasons is None else [reason for reason in reasons[row] if reason]
        of_mixtures.append(given[0] if given else "" if np.isfinite(row_values).all() else NOT_FINITE)
    keep = np.array([not reason for reason in of_mixtures], dtype=bool)
    means = np.full(len(values), np.nan)
    means[keep] = values[keep].mean(axis=1)
    return means, tuple(of_mixtures)


def count_left_out(reasons: Iterable[str]) -> dict[str, int]:
    """Counts the mixtures that are left out by reason, the most frequent first; "" stands for a valid mixture."""
    return dict(Counter(reason for reason in reasons if reason).most_common())


def summarise(
    values: Num[np.ndarray, "..."],
    video_ids: Sequence[Sequence[str]],
    *,
    seed: int = 0,
    resamples: int = 2000,
) -> dict[str, Any]:
    """Returns the mean over mixtures with a 95 % bootstrap interval over videos.

    Mixtures share videos, so they are not independent: a bootstrap over mixtures would give intervals that are far too
    narrow. Here the videos are drawn with replacement, and the interval lies between the 2.5 % and 97.5 % quantiles of
    the weighted means. A mixture has the weight 1 + sum(d - 1), where d is how often each of its videos was drawn: the
    first-order effect of a draw on the mean. (The product of all d, the pigeonhole bootstrap, counts a mixture's own
    noise once more with every video. That is fair for pairs, but too wide for five sounds.) The order of the mixtures
    does not change the result, to the last bit.

    Args:
        values: One value for each mixture; NaN and infinite ones are left out.
        video_ids: The videos of each mixture; repetitions within a mixture are ignored.
        seed: Seed of the resampling.
        resamples: Number of resamples.

    Returns:
        JSON-ready {"mean": float, "ci95": [low, high], "count": int}. `mean` is None without a valid mixture. `ci95` is
        None when all mixtures have the same videos, because the spread is then unknown.

    Raises:
        ValueError: The lengths differ, a mixture has no videos, or `resamples` is less than 1.

    Source: Janssen 1994, "Weighted bootstrapping of U-statistics"; the product: Owen and Eckles 2012, "Bootstrapping
    data arrays of arbitrary order".
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
    rows = sorted(
        (tuple(sorted(set(ids))), value)
        for ids, value in zip(video_ids, values.astype(np.float64).tolist(), strict=True)
        if math.isfinite(value)
    )
    if not rows:
        return {"mean": None, "ci95": None, "count": 0}
    sets, valid = [ids for ids, _ in rows], np.array([value for _, value in rows])
    mean = math.fsum(valid.tolist()) / len(valid)
    interval = None
    if len(set(sets)) > 1:
        means = mean + _resampled_deviations(valid - mean, sets, np.random.default_rng(seed), resamples)
        # A mean lies between the values; the first-order approximation may exceed them.
        interval = np.clip(np.quantile(means, [0.025, 0.975]), valid.min(), valid.max()).tolist()
    return {"mean": mean, "ci95": interval, "count": len(valid)}


def _resampled_deviations(
    deviations: np.ndarray, sets: Sequence[Sequence[str]], rng: np.random.Generator, resamples: int
) -> np.ndarray:
    """Returns how much each draw of videos changes the mean, (resample,)."""
    columns = {video: column for column, video in enumerate(sorted({video for ids in sets for video in ids}))}
    sums = video_sums(deviations, sets, columns)
    drawn = rng.multinomial(len(columns), np.full(len(columns), 1.0 / len(columns)), size=resamples)
    return (drawn - 1.0) @ sums / len(deviations)


def video_sums(
    deviations: Float[np.ndarray, " mixture"], sets: Sequence[Sequence[str]], columns: Mapping[str, int]
) -> Float[np.ndarray, " video"]:
    """Returns, for each video, the sum of the deviations of its mixtures, which one more draw of the video adds.

    Args:
        deviations: Deviations of the mixtures from their mean.
        sets: The videos of each mixture, without repetitions.
        columns: Index of each video in the result.
    """
    sums = np.zeros(len(columns))
    for ids, deviation in zip(sets, deviations.tolist(), strict=True):
        for video in ids:
            sums[columns[video]] += deviation
    return sums
