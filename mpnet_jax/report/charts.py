"""Small charts as inline SVG; colours come from the page's style sheet through classes."""

import math
from collections.abc import Sequence
from html import escape

import numpy as np
from jaxtyping import Float

from mpnet_jax.report.numbers import is_number, number

WIDTH, HEIGHT = 480, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 14, 16, 42
_MOST_BINS = 28
_MOST_POINTS = 300


def histogram(values: Float[np.ndarray, " mixture"], *, label: str, unit: str) -> str:
    """Counts of values in round bins, with a line at zero and one at the mean.

    Args:
        values: finite ones are counted, the rest passed over.
        label: axis title.
        unit: printed after the label and the numbers.

    Returns:
        An SVG element, or "" when no value is finite.
    """
    values = values[np.isfinite(values)]
    if not len(values):
        return ""
    low, high = float(values.min()), float(values.max())
    step = _round_step((high - low) / _MOST_BINS)
    first = math.floor(low / step)
    edges = step * np.arange(first, max(math.ceil(high / step), first + 1) + 1)
    counts, _ = np.histogram(values, edges)
    frame = _Frame((float(edges[0]), float(edges[-1])), (0.0, 1.08 * float(counts.max())))
    parts = [frame.axes(f"{label} ({unit})", "mixtures", whole_y=True)]
    for count, left, right in zip(counts.tolist(), edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        if count:
            x, y = frame.x(left), frame.y(float(count))
            kind = "bar worse" if right <= 0 else "bar"
            parts.append(
                f'<rect class="{kind}" x="{x + 0.75:.1f}" y="{y:.1f}" width="{frame.x(right) - x - 1.5:.1f}" '
                f'height="{frame.y(0.0) - y:.1f}" rx="1.5"><title>{number(left, digits=1)} to '
                f"{number(right, digits=1)} {escape(unit)}: {count}</title></rect>"
            )
    mean = float(values.mean())
    if frame.x_range[0] < 0 < frame.x_range[1]:
        parts.append(frame.vertical(0.0, "zero", ""))
    parts.append(frame.vertical(mean, "mean", f"mean {number(mean)}"))
    better = int((values > 0).sum())
    title = f"{label}: {len(values)} mixtures, mean {number(mean)} {unit}, {better} above zero"
    return frame.svg(title, parts)


def curve(points: Sequence[Sequence[float | int]], *, label: str, unit: str = "") -> str:
    """A line over training steps.

    Args:
        points: (step, value) pairs; those that are not finite are passed over, and long curves are averaged
            over equal stretches.
        label: what the value is.
        unit: printed after the label.

    Returns:
        An SVG element, or "" with fewer than two points.
    """
    finite = [point for point in points if len(point) == 2 and all(map(is_number, point))]
    if len(finite) < 2:
        return ""
    table = np.asarray(sorted(map(tuple, finite)), dtype=np.float64)
    drawn = table
    if len(table) > _MOST_POINTS:
        drawn = np.asarray([part.mean(axis=0) for part in np.array_split(table, _MOST_POINTS)])
    low, high = float(drawn[:, 1].min()), float(drawn[:, 1].max())
    margin = 0.06 * (high - low) or 0.5
    frame = _Frame((float(table[0, 0]), float(table[-1, 0])), (low - margin, high + margin))
    path = " ".join(f"{frame.x(step):.1f},{frame.y(value):.1f}" for step, value in drawn.tolist())
    last = table[-1].tolist()
    parts = [
        frame.axes("training step", f"{label} ({unit})" if unit else label),
        f'<polyline class="curve" points="{path}"/>',
        f'<circle class="end" cx="{frame.x(last[0]):.1f}" cy="{frame.y(drawn[-1, 1]):.1f}" r="3.5"/>',
    ]
    title = f"{label} over {len(table)} records, from {number(float(table[0, 1]))} to {number(last[1])} {unit}"
    return frame.svg(title.strip(), parts)


class _Frame:
    """Maps values to the drawing plane and draws the axes around it."""

    def __init__(self, x_range: tuple[float, float], y_range: tuple[float, float]) -> None:
        if x_range[1] <= x_range[0]:
            x_range = (x_range[0] - 0.5, x_range[0] + 0.5)
        self.x_range, self.y_range = x_range, y_range

    def x(self, value: float) -> float:
        low, high = self.x_range
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * (value - low) / (high - low)

    def y(self, value: float) -> float:
        low, high = self.y_range
        return HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * (value - low) / (high - low)

    def axes(self, x_label: str, y_label: str, *, whole_y: bool = False) -> str:
        parts, base = [], HEIGHT - _BOTTOM
        for value, name in _ticks(self.y_range, 6, whole=whole_y):
            y = self.y(value)
            parts.append(f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
            parts.append(f'<text x="{_LEFT - 7}" y="{y + 4:.1f}" text-anchor="end">{name}</text>')
        for value, name in _ticks(self.x_range, 7):
            x = self.x(value)
            parts.append(f'<text x="{x:.1f}" y="{base + 16}" text-anchor="middle">{name}</text>')
        parts.append(f'<line class="axis" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{base}" y2="{base}"/>')
        middle = (_LEFT + WIDTH - _RIGHT) / 2
        parts.append(f'<text class="title" x="{middle}" y="{HEIGHT - 6}" text-anchor="middle">{escape(x_label)}</text>')
        parts.append(f'<text class="title" x="{_LEFT - 38}" y="11">{escape(y_label)}</text>')
        return "".join(parts)

    def vertical(self, value: float, kind: str, name: str) -> str:
        x = self.x(value)
        right = x > WIDTH - 110
        anchor = f'x="{x - 5:.1f}" text-anchor="end"' if right else f'x="{x + 5:.1f}"'
        label = f'<text class="{kind}" {anchor} y="{_TOP + 9}">{escape(name)}</text>' if name else ""
        top, base = _TOP, HEIGHT - _BOTTOM
        return f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{base}"/>{label}'

    def svg(self, title: str, parts: Sequence[str]) -> str:
        return (
            f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
            + "".join(parts)
            + "</svg>"
        )


def _round_step(least: float) -> float:
    """The smallest of 1, 2, 5 times a power of ten that is not below `least`; 0.5 for nothing."""
    if least <= 0.0:
        return 0.5
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9))


def _ticks(span: tuple[float, float], most: int, *, whole: bool = False) -> list[tuple[float, str]]:
    step = _round_step((span[1] - span[0]) / most)
    if whole:
        step = max(1.0, step)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    first, last = math.ceil(span[0] / step - 1e-9), math.floor(span[1] / step + 1e-9)
    values = [index * step for index in range(first, last + 1)]
    if step >= 1000 and max(map(abs, values)) >= 10_000:
        return [(value, f"{number(value / 1000, digits=0)}k" if value else "0") for value in values]
    return [(value, number(value, digits=digits)) for value in values]
