"""Writes a comparison's results as a web page: the tables of results.md, sortable, with charts."""

import re
from collections.abc import Mapping
from html import escape
from typing import Any

from mpnet_jax.comparison.cells import NO_MASK
from mpnet_jax.comparison.report.observations import FAILS, HOLDS, OPEN
from mpnet_jax.comparison.report.sections import CURVES, MARKS, Cell, Section, Table, finished, sections
from mpnet_jax.metrics.names import METRICS, method_name
from mpnet_jax.report.drawing import shell, sortable
from mpnet_jax.report.drawing.numbers import MISSING, breakable, number
from mpnet_jax.report.drawing.series import legend
from mpnet_jax.report.sections import differences, robustness, tables

_VERDICTS = {HOLDS: "better", FAILS: "worse", OPEN: "open"}
_METRIC_HEADS = dict(zip((metric.upper() for metric in METRICS), sortable.METRIC_HEADS, strict=True))


def grid_page(results: Mapping[str, Any]) -> str:
    """Returns the page as HTML that needs no other file.

    Args:
        results: The dictionary of `results.results`.
    """
    entries = results["entries"]
    return shell.page(
        title="Comparison of methods",
        kind="Sound separation, methods compared",
        heading="Methods compared",
        subtitle=escape(f"{finished(results)}; dB except AMID; intervals of 95 % over seeds and videos"),
        hero="",
        sections=[
            shell.Section(section.anchor, section.title, _content(section, entries)) for section in sections(results)
        ],
        foot=tables.foot({"definitions": results["definitions"], "run": results["made"]}),
    )


def _content(section: Section, entries: Mapping[str, Any]) -> str:
    parts = []
    for block in section.blocks:
        if isinstance(block, Table):
            parts.append(_table(section, block))
        elif block == CURVES:
            parts.append(_curves(entries))
        else:
            parts.append(f'<p class="note">{_text(differences.BETTER if block == MARKS else block)}</p>')
    return "".join(parts)


def _table(section: Section, table: Table) -> str:
    heads = [_METRIC_HEADS.get(head) or escape(head[:1].upper() + head[1:]) for head in table.heads]
    rows = [[_cell(cell) for cell in row] for row in table.rows]
    shown = sortable.table(heads, rows, caption=f"{section.title} {table.title}".strip(), kind="wide")
    if not table.title:
        return shown
    pairs = {row[0].text: dict(zip(METRICS, (cell.value for cell in row[1:]), strict=False)) for row in table.rows}
    return f"<h3>{escape(table.title)}</h3>{shown}{differences.forests(pairs)}"


def _cell(cell: Cell) -> sortable.Cell:
    if cell.value is not None:
        return differences.marked(cell.value, cell.verdict)
    if re.fullmatch(r"-?\d+(\.\d+)?", cell.text):
        return sortable.Cell(number(float(cell.text), digits=len(cell.text.partition(".")[2])), float(cell.text))
    if said := _VERDICTS.get(cell.text):
        return sortable.Cell(f'<small class="verdict {said}">{cell.text}</small>', kind="words")
    return sortable.Cell(breakable(_text(cell.text)), kind="words") if cell.text else sortable.Cell(MISSING)


def _text(text: str) -> str:
    return re.sub("`(.*?)`", r"<code>\1</code>", escape(text))


def _curves(entries: Mapping[str, Any]) -> str:
    """Draws the curves of each number of sounds in training. Source: Figs. 4 and 5."""
    parts = []
    for sources in sorted({entry["sources"] for entry in entries.values()}):
        same = [entry for entry in entries.values() if entry["sources"] == sources]
        curves = [entry for entry in same if entry["mask"] != "binary"] or same
        series = [
            (_name(entry), style, {int(number): values for number, values in entry["mixes"].items()})
            for style, entry in enumerate(curves)
        ]
        if cards := robustness.cards(series, labels=False):
            keys = legend([(name, style) for name, style, _ in series])
            parts.append(f"<h3>Trained on mixtures of {sources}</h3>{keys}{cards}")
    return "".join(parts)


def _name(entry: Mapping[str, Any]) -> str:
    mask = "" if entry["mask"] == NO_MASK else f", {entry['mask']}"
    return f"{method_name(entry['method'])}{mask}, mix-{entry['sources']}"
