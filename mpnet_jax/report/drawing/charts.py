"""Draws small charts of a run as inline SVG; the page's style sheet sets the colours through classes."""

import math
from collections.abc import Sequence
from html import escape

import numpy as np
from jaxtyping import Float

from mpnet_jax.report.drawing.numbers import is_number, number
from mpnet_jax.report.drawing.plane import Plane, round_step, widened

_MOST_BINS = 28
_MOST_POINTS = 300
# A wider range of arguments, as a ratio, has a logarithmic axis.
_LEAST_RATIO = 20.0


def histogram(values: Float[np.ndarray, " mixture"], *, label: str, unit: str) -> str:
    """Draws a histogram with lines at zero and at the mean.

    Args:
        values: Values to count; those that are not finite are ignored.
        label: Axis title.
        unit: Unit of the label and the numbers.

    Returns:
        An SVG element, or "" when no value is finite.
    """
    values = values[np.isfinite(values)]
    if not len(values):
        return ""
    low, high = float(values.min()), float(values.max())
    step = round_step((high - low) / _MOST_BINS)
    first = math.floor(low / step)
    edges = step * np.arange(first, max(math.ceil(high / step), first + 1) + 1)
    counts, _ = np.histogram(values, edges)
    plane = Plane((float(edges[0]), float(edges[-1])), (0.0, 1.08 * float(counts.max())))
    parts = [plane.axes(f"{label} ({unit})", "mixtures", whole_y=True)]
    for count, left, right in zip(counts.tolist(), edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        if count:
            x, y = plane.x(left), plane.y(float(count))
            kind = "bar worse" if right <= 0 else "bar"
            parts.append(
                f'<rect class="{kind}" x="{x + 0.75:.1f}" y="{y:.1f}" width="{plane.x(right) - x - 1.5:.1f}" '
                f'height="{plane.y(0.0) - y:.1f}" rx="1.5"><title>{number(left, digits=1)} to '
                f"{number(right, digits=1)} {escape(unit)}: {count}</title></rect>"
            )
    mean = float(values.mean())
    if plane.x_range[0] < 0 < plane.x_range[1]:
        parts.append(plane.vertical(0.0, "zero", ""))
    parts.append(plane.vertical(mean, "mean", f"mean {number(mean)}"))
    better = int((values > 0).sum())
    title = f"{label}: {len(values)} mixtures, mean {number(mean)} {unit}, {better} above zero"
    return plane.svg(title, parts)


def curve(points: Sequence[Sequence[float | int]], *, label: str, unit: str = "") -> str:
    """Draws a line over training steps.

    Args:
        points: (step, value) pairs; pairs that are not finite are ignored, and long curves are averaged over equal
            intervals.
        label: Name of the value.
        unit: Unit of the label.

    Returns:
        An SVG element, or "" with fewer than two points.
    """
    table = _finite(points)
    if len(table) < 2:
        return ""
    drawn = table
    if len(table) > _MOST_POINTS:
        drawn = np.asarray([part.mean(axis=0) for part in np.array_split(table, _MOST_POINTS)])
    plane = Plane(
        (float(table[0, 0]), float(table[-1, 0])), widened(float(drawn[:, 1].min()), float(drawn[:, 1].max()))
    )
    last = table[-1].tolist()
    parts = [
        plane.axes("training step", f"{label} ({unit})" if unit else label),
        f'<polyline class="curve" points="{plane.path(drawn)}"/>',
        f'<circle class="end" cx="{plane.x(last[0]):.1f}" cy="{plane.y(drawn[-1, 1]):.1f}" r="3.5"/>',
    ]
    title = f"{label} over {len(table)} records, from {number(float(table[0, 1]))} to {number(last[1])} {unit}"
    return plane.svg(title.strip(), parts)


def curves(lines: Sequence[tuple[str, str, Sequence[Sequence[float | int]]]], *, x_label: str, y_label: str) -> str:
    """Draws several lines, whose colours are those of their CSS classes.

    Args:
        lines: (name, CSS class, pairs of argument and value) of each line; pairs that are not finite are ignored.
        x_label: Name of the arguments.
        y_label: Name of the values.

    Returns:
        An SVG element, or "" where no line has two points.
    """
    tables = [(name, kind, _finite(points)) for name, kind, points in lines]
    tables = [line for line in tables if len(line[2]) > 1]
    if not tables:
        return ""
    every = np.concatenate([table for _, _, table in tables])
    plane = Plane(
        (float(every[:, 0].min()), float(every[:, 0].max())),
        widened(float(every[:, 1].min()), float(every[:, 1].max())),
    )
    parts = [plane.axes(x_label, y_label)]
    for name, kind, table in tables:
        parts.append(
            f'<polyline class="curve {kind}" points="{plane.path(table)}"><title>{escape(name)}</title></polyline>'
        )
    return plane.svg(f"{y_label} over {x_label}: {', '.join(name for name, _, _ in tables)}", parts)


def choice(points: Sequence[Sequence[float | int]], chosen: float | int | None, *, x_label: str, y_label: str) -> str:
    """Draws a line over the values of a parameter and marks the chosen one.

    Args:
        points: (parameter, value) pairs; pairs that are not finite are ignored.
        chosen: Chosen parameter; None marks nothing.
        x_label: Name of the parameter; its axis is logarithmic where all values are positive and span a wide range.
        y_label: Name of the value.

    Returns:
        An SVG element, or "" with fewer than two points.
    """
    table = _finite(points)
    if len(table) < 2:
        return ""
    low, high = float(table[0, 0]), float(table[-1, 0])
    span = widened(float(table[:, 1].min()), float(table[:, 1].max()))
    # Space for the label of the mark above the curve.
    span = span[0], span[1] + 0.12 * (span[1] - span[0])
    plane = Plane((low, high), span, logarithmic_x=low > 0 and high / low > _LEAST_RATIO)
    parts = [plane.axes(x_label, y_label), f'<polyline class="curve" points="{plane.path(table)}"/>']
    title = f"{y_label} over {len(table)} values of {x_label}"
    if is_number(chosen) and low <= chosen <= high:
        value = float(table[np.abs(table[:, 0] - chosen).argmin(), 1])
        parts.append(plane.vertical(float(chosen), "mean", f"chosen {chosen:.3g}"))
        parts.append(f'<circle class="end" cx="{plane.x(float(chosen)):.1f}" cy="{plane.y(value):.1f}" r="4.5"/>')
        title += f"; {chosen:.3g} was chosen, with {number(value)}"
    return plane.svg(title, parts)


def _finite(points: Sequence[Sequence[float | int]]) -> np.ndarray:
    """Returns the pairs of finite numbers in rising order, (point, 2)."""
    pairs = [point for point in points if len(point) == 2 and all(map(is_number, point))]
    return np.asarray(sorted(map(tuple, pairs)), dtype=np.float64).reshape(-1, 2)
