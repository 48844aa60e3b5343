"""The finished cells of a comparison, seed beside seed, and estimates over seeds and videos of what they found."""

import dataclasses
import functools
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mpnet_jax.comparison.cell_files import diverged, read
from mpnet_jax.comparison.cells import Cell
from mpnet_jax.metrics.names import METRICS
from mpnet_jax.metrics.resampling import Drawn, Draws, Sample, paired

# The M-Net that MP-Net's later rounds start from: it comes out of MP-Net's run.
ROUND_ONE = "mnet_round_one"
TOLD = "miml_told"  # MIML with the true classes, of MIML's run
# SAR in dB: true sounds separated by true masks have 15 to 20, the untouched mixture 150.
UNTOUCHED = 40.0
METHODS = (TOLD, "miml", "pixelplayer", ROUND_ONE, "mnet", "mpnet")
_BESIDE = {"mpnet": ROUND_ONE, "miml": TOLD}  # what else comes out of a method's cell
_WITHIN = {ROUND_ONE: "mnet"}  # under which name it stands in its cell


@dataclasses.dataclass(frozen=True)
class Entry:
    """A row of a table: a method with its mask and the sounds of its training, in several seeds.

    Attributes:
        method: one of `METHODS`.
        mask: see `Cell`.
        sources: see `Cell`.
        results: the files of its cells, by seed.
    """

    method: str
    mask: str
    sources: int
    results: Mapping[int, Mapping[str, Any]]

    @property
    def key(self) -> str:
        """Its name in a results file."""
        return f"{self.method}-{self.mask}-mix{self.sources}"

    @property
    def _name(self) -> str:
        return _WITHIN.get(self.method, self.method)

    @property
    def own(self) -> str:
        """The list of mixtures of as many sounds as in training."""
        return f"mix{self.sources}"

    def samples(
        self, name: str, metric: str, *, of_what: str | None = None, part: str = "methods"
    ) -> dict[int, Sample]:
        """A metric on a list of mixtures, of the seeds that have it; of the method, or what else the list has."""
        found = {}
        key = of_what or self._name
        for seed, result in self.results.items():
            of = result["lists"].get(name, {})
            values = of.get(part, {}).get(key, {}).get(metric)
            if values is not None:
                array = np.array([np.nan if value is None else value for value in values], np.float64)
                found[seed] = Sample(array, _video_ids(result, of))
        return found

    def mixtures(self, name: str) -> dict[str, Any]:
        """Of a list of mixtures, over all seeds; empty without it.

        Returns:
            `seeds`, `count`, `left_out` ({reason: count}), `untouched` (count of those in whose SAR a sound counts that
            was left as the mixture, or nearly: over `UNTOUCHED` dB), `sar_median`, which these do not move.
        """
        found = [result["lists"][name] for result in self.results.values() if name in result["lists"]]
        if not found:
            return {}
        reasons = Counter(reason for of in found for reason in of.get("left_out", {}).get(self._name, {}).values())
        sar = [value for of in found for value in of["methods"][self._name]["sar"] if value is not None]
        return {
            "seeds": len(found),
            "count": sum(len(of["rows"]) for of in found),
            "left_out": dict(reasons.most_common()),
            "untouched": sum(value > UNTOUCHED for value in sar),
            "sar_median": float(np.median(sar)) if sar else None,
        }

    def counted_right(self, mode: str, *, as_trained: bool) -> dict[int, Sample]:
        """Whether the number of sounds was right, sample by sample; of 1 to `sources` sounds, or of any number."""
        found = {}
        for seed, result in self.results.items() if self.method == "mpnet" else ():
            of, counted = result["lists"].get("counting"), result.get("counting", {}).get(mode)
            if of and counted:
                sounding = np.array(of["sounding"])
                right = (np.array(counted["counted"]) == sounding).astype(np.float64)
                if as_trained:
                    right[(sounding < 1) | (sounding > self.sources)] = np.nan
                found[seed] = Sample(right, _video_ids(result, of))
        return found


def gather(workdir: Path, cells: Iterable[Cell]) -> dict[str, Entry]:
    """The entries of the finished cells that learnt something, by their keys, in the order of the tables."""
    by_row: dict[tuple[str, str, int], dict[int, Any]] = {}
    for cell in cells:
        result = read(workdir, cell)
        if result is not None and not diverged(result):
            for method in filter(None, (_BESIDE.get(cell.method), cell.method)):
                by_row.setdefault((method, cell.mask, cell.sources), {})[cell.seed] = result
    rows = sorted(by_row, key=lambda row: (METHODS.index(row[0]), row[1], row[2]))
    entries = (Entry(*row, results=dict(sorted(by_row[row].items()))) for row in rows)
    beside = set(_BESIDE.values())
    return {entry.key: entry for entry in entries if entry.method not in beside or entry.samples(entry.own, "nsdr")}


def mean(samples: Mapping[int, Sample], others: Iterable[Mapping[int, Sample]] = ()) -> Drawn | None:
    """The mean of some seeds; with `others`, by the draws that these share."""
    return draws_of([samples, *others]).mean(samples) if samples else None


def estimates(entry: Entry, name: str) -> dict[str, Any]:
    """{metric: estimate} of a list of mixtures; empty where no cell has it."""
    found = {metric: mean(entry.samples(name, metric)) for metric in METRICS}
    return {metric: drawn.estimate() for metric, drawn in found.items() if drawn is not None}


def differences(first: Entry, second: Entry, name: str) -> dict[str, Any]:
    """{metric: estimate} of first minus second, seed by seed and mixture by mixture."""
    found = {metric: difference(first, second, name, metric) for metric in METRICS}
    return {metric: drawn.estimate() for metric, drawn in found.items() if drawn is not None}


def difference(first: Entry, second: Entry, name: str, metric: str) -> Drawn | None:
    """First minus second on the same mixtures, over the seeds of both; None where there are none."""
    a, b = common(first.samples(name, metric), second.samples(name, metric))
    if not a or any(a[seed].video_ids != b[seed].video_ids for seed in a):
        return None
    return paired(a, b, draws_of([a]))


def common(*samples: Mapping[int, Sample]) -> list[dict[int, Sample]]:
    """The same of the seeds that all have."""
    seeds = set.intersection(*(set(of) for of in samples))
    return [{seed: of[seed] for seed in sorted(seeds)} for of in samples]


def draws_of(samples: Iterable[Mapping[int, Sample]]) -> Draws:
    """Draws for samples of the same seeds."""
    listed = list(samples)
    videos = {video for of in listed for sample in of.values() for row in sample.video_ids for video in row}
    return _draws(tuple(sorted(listed[0])), tuple(sorted(videos)))


@functools.lru_cache(maxsize=16)  # a few MB each
def _draws(seeds: tuple[int, ...], videos: tuple[str, ...]) -> Draws:
    return Draws(seeds, videos)


def _video_ids(result: Mapping[str, Any], of: Mapping[str, Any]) -> list[list[str]]:
    return [[result["videos"][place] for place in row] for row in of["rows"]]
