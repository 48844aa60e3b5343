"""Computes the results of a comparison from its finished cells, as one JSON-ready dict."""

import itertools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mpnet_jax.comparison.cell_files import read_all
from mpnet_jax.comparison.cells import DEFAULT, NO_MASK, Cell, Grid
from mpnet_jax.comparison.report.entries import TOLD, Entry, differences, estimated, estimates, gather, mean
from mpnet_jax.comparison.report.observations import observations
from mpnet_jax.metrics.definitions import definitions
from mpnet_jax.metrics.names import METRICS
from mpnet_jax.report.sections.counting import MODES
from mpnet_jax.run.facts import run_facts

_COUNTED = ("as_trained", "all")
_ENERGY_MAP = "energy map"  # a name of `localisation`, which is not imported since it loads JAX

DEFINITIONS = {
    "intervals": "95 %, from drawing seeds and videos, the same draws for all methods: videos with replacement, seeds "
    "by Student's t of one degree less than there are. With one seed, over videos alone.",
    "differences": "Seed by seed and mixture by mixture; what either method leaves out is left out. A silent estimate "
    "counts in NSDR, as 0; any other reason leaves the mixture out. The cells' files list these mixtures.",
    "holds": "The interval of the difference lies above zero; does not hold: below; undecided: zero is in it, or there "
    "is one seed alone.",
    "MP-Net": "Begins with the networks of the M-Net of its seed.",
    "M-Net, trained longer": "The M-Net of its seed, trained on as long as MP-Net trains both its networks.",
    "mean SAR": "Where a mask is full, its sound is the mixture, at about 140 dB, and a few of them move a mean.",
}


def results(workdir: Path, grid: Grid) -> dict[str, Any]:
    """Reads the finished cells and compares them.

    Returns:
        JSON-ready dict: `made`, `done` ({kind: [finished, planned]}), `definitions`, `entries` ({key: `method`, `mask`,
        `sources`, `seeds`, `minutes` (of training and evaluation), `steps`, `test`, `far`, `swapped`, `mixes`,
        `counting`, `localisation`}), `differences` and `far_differences` ({"ratio-mix2": {"mpnet - mnet": {metric:
        estimate}}}), `observations`, `beside` ({"mixture" or "oracle": {list of mixtures: {metric: estimate}}}) and
        `ablations`.
    """
    planned = {"cells": grid.cells, "ablations": grid.ablations}
    made = {kind: read_all(workdir, cells) for kind, cells in planned.items()}
    entries = gather(made["cells"])
    return {
        "made": run_facts(),
        "done": {kind: [len(made[kind]), len(cells)] for kind, cells in planned.items()},
        "definitions": definitions(dict.fromkeys(entry.method for entry in entries)) | DEFINITIONS,
        "entries": {entry.key: _entry(entry) for entry in entries},
        "differences": _by_setting(entries, ""),
        "far_differences": _by_setting(entries, "far_"),
        "observations": observations({entry.key: entry for entry in entries}),
        "beside": {name: _beside(entries, name) for name in ("mixture", "oracle")},
        "ablations": _ablations(made["ablations"]),
    }


def _entry(entry: Entry) -> dict[str, Any]:
    lists = {name for result in entry.results.values() for name in result["lists"]}
    numbers = sorted(int(name.removeprefix("mix")) for name in lists if name.startswith("mix"))
    minutes = [sum(filter(None, result["minutes"].values())) for result in entry.results.values()]
    out = {
        "method": entry.method,
        "mask": entry.mask,
        "sources": entry.sources,
        "seeds": list(entry.results),
        "minutes": round(sum(minutes) / len(minutes), 1),
        "steps": {key: [of["steps"][key] for of in entry.results.values()] for key in ("trained", "evaluated")},
        "test": estimates(entry, entry.own),
        "far": estimates(entry, f"far_{entry.own}"),
        "swapped": _swapped(entry),
        "mixes": {str(number): estimates(entry, f"mix{number}") for number in numbers},
    }
    if entry.method == "mpnet":
        out |= {"counting": _counting(entry), "localisation": _localisation(entry)}
    return out


def _counting(entry: Entry) -> dict[str, Any]:
    """Returns the shares of right counts by mode, and those of the best constant guess on the same mixtures."""
    counted = next((result["counting"] for result in entry.results.values() if "counting" in result), {})
    return {
        mode: {
            "constant": {
                "as_trained": found["as_trained"]["constant"]["accuracy"]["mean"],
                "all": found["constant"]["accuracy"]["mean"],
            },
            **estimated(
                {part: mean(entry.counted_right(mode, as_trained=part == "as_trained")) for part in _COUNTED},
                low=0.0,
                high=1.0,
            ),
        }
        for mode, found in counted.items()
        if mode in MODES
    }


def _swapped(entry: Entry) -> dict[str, Any]:
    """Returns the estimates of the NSDR with swapped pictures, on the test split and the far set."""
    if entry.method == TOLD:  # MIML's files have those of MIML
        return {}
    lists = {"test": entry.own, "far": f"far_{entry.own}"}
    scores = {part: entry.samples(name, "nsdr", of_what="swapped", part="beside") for part, name in lists.items()}
    return estimated({part: mean(of) for part, of in scores.items()})


def _localisation(entry: Entry) -> list[dict[str, Any]]:
    """Returns the scenes of the first seed, with the energy map's scores over all seeds."""
    out = []
    for scene in next((result["localisation"] for result in entry.results.values() if "localisation" in result), []):
        name = f"places, {scene['scene']}"
        drawn = {key: mean(entry.samples(name, key, of_what=_ENERGY_MAP)) for key in scene["guesses"][_ENERGY_MAP]}
        out.append(scene | {"guesses": scene["guesses"] | {_ENERGY_MAP: estimated(drawn, low=0.0, high=1.0)}})
    return out


def _beside(entries: Iterable[Entry], what: str) -> dict[str, Any]:
    """Returns {list of mixtures: {metric: estimate}} of the mixture or the oracle masks."""
    out: dict[str, Any] = {}
    for entry in entries:
        for name in (entry.own, f"far_{entry.own}"):
            found = {metric: entry.samples(name, metric, of_what=what, part="beside") for metric in METRICS}
            first = {metric: mean(dict([next(iter(of.items()))])) for metric, of in found.items() if of}
            if first and name not in out:
                by_definition = {"nsdr": {"mean": 0.0, "ci95": None}} if what == "mixture" else {}
                out[name] = estimated(first) | by_definition
    return out


def _by_setting(entries: Iterable[Entry], prefix: str) -> dict[str, Any]:
    """Returns the differences between every two methods of each setting; MIML, which has no mask, is in each."""
    out: dict[str, Any] = {}
    settings = dict.fromkeys((entry.mask, entry.sources) for entry in entries if entry.mask != NO_MASK)
    for mask, sources in settings:
        same = [entry for entry in entries if entry.sources == sources and entry.mask in (mask, NO_MASK)]
        for first, second in itertools.combinations(same, 2):
            if values := differences(second, first, f"{prefix}mix{sources}"):
                out.setdefault(f"{mask}-mix{sources}", {})[f"{second.method} - {first.method}"] = values
    return out


def _ablations(made: Mapping[Cell, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Returns the validation scores of each change, its differences to no change, and those to its own M-Net."""
    entries = {(entry.method, entry.change): entry for entry in gather(made)}
    cells = {(cell.method, cell.change): cell for cell in made}
    out = []
    for (method, change), entry in entries.items():
        cell = cells["miml" if method == TOLD else method, change]
        names = [name for name in next(iter(entry.results.values()))["lists"] if name.startswith("mix")]
        beside = {
            "differences": entries.get((method, DEFAULT)) if change != DEFAULT else None,
            "over_start": entries.get((cell.start.method, cell.start.change)) if cell.start else None,
        }
        out.append(
            {
                "change": change,
                "overrides": dict(cell.overrides),
                "method": method,
                "setting": cell.setting,
                "seeds": list(entry.results),
                "lists": {name: estimates(entry, name) for name in names},
                **{
                    key: {name: differences(entry, other, name) for name in names}
                    for key, other in beside.items()
                    if other is not None
                },
            }
        )
    return out
