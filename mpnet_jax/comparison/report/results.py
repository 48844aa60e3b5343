"""Computes the results of a comparison from its finished cells, as one JSON-ready dict."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mpnet_jax.comparison.cell_files import diverged, read_all
from mpnet_jax.comparison.cells import DEFAULT, KINDS, NO_MASK, Cell, Plan
from mpnet_jax.comparison.progress import minutes_of
from mpnet_jax.comparison.report.entries import ROUND_ONE, Entry, differences, estimated, estimates, gather, mean
from mpnet_jax.comparison.report.observations import observations
from mpnet_jax.metrics.definitions import definitions
from mpnet_jax.metrics.names import METRICS, method_name
from mpnet_jax.report.sections.counting import MODES
from mpnet_jax.run.facts import run_facts

_COUNTED = ("as_trained", "all")
_ENERGY_MAP = "energy map"  # a name of `localisation`, which is not imported since it loads JAX
_Made = Mapping[Cell, Mapping[str, Any]]  # the contents of the finished cells' files

DEFINITIONS = {
    "intervals": "95 %, from drawing seeds and videos, the same draws for all methods: videos with replacement, seeds "
    "by Student's t of one degree less than there are. With one seed, over videos alone.",
    "differences": "Seed by seed and mixture by mixture; what either method leaves out is left out.",
    "holds": "The interval of the difference lies above zero; does not hold: below; undecided: zero is in it, or there "
    "is one seed alone: videos say nothing of another training.",
    "learning rate": "The one with the best validation score in trials, for each method.",
    "M-Net": "Trained alone, for as many steps as MP-Net's rounds one and three.",
    "M-Net of round one": "Of MP-Net's run: the best by validation of fewer steps. The P-Net learnt on the last of "
    "them, and round three trained the M-Net on.",
    "mean SAR": "The untouched mixture has no artefacts. Where a mask is full its sound is the mixture, at about "
    "140 dB, and a few of them move a mean: the medians are in the table of mixtures. A silent sound has no SAR.",
}


def results(workdir: Path, plan: Plan) -> dict[str, Any]:
    """Reads the finished cells and compares them.

    Returns:
        JSON-ready dict: `made`, `done` ({kind: [finished, planned]}), `hours` ({kind: hours of training and
        evaluation}; a run of several kinds counts for the first), `definitions`, `entries` ({key: `method`, `mask`,
        `sources`, `seeds`, `rate`, `minutes`, `steps`, `commits`, `test`, `far`, `swapped`, `mixes`, `mixtures`,
        `counting`, `localisation`}), `differences` and `far_differences` ({"ratio-mix2": {"mpnet - mnet": {metric:
        estimate}}}), `observations`, `beside` ({"mixture" or "oracle": {list of mixtures: {metric: estimate}}}),
        `rates`, `rates_at_edge` ({method: "lowest" or "highest"} where the best rate is that), `ablations`, `failed`
        ({key of an entry: seeds at which training failed}).
    """
    made = read_all(workdir, plan)
    entries, rates = gather(made), _rates(made)
    return {
        "made": run_facts(),
        "done": {kind: [sum(cell in made for cell in cells), len(cells)] for kind, cells in vars(plan).items()},
        "hours": _hours(made),
        "definitions": definitions(dict.fromkeys(entry.method for entry in entries.values()))
        | DEFINITIONS
        | _starts(plan, made),
        "entries": {key: _entry(entry) for key, entry in entries.items()},
        "differences": _by_setting(entries, ""),
        "far_differences": _by_setting(entries, "far_"),
        "observations": observations(entries),
        "beside": {name: _beside(entries, name) for name in ("mixture", "oracle")},
        "rates": rates,
        "rates_at_edge": at_edge(plan, rates),
        "ablations": _ablations(plan, made),
        "failed": _failed(made),
    }


def _hours(made: _Made) -> dict[str, float]:
    """Returns the hours of training and evaluation by kind, as if one process had done all."""
    trained: set[str] = set()
    minutes: dict[str, float] = dict.fromkeys(KINDS, 0.0)
    for cell, result in made.items():
        command = result["made"]["commands"][0]
        minutes[cell.kind] += minutes_of(result) - (result["minutes"]["training"] or 0.0 if command in trained else 0.0)
        trained.add(command)
    return {kind: round(found / 60, 2) for kind, found in minutes.items()}


def _failed(made: _Made) -> dict[str, list[int]]:
    """Returns the seeds of the cells whose loss did not stay finite, by method, mask and sounds."""
    out: dict[str, list[int]] = {}
    for cell, result in made.items():
        if cell.kind == "cells" and diverged(result):
            out.setdefault(f"{cell.method}-{cell.setting}", []).append(cell.seed)
    return out


def _entry(entry: Entry) -> dict[str, Any]:
    lists = {name for result in entry.results.values() for name in result["lists"]}
    numbers = sorted(int(name.removeprefix("mix")) for name in lists if name.startswith("mix"))
    minutes = [result["minutes"]["training"] for result in entry.results.values()]
    out = {
        "method": entry.method,
        "mask": entry.mask,
        "sources": entry.sources,
        "seeds": list(entry.results),
        "rate": sorted({result["learning_rate"]["rate"] for result in entry.results.values()}),
        # Round one is a part of MP-Net's training, of unknown duration.
        "minutes": None if None in minutes or entry.method == ROUND_ONE else round(sum(minutes) / len(minutes), 1),
        "steps": _steps(entry),
        "commits": {
            "training": sorted({of["commit"] for result in entry.results.values() for of in result.get("trained", ())}),
            "evaluation": sorted({result["made"]["commit"] for result in entry.results.values()}),
        },
        "test": estimates(entry, entry.own),
        "far": estimates(entry, f"far_{entry.own}"),
        "swapped": _swapped(entry),
        "mixes": {str(number): estimates(entry, f"mix{number}") for number in numbers},
        "mixtures": {"test": entry.mixtures(entry.own), "far": entry.mixtures(f"far_{entry.own}")},
    }
    counting = {}
    for mode in MODES:
        right = {part: mean(entry.counted_right(mode, as_trained=part == "as_trained")) for part in _COUNTED}
        if right["all"] is not None:
            counting[mode] = {part: drawn and drawn.estimate(low=0.0, high=1.0) for part, drawn in right.items()}
            counting[mode]["constant"] = _best_constant(entry, mode)
    if entry.method == "mpnet":
        out |= {"counting": counting, "localisation": _localisation(entry)}
    return out


def _steps(entry: Entry) -> dict[str, list[int]]:
    """Returns the steps `trained` and the step `evaluated` of each seed, as far as they are known."""
    if entry.method == ROUND_ONE:
        found = [result["steps"].get("round_one") for result in entry.results.values()]
        return {} if None in found else {"evaluated": found}
    if entry.is_second:
        return {}
    return {key: [result["steps"][key] for result in entry.results.values()] for key in ("trained", "evaluated")}


def _swapped(entry: Entry) -> dict[str, Any]:
    """Returns the estimates of the NSDR with swapped pictures, on the test split and the far set."""
    if entry.is_second:
        return {}
    lists = {"test": entry.own, "far": f"far_{entry.own}"}
    samples = {part: entry.samples(name, "nsdr", of_what="swapped", part="beside") for part, name in lists.items()}
    return estimated({part: mean(of) for part, of in samples.items()})


def _best_constant(entry: Entry, mode: str) -> dict[str, float | None]:
    """Returns how often the best constant guess of the number of sounds is right."""
    for result in entry.results.values():
        found = result.get("counting", {}).get(mode, {})
        if "constant" in found:
            of = {"as_trained": found["as_trained"], "all": found}
            return {part: of[part]["constant"]["accuracy"]["mean"] for part in _COUNTED}
    return dict.fromkeys(_COUNTED)


def _localisation(entry: Entry) -> list[dict[str, Any]]:
    """Returns the scenes of the first seed, with the energy map's scores over all seeds."""
    first = next((result["localisation"] for result in entry.results.values() if "localisation" in result), [])
    out = []
    for scene in first:
        name = f"places, {scene['scene']}"
        drawn = {key: mean(entry.samples(name, key, of_what=_ENERGY_MAP)) for key in scene["guesses"][_ENERGY_MAP]}
        out.append(scene | {"guesses": scene["guesses"] | {_ENERGY_MAP: estimated(drawn, low=0.0, high=1.0)}})
    return out


def _beside(entries: Mapping[str, Entry], what: str) -> dict[str, Any]:
    """Returns {list of mixtures: {metric: estimate}} of the mixture or the oracle masks."""
    out: dict[str, Any] = {}
    for entry in entries.values():
        for name in (entry.own, f"far_{entry.own}"):
            found = {metric: entry.samples(name, metric, of_what=what, part="beside") for metric in METRICS}
            first = {metric: mean(dict([next(iter(of.items()))])) for metric, of in found.items() if of}
            if first and name not in out:
                by_definition = {"nsdr": {"mean": 0.0, "ci95": None}} if what == "mixture" else {}
                out[name] = estimated(first) | by_definition
    return out


def _by_setting(entries: Mapping[str, Entry], prefix: str) -> dict[str, Any]:
    """Returns the differences between every two methods of each setting; MIML, which has no mask, is in each."""
    out: dict[str, Any] = {}
    settings = dict.fromkeys((entry.mask, entry.sources) for entry in entries.values() if entry.mask != NO_MASK)
    for mask, sources in settings:
        same = [entry for entry in entries.values() if entry.sources == sources and entry.mask in (mask, NO_MASK)]
        for first, second in itertools.combinations(same, 2):
            if values := differences(second, first, f"{prefix}mix{sources}"):
                out.setdefault(f"{mask}-mix{sources}", {})[f"{second.method} - {first.method}"] = values
    return out


def _starts(plan: Plan, made: _Made) -> dict[str, str]:
    """Returns a sentence on the networks that cells start with; empty where these are random."""
    found = {start: made[start] for cell in plan.cells if (start := cell.start) is not None and start in made}
    if not found:
        return {}
    first, result = next(iter(found.items()))
    scores = ", ".join(f"{result['score']:.2f} (seed {start.seed})" for start, result in found.items())
    return {
        "start": f"all methods but MIML begin with the networks of one {method_name(first.method)} a seed, "
        f"trained {dict(first.overrides)['rounds.both']} steps on {result['data']['name']} ({first.setting}); its "
        f"validation SI-SDR improvement there, in dB: {scores}"
    }


def _rates(made: _Made) -> dict[str, Any]:
    """Returns {method: {rate: validation score}} of the finished trials."""
    out: dict[str, Any] = {}
    for cell, result in made.items():
        if cell.kind == "trials":
            out.setdefault(cell.method, {})[f"{cell.rate:g}"] = result["score"]
    return out


def at_edge(plan: Plan, rates: Mapping[str, Mapping[str, float | None]]) -> dict[str, str]:
    """Returns the methods whose best rate is the lowest or the highest of those tried."""
    out = {}
    for method, scores in rates.items():
        tried = sorted(trial.rate for trial in plan.trials if trial.method == method and trial.rate is not None)
        known = {float(rate): score for rate, score in scores.items() if score is not None}
        if known and len(scores) == len(tried):
            best = f"{max(known, key=lambda rate: known[rate]):g}"
            edges = {f"{tried[0]:g}": "lowest", f"{tried[-1]:g}": "highest"}
            out |= {method: edges[best]} if best in edges else {}
    return out


def _ablations(plan: Plan, made: _Made) -> list[dict[str, Any]]:
    """Returns the scores of each change on the validation split and its differences to no change."""
    found: dict[str, dict[Cell, Any]] = {}
    for cell in plan.ablations:
        if cell in made:
            found.setdefault(cell.change, {})[cell] = made[cell]
    first = plan.ablations[0].seed if plan.ablations else None
    alone = [{cell: result for cell, result in of.items() if cell.seed == first} for of in found.values()]
    learnt = [{cell: result for cell, result in of.items() if not diverged(result)} for of in found.values()]
    return _ablation_rows([of for of in alone if of]) + _ablation_rows([of for of in learnt if len(of) > 1])


def _ablation_rows(changes: Sequence[Mapping[Cell, Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Returns a row for each change, over the seeds of its cells."""
    learnt = [_as_entry({cell: result for cell, result in of.items() if not diverged(result)}) for of in changes]
    default = next((entry for of, entry in zip(changes, learnt, strict=True) if next(iter(of)).change == DEFAULT), None)
    out = []
    for of, entry in zip(changes, learnt, strict=True):
        cell, result = next(iter(of.items()))
        seeds = sorted(entry.results if entry else {made.seed for made in of})
        lists = next(iter(entry.results.values()))["lists"] if entry else ()
        names = [name for name in lists if name.startswith("mix")]
        row = {
            "change": cell.change,
            "name": cell.change + (f" ({len(seeds)} seeds)" if len(seeds) > 1 else ""),
            "overrides": dict(cell.overrides),
            "method": cell.method,
            "setting": cell.setting,
            "seeds": seeds,
            "rate": result["learning_rate"]["rate"],
            "lists": {name: estimates(entry, name) for name in names if entry},
        }
        if entry is None:
            row["failed"] = True
        else:
            if default is not None and cell.change != DEFAULT:
                row["differences"] = {name: differences(entry, default, name) for name in names}
            row["over_round_one"] = _over_round_one(entry, names)
            row["steps"] = [[of["steps"].get("round_one"), of["steps"]["evaluated"]] for of in entry.results.values()]
        out.append(row)
    return out


def _over_round_one(entry: Entry, names: Sequence[str]) -> dict[str, Any]:
    """Returns the differences of MP-Net to the best M-Net of its round one; empty without one."""
    round_one = dataclasses.replace(entry, method=ROUND_ONE)
    if entry.method != "mpnet" or not round_one.samples(entry.own, "nsdr"):
        return {}
    return {name: differences(entry, round_one, name) for name in names}


def _as_entry(made: Mapping[Cell, Mapping[str, Any]]) -> Entry | None:
    """Returns the results of an ablation as an entry of the last method evaluated; None without results."""
    if not made:
        return None
    cell, result = next(iter(made.items()))
    last = list(result["lists"][f"mix{cell.sources}"]["methods"])[-1]
    return Entry(last, cell.mask, cell.sources, {cell.seed: of for cell, of in made.items()})
