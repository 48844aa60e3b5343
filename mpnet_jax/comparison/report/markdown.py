"""Writes a comparison's results as Markdown: tables in the shape of the paper's, with intervals."""

from collections.abc import Mapping, Sequence
from typing import Any

from mpnet_jax.comparison.report.sections import FIGURES, MARKS, Cell, Table, finished, sections
from mpnet_jax.report.drawing.numbers import interval_of, is_number, mapping

_PAGE_ALONE = ("SDR", "mixtures")  # columns of tables that are not spread over groups
_MARKS = {"better": " ▲", "worse": " ▼", "best": ""}
_MARKS_NOTE = (
    "Bold: the interval, over several seeds, excludes 0, as one in twenty does by chance; ▲ the first of the pair is "
    "better, ▼ the second."
)


def markdown(results: Mapping[str, Any], figures: Sequence[str]) -> str:
    """Returns the content of results.md.

    Args:
        results: The dictionary of `results.results`.
        figures: Addresses of the pictures.
    """
    own = {FIGURES: "\n\n".join(f"![{name}]({name})" for name in figures), MARKS: _MARKS_NOTE}
    parts = [_head(results)]
    for section in sections(results):
        blocks = [_table(block) if isinstance(block, Table) else own.get(block, block) for block in section.blocks]
        parts.append("\n\n".join([f"## {section.title}", *filter(None, blocks)]) + "\n")
    meaning = "\n".join(f"* **{name}**: {text}" for name, text in results["definitions"].items())
    return "\n".join([*parts, f"## What the numbers mean\n\n{meaning}\n"])


def _head(results: Mapping[str, Any]) -> str:
    hours = ", ".join(f"{kind} {found:.1f}" for kind, found in results["hours"].items() if found)
    made = results["made"]
    return (
        "# Comparison\n\n"
        f"Finished: {finished(results)}, in {sum(results['hours'].values()):.1f} hours of training and evaluation by "
        f"the sum of all processes ({hours}). Written by `{made['command']}` at commit {made['commit']}; each cell's "
        "file has its own command, commit and machine. dB except AMID (lower is better); intervals are of 95 %, over "
        "seeds and videos.\n"
    )


def _table(table: Table) -> str:
    if not table.rows:
        return ""
    heads, rows = _spread(table) if table.wide is not None else (table.heads, table.rows)
    shown = [place for place, head in enumerate(heads) if head not in _PAGE_ALONE]
    lines = [[heads[place] for place in shown], ["---"] * len(shown)]
    lines += [[_cell(row[place]) for place in shown] for row in rows]
    title = f"{table.title}:\n\n" if table.title else ""
    return title + "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _spread(table: Table) -> tuple[Sequence[str], Sequence[Sequence[Cell]]]:
    """Returns heads and rows with the groups of a table as columns."""
    wide, group = table.wide or {}, table.group
    found: dict[tuple[Cell, ...], dict[tuple[str, str], Cell]] = {}
    for row in table.rows:
        named = {(row[group].text, head): cell for head, cell in zip(table.heads, row, strict=True)}
        found.setdefault(tuple(row[:group]), {}).update(named)
    rows = [[*key, *(cells.get(place, Cell()) for place in wide.values())] for key, cells in found.items()]
    return [*table.heads[:group], *wide], rows


def _cell(cell: Cell) -> str:
    shown, mean, interval = cell.text, mapping(cell.value).get("mean"), interval_of(cell.value)
    if is_number(mean):
        shown = f"{mean:.2f}" + (f" [{interval[0]:.2f}, {interval[1]:.2f}]" if interval else "")
    mark = _MARKS.get(cell.verdict) if cell.value is not None or cell.verdict == "best" else None
    return shown if mark is None else f"**{shown}**{mark}"
