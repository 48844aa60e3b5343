"""Groups the finished cells of a comparison by method, mask and sounds, and estimates means over seeds."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mpnet_jax.comparison.cells import Cell
from mpnet_jax.metrics.names import METRICS
from mpnet_jax.metrics.resampling import Drawn, Draws, Sample, paired

TOLD = "miml_told"  # MIML with the true classes, evaluated with MIML's run
METHODS = (TOLD, "miml", "pixelplayer", "mnet", "mnet_longer", "mpnet_paper", "mpnet")
_NAMES = {"mnet_longer": "mnet", "mpnet_paper": "mpnet"}


@dataclasses.dataclass(frozen=True)
class Entry:
    """A row of the tables: a method with its mask, number of sounds in training and, in an ablation, change.

    Attributes:
        method: One of `METHODS`.
        mask, sources, change: See `Cell`.
        results: The contents of its cells' files by seed.
    """

    method: str
    mask: str
    sources: int
    change: str
    results: Mapping[int, Mapping[str, Any]]

    @property
    def key(self) -> str:
        """Name of the entry in a results file."""
        return f"{self.method}-{self.mask}-mix{self.sources}"

    @property
    def own(self) -> str:
        """Name of the list of mixtures with as many sounds as in training."""
        return f"mix{self.sources}"

    @property
    def _name(self) -> str:
        """Name in the cells' files, which hold the names of results of `mpnet_jax.methods`."""
        return _NAMES.get(self.method, self.method)

    def samples(
        self, name: str, metric: str, *, of_what: str | None = None, part: str = "methods"
    ) -> dict[int, Sample]:
        """Returns a metric of the method, or of `of_what`, on a list of mixtures, for the seeds that have it."""
        samples = {}
        for seed, result in self.results.items():
            listed = result["lists"].get(name, {})
            values = listed.get(part, {}).get(of_what or self._name, {}).get(metric)
            if values is not None:
                array = np.array([np.nan if value is None else value for value in values], np.float64)
                samples[seed] = Sample(array, _video_ids(result, listed))
        return samples

    def counted_right(self, mode: str, *, as_trained: bool) -> dict[int, Sample]:
        """Returns whether the number of sounds was right; `as_trained` keeps samples of 1 to `sources` sounds."""
        samples = {}
        for seed, result in self.results.items() if self.method == "mpnet" else ():
            listed, counted = result["lists"].get("counting"), result.get("counting", {}).get(mode)
            if listed and counted:
                sounding = np.array(listed["sounding"])
                right = (np.array(counted["counted"]) == sounding).astype(np.float64)
                if as_trained:
                    right[(sounding < 1) | (sounding > self.sources)] = np.nan
                samples[seed] = Sample(right, _video_ids(result, listed))
        return samples


def gather(made: Mapping[Cell, Mapping[str, Any]]) -> list[Entry]:
    """Returns the entries of finished cells in the order of the tables."""
    by_row: dict[tuple[str, str, int, str], dict[int, Any]] = {}
    for cell, result in made.items():
        for method in (TOLD, "miml") if cell.method == "miml" else (cell.method,):
            by_row.setdefault((method, cell.mask, cell.sources, cell.change), {})[cell.seed] = result
    rows = sorted(by_row, key=lambda row: (METHODS.index(row[0]), row[1], row[2]))
    return [Entry(*row, results=dict(sorted(by_row[row].items()))) for row in rows]


def mean(samples: Mapping[int, Sample]) -> Drawn | None:
    """Returns the mean over seeds; None without samples."""
    return draws_of([samples]).mean(samples) if samples else None


def estimated(drawn: Mapping[str, Drawn | None], **bounds: float) -> dict[str, Any]:
    """Returns the estimates of the means that are not None."""
    return {key: one.estimate(**bounds) for key, one in drawn.items() if one is not None}


def estimates(entry: Entry, name: str) -> dict[str, Any]:
    """Returns {metric: estimate} for a list of mixtures; empty where no cell has the list."""
    return estimated({metric: mean(entry.samples(name, metric)) for metric in METRICS})


def differences(first: Entry, second: Entry, name: str) -> dict[str, Any]:
    """Returns {metric: estimate} of first minus second, paired by seed and mixture."""
    return estimated({metric: difference(first, second, name, metric) for metric in METRICS})


def difference(first: Entry, second: Entry, name: str, metric: str) -> Drawn | None:
    """Returns first minus second over the seeds that both have; None without such seeds or with other mixtures."""
    a, b = common(first.samples(name, metric), second.samples(name, metric))
    if not a or any(a[seed].video_ids != b[seed].video_ids for seed in a):
        return None
    return paired(a, b, draws_of([a]))


def common(*samples: Mapping[int, Sample]) -> list[dict[int, Sample]]:
    """Returns the samples of the seeds that all have."""
    seeds = set.intersection(*(set(of) for of in samples))
    return [{seed: of[seed] for seed in sorted(seeds)} for of in samples]


def draws_of(samples: Sequence[Mapping[int, Sample]]) -> Draws:
    """Returns the draws for samples that have the same seeds."""
    videos = {video for of in samples for sample in of.values() for row in sample.video_ids for video in row}
    return _draws(tuple(sorted(samples[0])), tuple(sorted(videos)))


@functools.lru_cache(maxsize=16)  # a few MB each
def _draws(seeds: tuple[int, ...], videos: tuple[str, ...]) -> Draws:
    return Draws(seeds, videos)


def _video_ids(result: Mapping[str, Any], listed: Mapping[str, Any]) -> list[list[str]]:
    return [[result["videos"][place] for place in row] for row in listed["rows"]]
