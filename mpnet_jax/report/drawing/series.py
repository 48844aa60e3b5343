"""Draws charts that compare methods or runs: lines with confidence bands, and scatter plots over mixtures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from jaxtyping import Float

from mpnet_jax.report.drawing.numbers import breakable, interval_of, is_number, number
from mpnet_jax.report.drawing.plane import WIDTH, Plane, widened

# More points make the page slow.
MOST_POINTS = 1000
# Number of colours, marks and dashes in the style sheet.
STYLES = 6

_LABEL_ROOM = 98
_LABEL_HEIGHT = 17.0
# A reference that would stretch the scale by more than this factor is not drawn.
_MOST_STRETCH = 1.8
_MARKS = (
    "M-4.2 0a4.2 4.2 0 1 0 8.4 0a4.2 4.2 0 1 0-8.4 0z",
    "M-3.8-3.8h7.6v7.6h-7.6z",
    "M0-5L4.8 3.8H-4.8z",
    "M0-5.2L5.2 0L0 5.2L-5.2 0z",
    "M0 5L4.8-3.8H-4.8z",
    "M-1.5-4.5h3v3h3v3h-3v3h-3v-3h-3v-3h3z",
)


@dataclass(frozen=True)
class Series:
    """A line of a chart.

    Attributes:
        name: Label at its end.
        points: {argument: estimate}, as in a results file.
        style: Index of colour, mark and dash; they repeat after `STYLES`.
    """

    name: str
    points: Mapping[int, Any]
    style: int

    def table(self) -> np.ndarray:
        """Returns argument, mean and interval (NaN without one), (point, 4), in rising order without missing means."""
        rows = []
        for argument, estimate in sorted(self.points.items()):
            if isinstance(estimate, Mapping) and is_number(estimate.get("mean")):
                rows.append((argument, estimate["mean"], *(interval_of(estimate) or (np.nan, np.nan))))
        return np.asarray(rows, dtype=np.float64).reshape(-1, 4)


def lines(
    series: Sequence[Series], references: Sequence[Series], *, x_label: str, y_label: str, labels: bool = True
) -> str:
    """Draws lines with confidence bands over integers.

    Args:
        series: Lines, distinguished by colour, mark and dash.
        references: Thin lines; one that would flatten the others is left out.
        x_label: Title of the x axis.
        y_label: Title of the y axis.
        labels: Whether each line is labelled at its end; else the page needs a `legend`.

    Returns:
        An SVG element, or "" where no line has two points.
    """
    tables = [(line, line.table()) for line in series]
    if not any(len(table) > 1 for _, table in tables):
        return ""
    every = np.concatenate([table for _, table in tables])
    low, high = float(np.nanmin(every[:, 1:])), float(np.nanmax(every[:, 1:]))
    quiet = []
    for line in references:
        table = line.table()
        if len(table) > 1:
            longer = min(low, table[:, 1].min()), max(high, table[:, 1].max())
            if longer[1] - longer[0] <= _MOST_STRETCH * (high - low):
                quiet.append((line, table))
    shown = np.concatenate([every[:, :2], *(table[:, :2] for _, table in quiet)])
    low, high = min(low, float(shown[:, 1].min())), max(high, float(shown[:, 1].max()))
    span = widened(float(shown[:, 0].min()), float(shown[:, 0].max()))
    plane = Plane(span, widened(low, high), right=_LABEL_ROOM if labels else 14)
    parts = [plane.axes(x_label, y_label, whole_x=True)]
    parts += [_band(plane, line, table) for line, table in tables]
    parts += [f'<polyline class="reference" points="{plane.path(table)}"/>' for _, table in quiet]
    parts += [_line(plane, line, table) for line, table in tables if len(table)]
    if labels:
        ends = [(line.name, f"series-{line.style % STYLES}", table) for line, table in tables if len(table)]
        ends += [(line.name, "quiet", table) for line, table in quiet]
        parts.append(_end_labels(plane, ends))
    names = ", ".join(
        f"{line.name} from {number(table[0, 1])} to {number(table[-1, 1])}" for line, table in tables if len(table)
    )
    return plane.svg(f"{y_label} over {x_label}: {names}", parts)


def legend(names: Sequence[tuple[str, int]]) -> str:
    """Returns a list of (name, style) with the mark and the dash of each."""
    items = "".join(
        f'<li><svg viewBox="-15 -7 30 14" width="30" height="14" aria-hidden="true">'
        f'<path class="line series-{style % STYLES}" d="M-15 0H15"/>{_mark(0.0, 0.0, style, "")}</svg>'
        f"<span>{breakable(escape(name))}</span></li>"
        for name, style in names
    )
    return f'<ul class="legend">{items}</ul>'


def scatter(
    x: Float[np.ndarray, " mixture"],
    y: Float[np.ndarray, " mixture"],
    titles: Sequence[str],
    *,
    x_label: str,
    y_label: str,
) -> str:
    """Draws one point for each mixture on equal scales, and the diagonal.

    Args:
        x: Values of the first run; points that lack a value are left out.
        y: Values of the second run.
        titles: Tooltip of each point.
        x_label: Title of the x axis.
        y_label: Title of the y axis.

    Returns:
        An SVG element with at most `MOST_POINTS` points, or "" without any.
    """
    keep = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    if not len(keep):
        return ""
    both = np.concatenate([x[keep], y[keep]])
    span = widened(float(both.min()), float(both.max()))
    plane = Plane(span, span, height=WIDTH - 20)
    ends = f'x1="{plane.x(span[0]):.1f}" y1="{plane.y(span[0]):.1f}" x2="{plane.x(span[1]):.1f}"'
    parts = [plane.axes(x_label, y_label), f'<line class="zero" {ends} y2="{plane.y(span[1]):.1f}"/>']
    for index in keep[:MOST_POINTS].tolist():
        across, up = float(x[index]), float(y[index])
        kind = "above" if up > across else "below"
        about = f"{titles[index]}: {number(across, digits=1)}, {number(up, digits=1)}"
        parts.append(
            f'<circle class="point {kind}" cx="{plane.x(across):.1f}" cy="{plane.y(up):.1f}" r="4">'
            f"<title>{escape(about)}</title></circle>"
        )
    above = int((y[keep] > x[keep]).sum())
    return plane.svg(f"{y_label} against {x_label}: {above} of {len(keep)} mixtures above the diagonal", parts)


def _band(plane: Plane, line: Series, table: np.ndarray) -> str:
    rows = table[np.isfinite(table[:, 2:]).all(axis=1)]
    if len(rows) < 2:
        return ""
    upper = [f"{plane.x(row[0]):.1f},{plane.y(row[3]):.1f}" for row in rows.tolist()]
    lower = [f"{plane.x(row[0]):.1f},{plane.y(row[2]):.1f}" for row in rows[::-1].tolist()]
    return f'<polygon class="band series-{line.style % STYLES}" points="{" ".join(upper + lower)}"/>'


def _line(plane: Plane, line: Series, table: np.ndarray) -> str:
    marks = []
    for argument, mean, low, high in table.tolist():
        spread = f" ({number(low)} to {number(high)})" if np.isfinite([low, high]).all() else ""
        about = f"{line.name}, {argument:g}: {number(mean)}{spread}"
        marks.append(_mark(plane.x(argument), plane.y(mean), line.style, about))
    path = plane.path(table)
    return f'<polyline class="line series-{line.style % STYLES}" points="{path}"/>{"".join(marks)}'


def _mark(x: float, y: float, style: int, about: str) -> str:
    title = f"<title>{escape(about)}</title>" if about else ""
    shape = _MARKS[style % STYLES]
    return (
        f'<path class="mark series-{style % STYLES}" transform="translate({x:.1f} {y:.1f})" d="{shape}">{title}</path>'
    )


def _end_labels(plane: Plane, ends: Sequence[tuple[str, str, np.ndarray]]) -> str:
    """Returns labels at the right ends of lines, moved so that they do not overlap."""
    wanted = sorted((plane.y(table[-1, 1]), name, kind) for name, kind, table in ends)
    places: list[float] = []
    for y, _, _ in wanted:
        places.append(max(y, places[-1] + _LABEL_HEIGHT) if places else y)
    # Labels below the plane are moved up again.
    limit = plane.base + 4.0
    for index in range(len(places) - 1, -1, -1):
        places[index] = min(places[index], limit)
        limit = places[index] - _LABEL_HEIGHT
    return "".join(
        f'<text class="name {kind}" x="{plane.right + 4}" y="{y + 4:.1f}">{escape(name)}</text>'
        for y, (_, name, kind) in zip(places, wanted, strict=True)
    )
