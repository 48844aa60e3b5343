"""Writes the page that compares several runs."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from mpnet_jax.metrics.names import method_name
from mpnet_jax.report.drawing import charts, shell, sortable
from mpnet_jax.report.drawing.numbers import breakable, text
from mpnet_jax.report.drawing.series import MOST_POINTS, legend, scatter
from mpnet_jax.report.drawing.shell import Section
from mpnet_jax.report.drawing.tiles import tiles
from mpnet_jax.report.runs import NOT_THE_SAME, Pair, Run
from mpnet_jax.report.sections import counting, differences, far, localisation, robustness, tables

_FACTS = ("config", "split", "mask", "machine", "date", "command")
# Maximal length of a run's name at an axis.
_AXIS_NAME = 32
# More bands overlap too much.
_MOST_CURVES = 4


def comparison_page(runs: Sequence[Run], pairs: Sequence[Pair], links: Sequence[str]) -> str:
    """Returns the page as HTML that needs no other file.

    Args:
        runs: The runs in their order.
        pairs: Every two of the runs.
        links: Address of each run's own report, or "".
    """
    sections = [
        Section("numbers", "Numbers", _numbers(runs, links)),
        Section("differences", "Paired differences", _differences(runs, pairs)),
        Section("mixtures", "Mixture by mixture", _mixture_by_mixture(pairs)),
        Section("robustness", "Robustness", _robustness(runs)),
        Section("counting", "Counting", counting.table(_counting(runs))),
        Section("localisation", "Localisation", localisation.table(_scenes(runs))),
        Section("far", "Far from what was trained on", far.table(_far(runs), head="Run and method")),
    ]
    return shell.page(
        title=f"Comparison of {len(runs)} runs",
        kind="Sound separation, runs compared",
        heading=escape(" and ".join(run.name for run in runs)) if len(runs) == 2 else f"{len(runs)} runs compared",
        subtitle=_subtitle(runs),
        hero=tiles(
            [
                (_linked(run.name, link), f"NSDR, {text(method_name(run.main))}", run.methods[run.main].get("nsdr"))
                for run, link in zip(runs, links, strict=True)
            ]
        ),
        sections=sections,
        foot=_foot(runs),
    )


def _subtitle(runs: Sequence[Run]) -> str:
    counts = sorted({len(run.mixtures) for run in runs if run.mixtures})
    splits = sorted({str(run.facts["split"]) for run in runs if run.facts.get("split")})
    parts = [f"split {escape(', '.join(splits))}"] if splits else []
    parts += [f"{' or '.join(f'{count:,}' for count in counts)} mixtures"] if counts else []
    return " · ".join(parts)


def _numbers(runs: Sequence[Run], links: Sequence[str]) -> str:
    rows = [
        [
            sortable.Cell(_linked(run.name, link), kind="words"),
            sortable.words(method_name(method)),
            *sortable.estimates(values),
            sortable.plain(run.facts.get("steps")),
            sortable.plain(run.facts.get("training_minutes"), digits=1),
            sortable.plain(run.facts.get("seed")),
            sortable.Cell(f"<code>{text(str(run.facts.get('commit', ''))[:12])}</code>"),
        ]
        for run, link in zip(runs, links, strict=True)
        for method, values in run.methods.items()
    ]
    caption = "Means over mixtures in dB (AMID: no unit), 95 % intervals"
    heads = ["Run", "Method", *sortable.ESTIMATE_HEADS, "Steps", "Minutes", "Seed", "Commit"]
    table = sortable.table(heads, rows, caption=caption, kind="wide")
    return (
        f'{table}<p class="note">Intervals are of 95 %, from '
        "resampling videos. Between runs with the same mixtures the paired differences are more precise than these "
        "intervals.</p>"
    )


def _differences(runs: Sequence[Run], pairs: Sequence[Pair]) -> str:
    labels = _labels(runs)
    paired = {
        f"{labels[pair.first.name]} \N{MINUS SIGN} {labels[pair.second.name]}": pair.differences
        for pair in pairs
        if pair.differences
    }
    apart = "".join(
        f"<li>{escape(labels[pair.first.name])} and {escape(labels[pair.second.name])}: {NOT_THE_SAME}</li>"
        for pair in pairs
        if not pair.differences
    )
    unpaired = f'<ul class="left-out">{apart}</ul>' if apart else ""
    if not paired:
        return unpaired
    unchecked = any(pair.differences and not pair.starts_checked for pair in pairs)
    assumed = " Not all runs recorded where in each video their mixtures start; equal starts are assumed."
    return (
        '<p class="note">Both runs separated the same mixtures: each is compared with itself, later run minus earlier '
        f"one, and the intervals are from resampling videos. {differences.BETTER}{assumed if unchecked else ''}</p>"
        f"{differences.table(paired, caption='Means of paired differences, 95 % intervals')}"
        f"{differences.forests(paired)}{unpaired}"
    )


def _mixture_by_mixture(pairs: Sequence[Pair]) -> str:
    """Plots the NSDR of two runs against each other; "" for more runs or different mixtures."""
    if len(pairs) != 1 or not pairs[0].differences:
        return ""
    later, earlier = pairs[0].first, pairs[0].second
    x, y = earlier.values("nsdr"), later.values("nsdr")
    titles = [f"mixture {row.get('index')}, {' and '.join(_classes(row))}" for row in earlier.mixtures]
    names = [_short(f"NSDR of {run.name}") + " (dB)" for run in (earlier, later)]
    drawn = scatter(x, y, titles, x_label=names[0], y_label=names[1])
    if not drawn:
        return ""
    listed = f" The first {MOST_POINTS:,} are drawn." if len(x) > MOST_POINTS else ""
    difference = charts.histogram(y - x, label="NSDR difference", unit="dB")
    return (
        f'<p class="note">Each point is a mixture; above the diagonal {escape(later.name)} separates it better.'
        f"{listed}</p>"
        f'<div class="cards"><figure class="card"><figcaption>NSDR of both runs</figcaption>{drawn}</figure>'
        f'<figure class="card"><figcaption>NSDR of {escape(later.name)} minus {escape(earlier.name)}</figcaption>'
        f"{difference}{tables.quantiles(y - x)}</figure></div>"
    )


def _robustness(runs: Sequence[Run]) -> str:
    """Returns the curves of all runs and their table."""
    found = [(run, robustness.by_method(run.results.get("mixes"))) for run in runs]
    every = [(run, key, values[key]) for run, values in found for key in run.methods if key in values]
    if not every:
        return ""
    drawn = every if len(every) <= _MOST_CURVES else [entry for entry in every if entry[1] == entry[0].main]
    series = [(f"{run.name}, {method_name(key)}", style, values) for style, (run, key, values) in enumerate(drawn)]
    only = " Only the main method of each run is drawn; the table has them all." if len(drawn) < len(every) else ""
    rows = [(f"{run.name}, {method_name(key)}", count, values[count]) for run, key, values in every for count in values]
    cards = robustness.cards(series, labels=False)
    keys = legend([(name, style) for name, style, _ in series]) if cards else ""
    return (
        f'<p class="note">The runs on mixtures of more sounds; bands are 95 % intervals.{only}</p>'
        f"{keys}{cards}{robustness.table(rows, head='Run and method')}"
    )


def _counting(runs: Sequence[Run]) -> list[tuple[str, str, Mapping[str, Any]]]:
    return [
        (run.name, mode, values)
        for run in runs
        for mode, values in counting.modes_of(run.results.get("counting")).items()
    ]


def _scenes(runs: Sequence[Run]) -> list[tuple[str, Mapping[str, Any]]]:
    return [(run.name, scene) for run in runs for scene in localisation.scenes_of(run.results.get("localisation"))]


def _far(runs: Sequence[Run]) -> list[tuple[str, Mapping[str, Any]]]:
    found = [(run, far.methods_of(run.results.get("far"))) for run in runs]
    return [
        (f"{run.name}, {method_name(key)}", methods[key])
        for run, methods in found
        for key in run.methods
        if key in methods
    ]


def _foot(runs: Sequence[Run]) -> str:
    rows = [[sortable.words(run.name), *(sortable.words(run.facts.get(key)) for key in _FACTS)] for run in runs]
    heads = ["Run", *(key.capitalize() for key in _FACTS)]
    made = sortable.table(heads, rows, caption="Configs, machines and commands", kind="facts")
    meaning = next((found for run in runs if (found := tables.definitions(run.results))), "")
    note = f'<section class="columns"><div><h2>What the numbers mean</h2>{meaning}</div></section>' if meaning else ""
    return f'<section aria-labelledby="made"><h2 id="made">How they were made</h2>{made}</section>{note}'


def _labels(runs: Sequence[Run]) -> dict[str, str]:
    """Returns {name of a run: label}, with the methods in the labels where they differ."""
    several = len({run.main for run in runs}) > 1
    return {run.name: f"{run.name}, {method_name(run.main)}" if several else run.name for run in runs}


def _linked(name: str, link: str) -> str:
    shown = breakable(escape(name))
    return f'<a href="{escape(link)}">{shown}</a>' if link else shown


def _short(name: str) -> str:
    return name if len(name) <= _AXIS_NAME else f"{name[: _AXIS_NAME - 1]}…"


def _classes(row: Mapping[str, Any]) -> list[str]:
    names = row.get("classes")
    return [str(name) for name in names] if isinstance(names, Sequence) and not isinstance(names, str) else []
