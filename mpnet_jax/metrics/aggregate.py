"""From values per mixture to a mean with an interval, and a count of what was left out."""

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
    video_ids: Sequence[Sequence[str]],
    *,
    seed: int = 0,
    resamples: int = 2000,
) -> dict[str, Any]:
    """Mean over mixtures with a 95 % interval over videos.

    Mixtures share videos, so they are not independent, and a bootstrap over mixtures would promise far too much. Here
    the videos are drawn with replacement. A mixture weighs 1 + sum(times each of its videos was drawn - 1): what a
    draw of videos does to the mean in first order. (The product of those times, the pigeonhole bootstrap, gives every
    mixture's own noise a weight that grows by 2 with each video: fair for pairs, too wide for five sounds.)
    The interval lies between the 2.5 % and the 97.5 % quantile of the weighted means. Nothing depends on the order of
    the mixtures, to the last bit.

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

    Source: Janssen 1994, "Weighted bootstrapping of U-statistics"; of the product: Owen and Eckles 2012,
    "Bootstrapping data arrays of arbitrary order".
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
        # A mean lies between the values, which first order does not know.
        interval = np.clip(np.quantile(means, [0.025, 0.975]), valid.min(), valid.max()).tolist()
    return {"mean": mean, "ci95": interval, "count": len(valid)}


def _resampled_deviations(
    deviations: np.ndarray, sets: Sequence[Sequence[str]], rng: np.random.Generator, resamples: int
) -> np.ndarray:
    """How far each draw of videos moves the mean, (resample,)."""
    columns = {video: column for column, video in enumerate(sorted({video for ids in sets for video in ids}))}
    sums = video_sums(deviations, sets, columns)
    drawn = rng.multinomial(len(columns), np.full(len(columns), 1.0 / len(columns)), size=resamples)
    return (drawn - 1.0) @ sums / len(deviations)


def video_sums(
    deviations: Float[np.ndarray, " mixture"], sets: Sequence[Sequence[str]], columns: Mapping[str, int]
) -> Float[np.ndarray, " video"]:
    """Sums of each video's mixtures: what one more draw of it adds.

    Args:
        deviations: of the mixtures from their mean.
        sets: the videos of each, none twice.
        columns: place of each video.
    """
    sums = np.zeros(len(columns))
    for ids, deviation in zip(sets, deviations.tolist(), strict=True):
        for video in ids:
            sums[columns[video]] += deviation
    return sums
