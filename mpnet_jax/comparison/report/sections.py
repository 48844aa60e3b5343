"""Describes the sections of a comparison's results, which `markdown` and `page` write as results.md and results.html.

A table has a row for each method and group: the training mixtures, the number of sounds, or a list of mixtures.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from mpnet_jax.comparison.report import published
from mpnet_jax.metrics.names import METRICS, method_name
from mpnet_jax.report.drawing.numbers import count_of
from mpnet_jax.report.sections.differences import pair_name, verdict

CURVES, MARKS = "curves", "marks"  # in `Section.blocks`, the places of the curves and of what marks mean
_HEADS = (*(metric.upper() for metric in METRICS), "mixtures")  # of the cells that `_estimates` returns
_PAPER_HEADS = tuple(metric.upper() for metric in published.METRICS)
_COUNTED = {"as_trained": "1 to as many as in training", "all": "any"}
_MEASURES = ("pointing", "iou", "auc", "player")
_SETTING = ("method", "mask", "trained on")


class Cell(NamedTuple):
    """A cell of a table.

    Attributes:
        text: Text or formatted number of a cell without an estimate.
        value: Estimate with its mean and its interval.
        verdict: "better", "worse" or "open" for a difference, else "".
    """

    text: str = ""
    value: Mapping[str, Any] | None = None
    verdict: str = ""


class Table(NamedTuple):
    """A table.

    Attributes:
        heads: Column heads.
        rows: Cells, as many in each row as there are heads.
        title: Pairs of methods that the rows compare, or "".
    """

    heads: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    title: str = ""


Blocks = list[str | Table]


class Section(NamedTuple):
    """A section with its tables and, as strings, its notes, `CURVES` and `MARKS`."""

    anchor: str
    title: str
    blocks: Blocks


def sections(results: Mapping[str, Any]) -> list[Section]:
    """Returns the sections that have a table, for the dictionary of `results.results`."""
    entries = results["entries"]
    found = [
        Section("numbers", "Separation, by mixtures of the test split", _separation(results, "test")),
        Section("far", "The same on the far set, which nothing was trained on", _separation(results, "far")),
        Section("training", "How long each was trained, and whether it looks", _training(entries)),
        Section("observations", "What the paper observed", _observations(results["observations"])),
        Section("differences", "Paired differences, test split", _differences(results["differences"])),
        Section("far_differences", "Paired differences, far set", _differences(results["far_differences"])),
        Section("robustness", "More sounds than in training", _curves(entries)),
        Section("counting", "Count of the sounds", _counting(entries)),
        Section("localisation", "Where the sound comes from", _localisation(entries)),
        Section("ablations", "Ablations, on the validation split", _ablations(results["ablations"])),
        Section("published", "Published: another data set, not comparable with the numbers above", _published()),
    ]
    return [section for section in found if any(isinstance(block, Table) and block.rows for block in section.blocks)]


def finished(results: Mapping[str, Any]) -> str:
    """Returns how many of the planned cells are finished, by kind."""
    return ", ".join(f"{done} of {planned} {kind}" for kind, (done, planned) in results["done"].items() if planned)


def _separation(results: Mapping[str, Any], part: str) -> Blocks:
    """Source: Tables 1 and 2."""
    rows = [
        _row(*_setting(entry), str(len(entry["seeds"])), *_estimates(entry[part]))
        for entry in results["entries"].values()
        if entry[part]
    ]
    for name, mask in (("mixture", ""), ("oracle", "binary")):
        for group in sorted({row[2].text for row in rows}):
            key = group.replace("mix-", "far_mix" if part == "far" else "mix")
            if values := results["beside"][name].get(key):
                rows.append(_row(method_name(name), mask, group, "", *_estimates(values)))
    table = Table([*_SETTING, "seeds", *_HEADS], rows)
    note = results["definitions"].get("MIML")
    return [table, note] if note and part == "test" else [table]


def _training(entries: Mapping[str, Any]) -> Blocks:
    rows = []
    for entry in entries.values():
        trained, evaluated = dict.fromkeys(entry["steps"]["trained"]), entry["steps"]["evaluated"]
        chosen = [", ".join(map(str, found)) for found in (trained, evaluated)]
        swapped = [Cell(value=entry["swapped"].get(part)) for part in ("test", "far")]
        rows.append(_row(*_setting(entry), *chosen, f"{entry['minutes']:.1f}", *swapped))
    heads = ["steps", "best by validation, a seed each", "minutes", "NSDR, pictures swapped", "far"]
    return [Table([*_SETTING, *heads], rows)]


def _observations(lines: Iterable[Mapping[str, Any]]) -> Blocks:
    rows = [
        _row(line["claim"], line["where"], Cell(value=estimate), str(estimate["seeds"]), line["verdict"])
        for line in lines
        for estimate in [line["difference"]]
    ]
    return [Table(["the paper, on MUSIC", "where", "difference, above 0 where it is so", "seeds", "here"], rows)]


def _differences(by_setting: Mapping[str, Any]) -> Blocks:
    blocks: Blocks = [MARKS]
    for setting, pairs in by_setting.items():
        rows = [_row(pair_name(pair), *_estimates(values, paired=True)) for pair, values in pairs.items()]
        blocks.append(Table(["pair", *_HEADS], rows, title=setting))
    return blocks


def _curves(entries: Mapping[str, Any]) -> Blocks:
    numbers = sorted({number for entry in entries.values() for number in entry["mixes"]}, key=int)
    rows = [
        _row(f"mix-{entry['sources']}", method_name(entry["method"]), entry["mask"], number, *_estimates(values))
        for entry in sorted(entries.values(), key=lambda entry: entry["sources"])
        for number, values in entry["mixes"].items()
    ]
    table = Table(["trained on", "method", "mask", "sounds", *_HEADS], rows)
    note = "The number of its training has more mixtures than the others, see `config.evaluation`."
    return [note, CURVES, table] if len(numbers) > 1 else []


def _counting(entries: Mapping[str, Any]) -> Blocks:
    rows = []
    for entry in entries.values():
        for mode, found in entry.get("counting", {}).items():
            values = [value for part in _COUNTED for value in (found.get(part), {"mean": found["constant"][part]})]
            rows.append(_row(*_setting(entry)[1:], mode, *(Cell(value=value) for value in values)))
    heads = [head for title in _COUNTED.values() for head in (f"right, {title}", "best constant")]
    return [Table(["MP-Net's mask", "trained on", "candidates", *heads], rows)]


def _localisation(entries: Mapping[str, Any]) -> Blocks:
    rows = []
    for entry in entries.values():
        for scene in entry.get("localisation", ()):
            for guess, found in scene["guesses"].items():
                measured = [Cell(value=found.get(measure)) for measure in _MEASURES]
                rows.append(_row(*_setting(entry)[1:], scene["scene"], guess, *measured))
    heads = ["MP-Net's mask", "trained on", "scene", "guess", "pointing", "IoU", "AUC", "right player"]
    return [Table(heads, rows)]


def _ablations(ablations: Sequence[Mapping[str, Any]]) -> Blocks:
    notes = {
        "lists": "Scores. With one seed, intervals are over videos and say nothing of another training.",
        "differences": "Paired differences to the same method without the change.",
        "over_start": "Paired differences to the M-Net whose networks the method begins with.",
    }
    blocks: Blocks = []
    for part, note in notes.items():
        rows = [
            _row(
                *(method_name(row["method"]), row["change"], ", ".join(map(str, row["seeds"]))),
                *(" ".join(f"`{field}={value}`" for field, value in row["overrides"].items()), name),
                *_estimates(values, paired=part != "lists"),
            )
            for row in ablations
            for name, values in row.get(part, {}).items()
        ]
        if rows:
            blocks += [note, Table(["method", "change", "seeds", "fields", "mixtures of", *_HEADS], rows)]
    return blocks


def _published() -> Blocks:
    rows = [
        _row(method_name(method), mask, *(f"{value:.2f}" for number in found for value in number))
        for (method, mask), found in published.MUSIC.items()
    ]
    heads = [f"mix-{number} {head}" for number in (2, 3) for head in _PAPER_HEADS]
    return [f"{published.SOURCE}; no intervals were given.", Table(["method", "mask", *heads], rows)]


def _row(*cells: str | Cell) -> list[Cell]:
    return [Cell(cell) if isinstance(cell, str) else cell for cell in cells]


def _setting(entry: Mapping[str, Any]) -> list[str]:
    return [method_name(entry["method"]), entry["mask"], f"mix-{entry['sources']}"]


def _estimates(values: Mapping[str, Any], *, paired: bool = False) -> list[Cell]:
    found = {metric: values.get(metric) for metric in METRICS}
    cells = [Cell(value=value, verdict=verdict(metric, value) if paired else "") for metric, value in found.items()]
    return [*cells, Cell(str(count_of(values) or ""))]
