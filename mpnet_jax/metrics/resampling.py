"""Means over seeds and videos with intervals, and differences of them, all by the same draws.

A method's number is a mean over runs with several seeds, each evaluated on the same mixtures. Another draw of seeds and
another draw of videos would both have given another number. Here both are drawn: videos as in `aggregate.summarise`,
the same ones for every seed and every method; and seeds, by weights that give every contrast of n means Student's t of
n - 1 degrees. (Seeds drawn with replacement have the right variance at best, and too short tails: of three seeds they
cover the truth 81 times of 100, not 95.)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from mpnet_jax.metrics.aggregate import video_sums


@dataclass(frozen=True)
class Sample:
    """The values of one seed.

    Attributes:
        values: one a mixture; NaN where it is left out.
        video_ids: of each mixture.
    """

    values: Float[np.ndarray, " mixture"]
    video_ids: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Drawn:
    """A mean and what the draws make of it.

    Attributes:
        mean: over seeds of the means over mixtures.
        means: the same of every draw, (resample,).
        count: valid values, over all seeds.
        seeds: how many.
    """

    mean: float
    means: Float[np.ndarray, " resample"]
    count: int
    seeds: int

    def __sub__(self, other: "Drawn | float") -> "Drawn":
        if isinstance(other, Drawn):
            count = min(self.count, other.count)
            return Drawn(self.mean - other.mean, self.means - other.means, count, min(self.seeds, other.seeds))
        return Drawn(self.mean - other, self.means - other, self.count, self.seeds)

    def estimate(self, *, low: float = -np.inf, high: float = np.inf) -> dict[str, Any]:
        """JSON-ready {"mean", "ci95", "count", "seeds"}, the interval within what is possible."""
        interval = np.clip(np.quantile(self.means, [0.025, 0.975]), low, high).tolist()
        return {"mean": self.mean, "ci95": interval, "count": self.count, "seeds": self.seeds}


class Draws:
    """Draws of seeds and videos, shared by all that is compared.

    Args:
        seeds: of the runs.
        videos: of all mixtures.
        resamples: how many draws; t of two degrees has long tails, and its quantiles need many.
        seed: of the drawing.
    """

    def __init__(self, seeds: Sequence[int], videos: Sequence[str], *, resamples: int = 10_000, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self._seeds, self._columns = tuple(sorted(seeds)), {video: i for i, video in enumerate(sorted(videos))}
        count, videos_count = len(self._seeds), len(self._columns)
        of_videos = rng.multinomial(videos_count, np.full(videos_count, 1.0 / videos_count), size=resamples)
        self._video_changes = of_videos - 1.0
        self._seed_weights = np.ones((resamples, 1))
        if count > 1:
            # Their sum with the seeds' values is mean + spread / sqrt(n) * t: the weighted normals are a normal of the
            # values' sum of squares, and chi square makes Student's t of it. They sum to 1.
            normal = rng.standard_normal((resamples, count))
            normal -= normal.mean(axis=1, keepdims=True)
            self._seed_weights = 1.0 / count + normal / np.sqrt(count * rng.chisquare(count - 1, (resamples, 1)))

    def mean(self, samples: Mapping[int, Sample]) -> Drawn | None:
        """The mean of every seed's mean, each mixture counting once.

        Args:
            samples: of each of the seeds.

        Returns:
            None where a seed has no valid value.
        """
        means, moved, count = [], [], 0
        for seed in self._seeds:
            sample = samples[seed]
            valid = np.flatnonzero(np.isfinite(sample.values))
            if not len(valid):
                return None
            values = sample.values[valid].astype(np.float64)
            means.append(float(values.mean()))
            sets = [sorted(set(sample.video_ids[index])) for index in valid.tolist()]
            sums = video_sums(values - means[-1], sets, self._columns)
            moved.append(means[-1] + self._video_changes @ sums / len(valid))
            count += len(valid)
        return Drawn(
            mean=float(np.mean(means)),
            means=np.sum(self._seed_weights * np.stack(moved, axis=1), axis=1),
            count=count,
            seeds=len(means),
        )


def paired(first: Mapping[int, Sample], second: Mapping[int, Sample], draws: Draws) -> Drawn | None:
    """The mean difference of two methods on the same mixtures; a mixture that either leaves out is left out.

    Args:
        first: of each seed.
        second: of the same seeds, on the same mixtures.
        draws: of these seeds.
    """
    differences = {
        seed: Sample(sample.values - second[seed].values, sample.video_ids) for seed, sample in first.items()
    }
    return draws.mean(differences)
