"""Tables whose column heads are buttons that sort."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mpnet_jax.metrics.names import METRICS, arrow
from mpnet_jax.report.drawing.numbers import breakable, estimate, is_number, number, text


@dataclass(frozen=True)
class Cell:
    """A table cell.

    Attributes:
        html: what is shown.
        value: what a column of numbers sorts by; None stays last.
        kind: class of the cell.
    """

    html: str
    value: float | int | None = None
    kind: str = ""


def words(value: Any, *, note: str = "") -> Cell:
    """A cell of escaped text, with an escaped line below."""
    return Cell(breakable(text(value)) + (f"<small>{text(note)}</small>" if note else ""), kind="words")


def plain(value: Any, *, digits: int = 0) -> Cell:
    """A cell of one number."""
    return Cell(number(value, digits=digits), value if is_number(value) else None)


def estimated(value: Any, *, percent: bool = False, kind: str = "") -> Cell:
    """A cell of a mean over its interval."""
    mean = value.get("mean") if isinstance(value, Mapping) else None
    return Cell(estimate(value, percent=percent), mean if is_number(mean) else None, kind)


def count_of(values: Any) -> Cell:
    """A cell of the greatest count among the estimates of a row."""
    found = values.values() if isinstance(values, Mapping) else ()
    counts = [value["count"] for value in found if isinstance(value, Mapping) and is_number(value.get("count"))]
    return plain(max(counts, default=None))


def metric_heads(names: Sequence[str] = METRICS) -> list[str]:
    """Column heads of metrics, each with which way is better."""
    return [f"{name.upper()} {arrow(name)}" for name in names]


def table(heads: Sequence[str], rows: Sequence[Sequence[Cell]], *, caption: str, kind: str = "", words: int = 1) -> str:
    """A table in a box that scrolls by itself where the page is narrow.

    Args:
        heads: HTML of each column head.
        rows: as many cells each.
        caption: escaped; also the name of the box.
        kind: further classes of the table.
        words: how many of the first columns hold text; the first is the head of its row.

    Returns:
        HTML, or "" without rows.
    """
    if not rows:
        return ""
    top = "".join(
        f'<th scope="col" aria-sort="none" data-sort="{"text" if column < words else "number"}">'
        f'<button type="button">{head}</button></th>'
        for column, head in enumerate(heads)
    )
    body = "".join(f"<tr>{''.join(_cell(column, cell) for column, cell in enumerate(row))}</tr>" for row in rows)
    name = text(caption)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{name}">'
        f'<table class="numbers sortable {kind}"><caption>{name}</caption>'
        f"<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _cell(column: int, cell: Cell) -> str:
    tag = "th" if column == 0 else "td"
    scope = ' scope="row"' if column == 0 else ""
    kind = f' class="{cell.kind}"' if cell.kind else ""
    value = f' data-value="{cell.value:.6g}"' if cell.value is not None else ""
    return f"<{tag}{scope}{kind}{value}>{cell.html}</{tag}>"
