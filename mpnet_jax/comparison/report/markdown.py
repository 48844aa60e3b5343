"""Writes a comparison's results as Markdown: tables in the shape of the paper's, with intervals."""

from collections.abc import Mapping
from typing import Any

from mpnet_jax.comparison.report.sections import CURVES, MARKS, Cell, Table, finished, sections
from mpnet_jax.report.drawing.numbers import interval_of, is_number, mapping

_PAGE_ALONE = ("SDR", "mixtures")  # columns that results.md leaves out
_MARKS = {"better": " ▲", "worse": " ▼"}
_MARKS_NOTE = (
    "Bold: the interval, over several seeds, excludes 0, as one in twenty does by chance; ▲ the first of the pair is "
    "better, ▼ the second."
)


def markdown(results: Mapping[str, Any]) -> str:
    """Returns the content of results.md.

    Args:
        results: The dictionary of `results.results`.
    """
    own, made = {CURVES: "", MARKS: _MARKS_NOTE}, results["made"]
    head = (
        "# Comparison\n\n"
        f"Finished: {finished(results)}. Written by `{made['command']}` at commit {made['commit']}; each cell's "
        "file has its own command, commit and machine. dB except AMID (lower is better); intervals are of 95 %, over "
        "seeds and videos.\n"
    )
    parts = []
    for section in sections(results):
        blocks = [_table(block) if isinstance(block, Table) else own.get(block, block) for block in section.blocks]
        parts.append("\n\n".join([f"## {section.title}", *filter(None, blocks)]) + "\n")
    meaning = "\n".join(f"* **{name}**: {text}" for name, text in results["definitions"].items())
    return "\n".join([head, *parts, f"## What the numbers mean\n\n{meaning}\n"])


def _table(table: Table) -> str:
    if not table.rows:
        return ""
    shown = [place for place, head in enumerate(table.heads) if head not in _PAGE_ALONE]
    lines = [[table.heads[place] for place in shown], ["---"] * len(shown)]
    lines += [[_cell(row[place]) for place in shown] for row in table.rows]
    title = f"{table.title}:\n\n" if table.title else ""
    return title + "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(cell: Cell) -> str:
    shown, mean, interval = cell.text, mapping(cell.value).get("mean"), interval_of(cell.value)
    if is_number(mean):
        shown = f"{mean:.2f}" + (f" [{interval[0]:.2f}, {interval[1]:.2f}]" if interval else "")
    mark = _MARKS.get(cell.verdict)
    return shown if mark is None else f"**{shown}**{mark}"
