"""Describes the sections of a comparison's results, which `markdown` and `page` write as results.md and results.html.

A table has a row for each method and group: the training mixtures, the number of sounds, or a list of mixtures. The
page shows it so; results.md spreads the groups over columns, in the shape of the paper's tables.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from mpnet_jax.comparison.report import published
from mpnet_jax.comparison.report.entries import UNTOUCHED
from mpnet_jax.metrics.names import METRICS, method_name
from mpnet_jax.report.drawing.numbers import count_of, mapping
from mpnet_jax.report.sections.differences import OVER_ROUND_ONE, pair_name, verdict

FIGURES, MARKS = "figures", "marks"  # in `Section.blocks`, the places of the curves and of what marks mean
_HEADS = (*(metric.upper() for metric in METRICS), "mixtures")  # of the cells that `_estimates` returns
_PAPER_HEADS = tuple(metric.upper() for metric in published.METRICS)
_COUNTED = {"as_trained": "1 to as many as in training", "all": "any"}
_MEASURES = {"pointing": True, "iou": False, "auc": False, "player": True}  # whether the page shows it in percent
_SETTING = ("method", "mask", "trained on")


class Cell(NamedTuple):
    """A cell of a table.

    Attributes:
        text: Text or formatted number of a cell without an estimate.
        value: Estimate with its mean and its interval.
        share: Whether the page shows the estimate in percent.
        verdict: "better", "worse" or "open" for a difference, "best" for the best value of a row, else "".
    """

    text: str = ""
    value: Mapping[str, Any] | None = None
    share: bool = False
    verdict: str = ""


class Table(NamedTuple):
    """A table.

    Attributes:
        heads: Column heads.
        rows: Cells, as many in each row as there are heads.
        title: Pairs of methods that the rows compare, or "".
        group: Column of the groups; used with `wide` alone.
        wide: {column head in results.md: (group, head)} of a table that results.md spreads.
    """

    heads: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    title: str = ""
    group: int = 0
    wide: Mapping[str, tuple[str, str]] | None = None


Blocks = list[str | Table]


class Section(NamedTuple):
    """A section with its tables and, as strings, its notes, `FIGURES` and `MARKS`."""

    anchor: str
    title: str
    blocks: Blocks


def sections(results: Mapping[str, Any]) -> list[Section]:
    """Returns the sections that have a table, for the dictionary of `results.results`."""
    entries = results["entries"]
    found = [
        Section("numbers", "Separation, by mixtures of the test split", _separation(results, "test")),
        Section("far", "The same on the far set, which nothing was trained on", _separation(results, "far")),
        Section("mixtures", "Mixtures, over all seeds, and what has no SDR, SIR and SAR", _mixtures(entries)),
        Section("training", "How long each was trained, and whether it looks", _training(entries)),
        Section("observations", "What the paper observed", _observations(results["observations"])),
        Section("differences", "Paired differences, test split", _differences(results["differences"])),
        Section("far_differences", "Paired differences, far set", _differences(results["far_differences"])),
        Section("robustness", "More sounds than in training", _curves(entries)),
        Section("counting", "Count of the sounds", _counting(entries)),
        Section("localisation", "Where the sound comes from", _localisation(entries)),
        Section("rates", "Learning rates", _rates(results["rates"], results["rates_at_edge"])),
        Section("ablations", "Ablations, on the validation split", _ablations(results["ablations"])),
        Section("published", "Published: another data set, not comparable with the numbers above", _published()),
    ]
    return [section for section in found if any(isinstance(block, Table) and block.rows for block in section.blocks)]


def finished(results: Mapping[str, Any]) -> str:
    """Returns how many of the planned cells are finished, by kind."""
    return ", ".join(f"{done} of {planned} {kind}" for kind, (done, planned) in results["done"].items() if planned)


def _separation(results: Mapping[str, Any], part: str) -> Blocks:
    """Source: Tables 1 and 2."""
    entries, failed = results["entries"], results["failed"]
    rows = []
    for key in dict.fromkeys([*(key for key, entry in entries.items() if entry[part]), *failed]):
        method, mask, sounds = key.rsplit("-", 2)
        values = entries[key][part] if key in entries else {}
        seeds = [str(len(entries[key]["seeds"]))] if values else []
        seeds += [f"{len(failed[key])} failed"] if key in failed else []
        setting = [method_name(method), mask, sounds.replace("mix", "mix-")]
        rows.append(_row(*setting, ", ".join(seeds), *_estimates(values)))
    groups = sorted({row[2].text for row in rows})
    for name, mask in (("mixture", ""), ("oracle", "binary")):
        for group in groups:
            key = group.replace("mix-", "far_mix" if part == "far" else "mix")
            if values := results["beside"][name].get(key):
                rows.append(_row(method_name(name), mask, group, "", *_estimates(values)))
    wide = {f"{group} {head}": (group, head) for group in groups for head in ("seeds", *_PAPER_HEADS)}
    table = Table([*_SETTING, "seeds", *_HEADS], rows, group=2, wide=wide)
    lost = "; ".join(f"{key}, seed {', '.join(map(str, seeds))}" for key, seeds in failed.items())
    notes = [f"Training failed, the loss was not finite: {lost}."] if lost else []
    notes += [results["definitions"]["MIML"]] if "MIML" in results["definitions"] else []
    return [table, *notes] if part == "test" else [table]


def _mixtures(entries: Mapping[str, Any]) -> Blocks:
    rows = []
    for entry in entries.values():
        cells = []
        for found in (entry["mixtures"]["test"], entry["mixtures"]["far"]):
            reasons = ", ".join(f"{count} {reason}" for reason, count in found.get("left_out", {}).items()) or "none"
            counts = [str(found["count"]), reasons, str(found["untouched"])] if found else [""] * 3
            cells += [*counts, _number(found.get("sar_median"))]
        rows.append(_row(*_setting(entry), *cells))
    note = (
        "A silent estimate counts in NSDR, as 0; any other reason leaves the mixture out of NSDR as well. A SAR of "
        f"over {UNTOUCHED:.0f} dB is that of a sound left as the mixture, or nearly."
    )
    of_each = ["left out", f"SAR over {UNTOUCHED:.0f}", "median SAR"]
    return [note, Table([*_SETTING, "test", *of_each, "far", *of_each], rows)]


def _training(entries: Mapping[str, Any]) -> Blocks:
    rows = []
    for entry in entries.values():
        if steps := entry["steps"]:
            rates = ", ".join(f"{rate:g}" for rate in entry["rate"])
            trained, evaluated = dict.fromkeys(steps.get("trained", ())), steps["evaluated"]
            chosen = [", ".join(map(str, found)) for found in (trained, evaluated)]
            swapped = [Cell(value=entry["swapped"].get(part)) for part in ("test", "far")]
            rows.append(_row(*_setting(entry), rates, *chosen, _number(entry["minutes"], 1), *swapped))
    heads = ["learning rate", "steps", "best by validation, a seed each", "minutes", "NSDR, pictures swapped", "far"]
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
    wide = {f"NSDR of {number}": (number, "NSDR") for number in numbers}
    table = Table(["trained on", "method", "mask", "sounds", *_HEADS], rows, group=3, wide=wide)
    note = "The number of its training has more mixtures than the others, see `config.evaluation`."
    return [note, FIGURES, table] if len(numbers) > 1 else []


def _counting(entries: Mapping[str, Any]) -> Blocks:
    rows = []
    for entry in entries.values():
        for mode, found in entry.get("counting", {}).items():
            values = [value for part in _COUNTED for value in (found[part], {"mean": found["constant"][part]})]
            rows.append(_row(*_setting(entry)[1:], mode, *(Cell(value=value, share=True) for value in values)))
    heads = [head for title in _COUNTED.values() for head in (f"right, {title}", "best constant")]
    return [Table(["MP-Net's mask", "trained on", "candidates", *heads], rows)]


def _localisation(entries: Mapping[str, Any]) -> Blocks:
    rows = []
    for entry in entries.values():
        for scene in entry.get("localisation", ()):
            for guess, found in scene["guesses"].items():
                cells = [Cell(value=found.get(measure), share=share) for measure, share in _MEASURES.items()]
                rows.append(_row(*_setting(entry)[1:], scene["scene"], guess, *cells))
    heads = ["MP-Net's mask", "trained on", "scene", "guess", "pointing", "IoU", "AUC", "right player"]
    return [Table(heads, rows)]


def _rates(rates: Mapping[str, Mapping[str, float | None]], at_edge: Mapping[str, str]) -> Blocks:
    tried = sorted({rate for scores in rates.values() for rate in scores}, key=float)
    rows = []
    for method, scores in rates.items():
        best = max((score for score in scores.values() if score is not None), default=None)
        marks = {rate: "best" if score == best else "" for rate, score in scores.items()}
        cells = {rate: Cell(_number(score) or "failed", verdict=marks[rate]) for rate, score in scores.items()}
        rows.append(_row(method_name(method), *(cells.get(rate, "") for rate in tried), at_edge.get(method, "")))
    note = "The best one is taken for all cells of the method; where it is an edge, a better one may lie beyond."
    return [note, Table(["validation SI-SDR improvement, dB", *tried, "the best is an edge"], rows)]


def _ablations(ablations: Sequence[Mapping[str, Any]]) -> Blocks:
    if not ablations:
        return []
    numbers, changes, gains, first = [], [], [], ablations[0]
    for row in ablations:
        name, failed = row["name"], " (failed)" if "failed" in row else ""
        fields = " ".join(f"{field}={value}" for field, value in row["overrides"].items()) or "nothing"
        steps = ", ".join(f"{last} \N{MINUS SIGN} {round_one or ''}" for round_one, last in row.get("steps", ()))
        numbers += _by_list(row["lists"] or {"": {}}, name + failed, f"`{fields}`")
        changes += _by_list(row.get("differences", {}), f"{name} \N{MINUS SIGN} default", paired=True)
        gains += _by_list(row.get("over_round_one", {}), name, steps, paired=True)
    wide = {
        f"{name} {head}": (name, head)
        for name in dict.fromkeys(name for row in ablations for name in row["lists"])
        for head in _PAPER_HEADS
        if head != "AMID" or "amid" in mapping(first["lists"].get(name))  # of mixtures as in training alone
    }
    note = (
        f"{method_name(first['method'])}, {first['setting']}, seed {first['seeds'][0]}; intervals are over videos and "
        "say nothing of another training. Where several seeds are named, they are over these, too."
    )
    heads = ["mixtures of", *_HEADS]
    return [
        note,
        Table(["change", "fields", *heads], numbers, group=2, wide=wide),
        Table(["paired difference", *heads], changes, group=1, wide=wide),
        Table([pair_name(OVER_ROUND_ONE), "at steps", *heads], gains, group=2, wide=wide),
    ]


def _by_list(lists: Mapping[str, Any], *keys: str, paired: bool = False) -> list[list[Cell]]:
    return [_row(*keys, name, *_estimates(values, paired=paired)) for name, values in lists.items()]


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
    verdicts = {metric: verdict(metric, value) if paired else "" for metric, value in found.items()}
    count = count_of(values)
    return _row(
        *(Cell(value=value, verdict=verdicts[metric]) for metric, value in found.items()),
        "" if count is None else str(count),
    )


def _number(value: float | None, digits: int = 2) -> str:
    return "" if value is None else f"{value:.{digits}f}"
