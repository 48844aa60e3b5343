"""Draws tables whose column heads are buttons that sort."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mpnet_jax.metrics.names import METRICS, arrow
from mpnet_jax.report.drawing.numbers import breakable, count_of, estimate, is_number, number, text

# Column heads of the metrics, with an arrow that shows which direction is better.
METRIC_HEADS = tuple(f"{name.upper()} {arrow(name)}" for name in METRICS)
ESTIMATE_HEADS = (*METRIC_HEADS, "Mixtures")


@dataclass(frozen=True)
class Cell:
    """A table cell.

    Attributes:
        html: Content.
        value: Number by which its column sorts; None stays last.
        kind: CSS class of the cell.
    """

    html: str
    value: float | int | None = None
    kind: str = ""


def words(value: Any) -> Cell:
    """Returns a cell of escaped text."""
    return Cell(breakable(text(value)), kind="words")


def plain(value: Any, *, digits: int = 0) -> Cell:
    """Returns a cell with one number."""
    return Cell(number(value, digits=digits), value if is_number(value) else None)


def estimated(value: Any, *, percent: bool = False) -> Cell:
    """Returns a cell with a mean and its interval."""
    mean = value.get("mean") if isinstance(value, Mapping) else None
    return Cell(estimate(value, percent=percent), mean if is_number(mean) else None)


def estimates(values: Any) -> list[Cell]:
    """Returns the cells for `ESTIMATE_HEADS`: the estimate of each metric, and the greatest count among them."""
    return [*(estimated(values.get(metric)) for metric in METRICS), plain(count_of(values))]


def table(heads: Sequence[str], rows: Sequence[Sequence[Cell]], *, caption: str, kind: str = "") -> str:
    """Returns a table in a box that scrolls by itself on a narrow page.

    Args:
        heads: Column heads as HTML.
        rows: Cells of each row; the first is the row's head. A column of words without values sorts by text.
        caption: Caption, escaped here; also the name of the box.
        kind: Further CSS classes of the table.

    Returns:
        HTML, or "" without rows.
    """
    if not rows:
        return ""
    top = "".join(
        f'<th scope="col" aria-sort="none" data-sort="{_sort(column)}"><button type="button">{head}</button></th>'
        for head, column in zip(heads, zip(*rows, strict=True), strict=True)
    )
    body = "".join(f"<tr>{''.join(_cell(column, cell) for column, cell in enumerate(row))}</tr>" for row in rows)
    name = text(caption)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{name}">'
        f'<table class="numbers sortable {kind}"><caption>{name}</caption>'
        f"<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _sort(column: Sequence[Cell]) -> str:
    numeric = any(cell.value is not None for cell in column)
    return "text" if not numeric and any(cell.kind == "words" for cell in column) else "number"


def _cell(column: int, cell: Cell) -> str:
    tag = "th" if column == 0 else "td"
    scope = ' scope="row"' if column == 0 else ""
    kind = f' class="{cell.kind}"' if cell.kind else ""
    value = f' data-value="{cell.value:.6g}"' if cell.value is not None else ""
    return f"<{tag}{scope}{kind}{value}>{cell.html}</{tag}>"
