"""Reads the results of several runs and computes their paired differences."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from data_pipeline.command import InputError
from mpnet_jax.metrics.aggregate import summarise
from mpnet_jax.metrics.names import METHODS, METRICS
from mpnet_jax.report.drawing.numbers import mapping, mean_of

NOT_THE_SAME = "not the same mixtures: no paired difference"


@dataclass(frozen=True)
class Run:
    """An evaluated run.

    Attributes:
        name: The last parts of its folder's path that distinguish it from the other runs.
        folder: Folder as given by the caller.
        results: Content of its metrics.json.
    """

    name: str
    folder: Path
    results: Mapping[str, Any]

    @property
    def facts(self) -> Mapping[str, Any]:
        """How the run was made."""
        return mapping(self.results.get("run"))

    @property
    def main(self) -> str:
        """Key of the main method, to which the scores of single mixtures belong."""
        named = {name: key for key, name in METHODS.items()}.get(str(self.facts.get("method")))
        return named or next(reversed(list(mapping(self.results.get("methods")))), "separated")

    @property
    def methods(self) -> dict[str, Mapping[str, Any]]:
        """{method: {metric: estimate}} with the main method first."""
        given = mapping(self.results.get("methods"))
        main = {self.main: given.get(self.main) or {name: self.results.get(name) for name in METRICS}}
        return {key: values for key, values in (main | dict(given)).items() if isinstance(values, Mapping)}

    @property
    def mixtures(self) -> list[Mapping[str, Any]]:
        """Rows of the mixtures that name their videos."""
        listed = self.results.get("mixtures")
        rows = listed if isinstance(listed, Sequence) and not isinstance(listed, str) else ()
        return [row for row in rows if isinstance(row, Mapping) and _videos(row)]

    def values(self, metric: str) -> Float[np.ndarray, " mixture"]:
        """Returns the mean over the sources of each mixture; NaN where a value is missing."""
        means = [mean_of(row.get(metric)) for row in self.mixtures]
        return np.array([np.nan if mean is None else mean for mean in means], dtype=np.float64)


@dataclass(frozen=True)
class Pair:
    """Two runs, compared mixture by mixture.

    Attributes:
        first: The later run.
        second: The earlier run; differences are first minus second.
        differences: {metric: estimate}; empty when the mixtures differ.
        starts_checked: Whether both runs recorded the same checksum of their mixtures, including starts and gains.
    """

    first: Run
    second: Run
    differences: Mapping[str, Any]
    starts_checked: bool


def read_runs(folders: Sequence[str | Path]) -> list[Run]:
    """Reads the metrics.json of each folder.

    Raises:
        InputError: There are fewer than two folders, one occurs twice, or one has no readable results.
    """
    if len(folders) < 2:
        raise InputError(
            f"--runs={','.join(map(str, folders))} names fewer than two runs; give folders separated by commas"
        )
    paths = [Path(folder) for folder in folders]
    resolved = [path.resolve() for path in paths]
    for index, path in enumerate(resolved):
        if path in resolved[:index]:
            raise InputError(f"--runs names {paths[index]} twice; give each run once")
    names = _names(resolved)
    return [Run(name, path, _read(path)) for name, path in zip(names, paths, strict=True)]


def compare(first: Run, second: Run) -> Pair:
    """Returns the paired differences of two runs with 95 % intervals over videos."""
    sums = [run.facts.get("mixtures_sha256") for run in (first, second)]
    rows = [[(row.get("index"), _videos(row)) for row in run.mixtures] for run in (first, second)]
    same = bool(rows[0]) and rows[0] == rows[1] and (None in sums or sums[0] == sums[1])
    if not same:
        return Pair(first, second, {}, starts_checked=False)
    videos = [ids for _, ids in rows[0]]
    differences = {metric: summarise(first.values(metric) - second.values(metric), videos) for metric in METRICS}
    return Pair(first, second, differences, starts_checked=None not in sums)


def _read(folder: Path) -> Mapping[str, Any]:
    path = folder / "metrics.json"
    if not path.is_file():
        raise InputError(
            f"{path} does not exist; --runs takes folders of runs that python -m mpnet_jax.evaluate has evaluated"
        )
    again = "; evaluate the run again to write it anew"
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read as JSON ({' '.join(str(error).split())}){again}") from error
    if not isinstance(results, dict):
        raise InputError(f"{path} holds a {type(results).__name__} where results are expected{again}")
    return results


def _names(paths: Sequence[Path]) -> list[str]:
    """Returns the shortest distinct ends of the paths."""
    lengths = range(1, max(len(path.parts) for path in paths) + 1)
    every = (["/".join(path.parts[-length:]) for path in paths] for length in lengths)
    names = next(names for names in every if len(set(names)) == len(names))
    # A name may be invalid UTF-8.
    return [name.encode("utf-8", "replace").decode("utf-8") for name in names]


def _videos(row: Mapping[str, Any]) -> tuple[str, ...]:
    ids = row.get("video_ids")
    return tuple(map(str, ids)) if isinstance(ids, Sequence) and not isinstance(ids, str) else ()
