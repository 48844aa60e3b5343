"""A comparison's results as Markdown: tables in the shape of the paper's, with intervals."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mpnet_jax.comparison.report import published
from mpnet_jax.comparison.report.entries import UNTOUCHED
from mpnet_jax.metrics.names import method_name
from mpnet_jax.report.drawing.numbers import interval_of, is_number, mapping
from mpnet_jax.report.sections.differences import OVER_ROUND_ONE, pair_name, verdict

_METRICS = published.METRICS
_COUNTED = {"as_trained": "1 to as many as in training", "all": "any"}


def markdown(results: Mapping[str, Any], figures: Sequence[str]) -> str:
    """The page.

    Args:
        results: of `results.results`.
        figures: addresses of the pictures.
    """
    entries, note = results["entries"], results["definitions"].get("MIML")
    parts = [
        _head(results),
        _section(
            "Separation, by mixtures of the test split", _separation(results, "test") + (f"\n\n{note}" if note else "")
        ),
        _section("The same on the far set, which nothing was trained on", _separation(results, "far")),
        _section("Mixtures, over all seeds, and what has no SDR, SIR and SAR", _mixtures(entries)),
        _section("How long each was trained, and whether it looks", _training(entries)),
        _section("What the paper observed", _observations(results["observations"])),
        _section("Paired differences, test split", _differences(results["differences"])),
        _section("Paired differences, far set", _differences(results["far_differences"])),
        _section("More sounds than in training", _curves(entries, figures)),
        _section("Count of the sounds", _counting(entries)),
        _section("Where the sound comes from", _localisation(entries)),
        _section("Learning rates", _rates(results["rates"], results["rates_at_edge"])),
        _section("Ablations, on the validation split", _ablations(results["ablations"])),
        _section("Published: another data set, not comparable with the numbers above", _published()),
        _section("What the numbers mean", "\n".join(f"* **{k}**: {v}" for k, v in results["definitions"].items())),
    ]
    return "\n".join(part for part in parts if part)


def _head(results: Mapping[str, Any]) -> str:
    done = ", ".join(f"{found} of {planned} {kind}" for kind, (found, planned) in results["done"].items() if planned)
    hours = ", ".join(f"{kind} {found:.1f}" for kind, found in results["hours"].items() if found)
    made = results["made"]
    return (
        "# Comparison\n\n"
        f"Finished: {done}, in {sum(results['hours'].values()):.1f} hours of training and evaluation by the sum of all "
        f"processes ({hours}). Written by `{made['command']}` at commit {made['commit']}; each cell's file has its own "
        "command, commit and machine. dB except AMID (lower is better); intervals are of 95 %, over seeds and videos.\n"
    )


def _section(title: str, content: str) -> str:
    return f"## {title}\n\n{content}\n" if content else ""


def _separation(results: Mapping[str, Any], part: str) -> str:
    """Methods and masks by metrics of mix-2 and mix-3. Source: Tables 1 and 2."""
    entries, failed = results["entries"], results["failed"]
    keys = [key for key, entry in entries.items() if entry[part]]
    if not (keys or failed):
        return ""
    places = [key.rsplit("-", 2) for key in (*keys, *failed)]
    numbers = sorted({int(sounds.removeprefix("mix")) for _, _, sounds in places})
    rows = []
    for method, mask in dict.fromkeys((method, mask) for method, mask, _ in places):
        cells = [method_name(method), mask]
        for number in numbers:
            key = f"{method}-{mask}-mix{number}"
            values = entries[key][part] if key in entries else {}
            seeds = [str(len(entries[key]["seeds"]))] if values else []
            seeds += [f"{len(failed[key])} failed"] if key in failed else []
            cells += [", ".join(seeds), *(_estimate(values.get(m)) for m in _METRICS)]
        rows.append(cells)
    for name, mask in (("mixture", ""), ("oracle", "binary")):
        lists = [results["beside"][name].get(f"{'far_' if part == 'far' else ''}mix{number}", {}) for number in numbers]
        cells = [["", *(_estimate(values.get(m)) for m in _METRICS)] for values in lists]
        if any(lists):
            rows.append([method_name(name), mask, *(cell for four in cells for cell in four)])
    heads = [
        head for n in numbers for head in (f"mix-{n} seeds", *(f"mix-{n} {metric.upper()}" for metric in _METRICS))
    ]
    return _table(["method", "mask", *heads], rows)


def _mixtures(entries: Mapping[str, Any]) -> str:
    """How many mixtures each number is of, how many a method has no ratios for, and what moves a mean SAR."""
    rows = []
    for entry in entries.values():
        cells = []
        for part in ("test", "far"):
            found = entry["mixtures"][part]
            reasons = ", ".join(f"{count} {reason}" for reason, count in found.get("left_out", {}).items())
            counts = [str(found["count"]), reasons or "none", str(found["untouched"])] if found else [""] * 3
            cells += [*counts, _number(found.get("sar_median"))]
        rows.append([method_name(entry["method"]), entry["mask"], f"mix-{entry['sources']}", *cells])
    note = (
        "A silent estimate counts in NSDR, as 0; any other reason leaves the mixture out of NSDR as well. A SAR of "
        f"over {UNTOUCHED:.0f} dB is that of a sound left as the mixture, or nearly.\n\n"
    )
    of_each = ["left out", f"SAR over {UNTOUCHED:.0f}", "median SAR"]
    heads = ["method", "mask", "trained on", "test", *of_each, "far", *of_each]
    return note + _table(heads, rows) if rows else ""


def _training(entries: Mapping[str, Any]) -> str:
    """Rate, steps and time of each row, and what it makes of the pictures of another sound."""
    rows = []
    for entry in entries.values():
        if not entry["steps"]:
            continue
        rates = ", ".join(f"{rate:g}" for rate in entry["rate"])
        trained = ", ".join(map(str, dict.fromkeys(entry["steps"].get("trained", ()))))
        evaluated = ", ".join(map(str, entry["steps"]["evaluated"]))
        swapped = [_estimate(entry["swapped"].get(part)) for part in ("test", "far")]
        setting = [method_name(entry["method"]), entry["mask"], f"mix-{entry['sources']}"]
        rows.append([*setting, rates, trained, evaluated, _number(entry["minutes"], digits=1), *swapped])
    heads = ["learning rate", "steps", "best by validation, a seed each", "minutes", "NSDR, pictures swapped", "far"]
    return _table(["method", "mask", "trained on", *heads], rows)


def _observations(lines: Iterable[Mapping[str, Any]]) -> str:
    rows = [
        [
            line["claim"],
            line["where"],
            _estimate(line["difference"]),
            str(line["difference"]["seeds"]),
            line["verdict"],
        ]
        for line in lines
    ]
    return _table(["the paper, on MUSIC", "where", "difference, above 0 where it is so", "seeds", "here"], rows)


def _differences(by_setting: Mapping[str, Any]) -> str:
    parts = []
    for setting, pairs in by_setting.items():
        rows = [
            [pair_name(pair), *(_marked(metric, values.get(metric)) for metric in _METRICS)]
            for pair, values in pairs.items()
        ]
        parts.append(f"{setting}:\n\n{_table(['pair', *(metric.upper() for metric in _METRICS)], rows)}")
    note = (
        "Bold: the interval, over several seeds, excludes 0, as one in twenty does by chance; ▲ the first of the pair "
        "is better, ▼ the second.\n\n"
    )
    return note + "\n\n".join(parts) if parts else ""


def _curves(entries: Mapping[str, Any], figures: Sequence[str]) -> str:
    numbers = sorted({int(number) for entry in entries.values() for number in entry["mixes"]})
    rows = [
        [
            f"mix-{entry['sources']}",
            method_name(entry["method"]),
            entry["mask"],
            *(_estimate(mapping(entry["mixes"].get(str(number))).get("nsdr")) for number in numbers),
        ]
        for entry in sorted(entries.values(), key=lambda entry: entry["sources"])
    ]
    note = "The number of its training has more mixtures than the others, see `config.evaluation`.\n\n"
    pictures = note + "".join(f"![{name}]({name})\n\n" for name in figures)
    heads = ["trained on", "method", "mask", *(f"NSDR of {number}" for number in numbers)]
    return pictures + _table(heads, rows) if len(numbers) > 1 else ""


def _counting(entries: Mapping[str, Any]) -> str:
    rows = []
    for entry in entries.values():
        for mode, found in entry.get("counting", {}).items():
            cells = [of for part in _COUNTED for of in (_estimate(found[part]), _number(found["constant"][part]))]
            rows.append([entry["mask"], f"mix-{entry['sources']}", mode, *cells])
    heads = [head for title in _COUNTED.values() for head in (f"right, {title}", "best constant")]
    return _table(["MP-Net's mask", "trained on", "candidates", *heads], rows)


def _localisation(entries: Mapping[str, Any]) -> str:
    rows = []
    for entry in entries.values():
        for scene in entry.get("localisation", ()):
            for guess, found in scene["guesses"].items():
                cells = [_estimate(found.get(measure)) for measure in ("pointing", "iou", "auc", "player")]
                rows.append([entry["mask"], f"mix-{entry['sources']}", scene["scene"], guess, *cells])
    heads = ["MP-Net's mask", "trained on", "scene", "guess", "pointing", "IoU", "AUC", "right player"]
    return _table(heads, rows)


def _rates(rates: Mapping[str, Mapping[str, float | None]], at_edge: Mapping[str, str]) -> str:
    tried = sorted({rate for scores in rates.values() for rate in scores}, key=float)
    rows = []
    for method, scores in rates.items():
        best = max((score for score in scores.values() if score is not None), default=None)
        cells = [_rate(scores[rate], best) if rate in scores else "" for rate in tried]
        rows.append([method_name(method), *cells, at_edge.get(method, "")])
    table = _table(["validation SI-SDR improvement, dB", *tried, "the best is an edge"], rows)
    note = "The best one is taken for all cells of the method; where it is an edge, a better one may lie beyond.\n\n"
    return f"{note}{table}" if rows else ""


def _rate(score: float | None, best: float | None) -> str:
    if score is None:
        return "failed"
    return f"**{score:.2f}**" if score == best else f"{score:.2f}"


def _ablations(ablations: Sequence[Mapping[str, Any]]) -> str:
    if not ablations:
        return ""
    names = list(dict.fromkeys(name for row in ablations for name in row["lists"]))
    rows, changes, gains, first = [], [], [], ablations[0]
    columns = [
        (name, metric)
        for name in names
        for metric in ("nsdr", "sir", "sar", "amid")
        if metric != "amid" or metric in mapping(first["lists"].get(name))  # of mixtures as in training alone
    ]

    def marked(found: Mapping[str, Any]) -> list[str]:
        return [_marked(metric, mapping(found.get(name)).get(metric)) for name, metric in columns]

    for row in ablations:
        what = " ".join(f"{field}={value}" for field, value in row["overrides"].items()) or "nothing"
        cells = [_estimate(mapping(row["lists"].get(name)).get(metric)) for name, metric in columns]
        rows.append([row["name"] + (" (failed)" if row.get("failed") else ""), f"`{what}`", *cells])
        if "differences" in row:
            changes.append([f"{row['name']} \N{MINUS SIGN} default", *marked(row["differences"])])
        if row.get("over_round_one"):
            steps = ", ".join(f"{evaluated} \N{MINUS SIGN} {round_one or ''}" for round_one, evaluated in row["steps"])
            gains.append([row["name"], steps, *marked(row["over_round_one"])])
    heads = [f"{name} {metric.upper()}" for name, metric in columns]
    return (
        f"{method_name(first['method'])}, {first['setting']}, seed {first['seeds'][0]}; intervals are over videos and "
        "say nothing of another training. Where several seeds are named, they are over these, too.\n\n"
        f"{_table(['change', 'fields', *heads], rows)}\n\n{_table(['paired difference', *heads], changes)}\n\n"
        f"{_table([pair_name(OVER_ROUND_ONE), 'at steps', *heads], gains)}"
    )


def _published() -> str:
    rows = [
        [method_name(method), mask, *(f"{value:.2f}" for number in found for value in number)]
        for (method, mask), found in published.MUSIC.items()
    ]
    heads = [f"mix-{number} {metric.upper()}" for number in (2, 3) for metric in _METRICS]
    return f"{published.SOURCE}; no intervals were given.\n\n{_table(['method', 'mask', *heads], rows)}"


def _number(value: float | None, *, digits: int = 2) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _estimate(value: Any) -> str:
    """A mean with its interval; nothing without one."""
    mean, interval = mapping(value).get("mean"), interval_of(value)
    if not is_number(mean):
        return ""
    return f"{mean:.2f}" + (f" [{interval[0]:.2f}, {interval[1]:.2f}]" if interval else "")


def _marked(metric: str, value: Any) -> str:
    said = verdict(metric, value)
    return _estimate(value) if said in ("", "open") else f"**{_estimate(value)}** {'▲' if said == 'better' else '▼'}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
