"""The page of a comparison of methods over seeds: the parts of a page of runs, an entry in place of a run."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from mpnet_jax.metrics.names import METRICS, method_name
from mpnet_jax.report.drawing import shell, sortable
from mpnet_jax.report.drawing.numbers import mapping, text
from mpnet_jax.report.drawing.series import legend
from mpnet_jax.report.drawing.shell import Section
from mpnet_jax.report.sections import counting, differences, far, localisation, robustness
from mpnet_jax.report.side_by_side_page import tiles

_VERDICTS = {"holds": "better", "does not hold": "worse", "undecided": "open"}


def grid_page(results: Mapping[str, Any]) -> str:
    """The whole page.

    Args:
        results: of `grid.results.results`.

    Returns:
        HTML that needs nothing beside itself.
    """
    entries = results["entries"]
    fewest = min((entry["sources"] for entry in entries.values()), default=0)
    first = [entry for entry in entries.values() if entry["sources"] == fewest]
    shown = [entry for entry in first if entry["mask"] in ("ratio", "none")] or first
    sections = [
        Section("observations", "What the paper observed", _observations(results["observations"])),
        Section("numbers", "Numbers", _numbers(results)),
        Section("differences", "Paired differences", _differences(results["differences"])),
        Section("robustness", "More sounds than in training", _robustness(entries)),
        Section("far", "Far from what was trained on", _far(entries, results["far_differences"])),
        Section("counting", "Counting", _counting(entries)),
        Section("localisation", "Localisation", localisation.table(_scenes(entries))),
        Section("ablations", "Ablations", _ablations(results["ablations"])),
        Section("rates", "Learning rates", _rates(results["rates"], results["rates_at_edge"])),
    ]
    done = ", ".join(f"{found} of {planned} {kind}" for kind, (found, planned) in results["done"].items() if planned)
    return shell.page(
        title="Comparison of methods",
        kind="Sound separation, methods compared",
        heading="Methods compared",
        subtitle=escape(f"{done}; intervals over seeds and videos"),
        hero=tiles([(escape(_name(entry)), "NSDR", entry["test"].get("nsdr")) for entry in shown]),
        sections=sections,
        foot=_foot(results),
    )


def _name(entry: Mapping[str, Any]) -> str:
    mask = "" if entry["mask"] == "none" else f", {entry['mask']}"
    return f"{method_name(entry['method'])}{mask}, mix-{entry['sources']}"


def _observations(lines: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        [
            sortable.words(line["claim"]),
            sortable.words(line["where"]),
            sortable.estimated(line["difference"]),
            sortable.Cell(
                f'<small class="verdict {_VERDICTS[line["verdict"]]}">{escape(line["verdict"])}</small>', kind="words"
            ),
            sortable.plain(line["difference"]["seeds"]),
        ]
        for line in lines
    ]
    heads = ["The paper, on MUSIC", "Where", "Difference", "Here", "Seeds"]
    caption = "Differences that are above zero where the paper is right, 95 % intervals over seeds and videos"
    return sortable.table(heads, rows, caption=caption, words=2)


def _numbers(results: Mapping[str, Any]) -> str:
    entries, failed = results["entries"], results["failed"]
    rows = [
        [
            sortable.words(method_name(entry["method"])),
            sortable.words(entry["mask"]),
            sortable.plain(entry["sources"]),
            *(sortable.estimated(entry["test"].get(metric)) for metric in METRICS),
            sortable.estimated(entry["swapped"].get("test")),
            sortable.plain(len(entry["seeds"])),
            sortable.plain(entry["minutes"], digits=1),
            sortable.words(entry["rate"]),
        ]
        for entry in entries.values()
    ]
    rows += [
        [
            sortable.words(method_name(name)),
            sortable.words("binary" if name == "oracle" else "none"),
            sortable.plain(int(of.removeprefix("mix"))),
            *(sortable.estimated(values.get(metric)) for metric in METRICS),
            *(sortable.plain(None) for _ in range(4)),
        ]
        for name, lists in results["beside"].items()
        for of, values in lists.items()
        if not of.startswith("far_")
    ]
    heads = [
        "Method",
        "Mask",
        "Sounds",
        *sortable.metric_heads(),
        "Pictures swapped",
        "Seeds",
        "Minutes",
        "Learning rate",
    ]
    caption = "Means over seeds and mixtures in dB (AMID: no unit), 95 % intervals"
    lost = "; ".join(f"{key}, seed {', '.join(map(str, seeds))}" for key, seeds in failed.items())
    note = f'<p class="note">Training failed, the loss was not finite: {escape(lost)}.</p>' if lost else ""
    return sortable.table(heads, rows, caption=caption, kind="wide", words=2) + note


def _differences(by_setting: Mapping[str, Any]) -> str:
    named = {
        setting: {differences.pair_name(pair): values for pair, values in pairs.items()}
        for setting, pairs in by_setting.items()
    }
    parts = [
        f"<h3>{escape(setting)}</h3>{differences.table(pairs, caption=f'Paired differences, {setting}')}"
        f"{differences.forests(pairs)}"
        for setting, pairs in named.items()
    ]
    return f'<p class="note">{differences.BETTER}</p>{"".join(parts)}' if parts else ""


def _robustness(entries: Mapping[str, Any]) -> str:
    """Curves of each number of sounds in training. Source: Figs. 4 and 5."""
    parts = []
    for sources in sorted({entry["sources"] for entry in entries.values()}):
        here = [entry for entry in entries.values() if entry["sources"] == sources]
        curves = [entry for entry in here if entry["mask"] in ("ratio", "none")] or here
        by_count = [{int(n): values for n, values in entry["mixes"].items()} for entry in curves]
        series = [(_name(e), style, of) for style, (e, of) in enumerate(zip(curves, by_count, strict=True))]
        cards = robustness.cards(series, labels=False)
        if cards:
            keys = legend([(name, style) for name, style, _ in series])
            parts.append(f"<h3>Trained on mixtures of {sources}</h3>{keys}{cards}")
    rows = [
        (_name(entry), int(number), values) for entry in entries.values() for number, values in entry["mixes"].items()
    ]
    return "".join(parts) + robustness.table(rows, head="Trained")


def _far(entries: Mapping[str, Any], by_setting: Mapping[str, Any]) -> str:
    rows = [(_name(entry), entry["far"]) for entry in entries.values() if entry["far"]]
    return far.table(rows, head="Trained") + _differences(by_setting) if rows else ""


def _counting(entries: Mapping[str, Any]) -> str:
    rows = [
        [
            sortable.words(_name(entry)),
            sortable.words(counting.MODES[mode]),
            *(
                cell
                for part in ("as_trained", "all")
                for cell in (
                    sortable.estimated(found[part], percent=True),
                    sortable.estimated({"mean": found["constant"][part], "ci95": None}, percent=True),
                )
            ),
        ]
        for entry in entries.values()
        for mode, found in mapping(entry.get("counting")).items()
    ]
    constant = "Best constant"
    heads = ["Trained", "Candidates", "Right, 1 to as many as in training", constant, "Right, any number", constant]
    return sortable.table(heads, rows, caption="How often the number of sounds is right", words=2)


def _scenes(entries: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    return [(_name(entry), scene) for entry in entries.values() for scene in entry.get("localisation", ())]


def _ablations(ablations: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        (f"{row['name']} ({' '.join(f'{k}={v}' for k, v in row['overrides'].items()) or 'nothing'})", name, values)
        for row in ablations
        for name, values in row["lists"].items()
    ]
    cells = [(change, int(name.removeprefix("mix")), values) for change, name, values in rows]
    paired = {
        f"{row['name']} \N{MINUS SIGN} default, {name}": values
        for row in ablations
        for name, values in mapping(row.get("differences")).items()
    }
    paired |= {
        f"{row['name']}: {differences.pair_name(differences.OVER_ROUND_ONE)}, {name}": values
        for row in ablations
        for name, values in mapping(row.get("over_round_one")).items()
    }
    table = robustness.table(cells, head="Change")
    note = (
        '<p class="note">On the validation split alone, of one seed: intervals are over videos and say nothing of '
        "another training. Where several seeds are named, they are over these, too.</p>"
        if table
        else ""
    )
    return note + table + differences.table(paired, caption="Paired differences to no change and to round one")


def _rates(rates: Mapping[str, Mapping[str, Any]], at_edge: Mapping[str, str]) -> str:
    tried = sorted({rate for scores in rates.values() for rate in scores}, key=float)
    rows = [
        [
            sortable.words(method_name(method)),
            *(
                sortable.Cell("failed") if scores.get(rate, 0.0) is None else sortable.plain(scores.get(rate), digits=2)
                for rate in tried
            ),
            sortable.words(at_edge.get(method, "")),
        ]
        for method, scores in rates.items()
    ]
    caption = "Best validation SI-SDR improvement in training, dB; the best rate is taken"
    return sortable.table(["Method", *tried, "The best is an edge"], rows, caption=caption)


def _foot(results: Mapping[str, Any]) -> str:
    def listed(entries: Mapping[str, Any]) -> str:
        return "".join(f"<div><dt>{escape(key)}</dt><dd>{text(value)}</dd></div>" for key, value in entries.items())

    return (
        '<section class="columns"><div role="group" aria-labelledby="meaning">'
        f'<h2 id="meaning">What the numbers mean</h2><dl>{listed(results["definitions"])}</dl></div>'
        '<div role="group" aria-labelledby="made"><h2 id="made">How this page was made</h2>'
        f"<dl>{listed(results['made'])}</dl></div></section>"
    )
