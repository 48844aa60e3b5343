"""Maps values to the plane of an SVG chart and draws its axes."""

import math
from collections.abc import Sequence
from html import escape

import numpy as np

from mpnet_jax.report.drawing.numbers import number

WIDTH, HEIGHT = 480, 250
LEFT, TOP, BOTTOM = 46, 24, 42


class Plane:
    """The plane of an SVG chart, which maps values to positions and draws the axes."""

    def __init__(
        self,
        x_range: tuple[float, float],
        y_range: tuple[float, float],
        *,
        right: int = 14,
        height: int = HEIGHT,
        logarithmic_x: bool = False,
    ) -> None:
        """Creates a plane.

        Args:
            x_range: Values at the left and at the right end, positive with `logarithmic_x`.
            y_range: Values at the bottom and at the top.
            right: Space to the right of the plane, in units of the drawing.
            height: Height of the drawing.
            logarithmic_x: Whether the x axis is logarithmic.
        """
        if x_range[1] <= x_range[0]:
            x_range = (x_range[0] - 0.5, x_range[0] + 0.5)
        if y_range[1] <= y_range[0]:
            y_range = (y_range[0] - 0.5, y_range[0] + 0.5)
        self.x_range, self.y_range = x_range, y_range
        self.right, self.base, self._height = WIDTH - right, height - BOTTOM, height
        self._logarithmic = logarithmic_x

    def x(self, value: float) -> float:
        """Returns the distance from the left edge of the drawing."""
        low, high = self.x_range
        if self._logarithmic:
            low, high, value = math.log(low), math.log(high), math.log(value)
        return LEFT + (self.right - LEFT) * (value - low) / (high - low)

    def y(self, value: float) -> float:
        """Returns the distance from the top of the drawing."""
        low, high = self.y_range
        return self.base - (self.base - TOP) * (value - low) / (high - low)

    def path(self, table: np.ndarray) -> str:
        """Returns the points of a polyline through the first two columns, argument and value."""
        return " ".join(f"{self.x(row[0]):.1f},{self.y(row[1]):.1f}" for row in table.tolist())

    def axes(self, x_label: str, y_label: str, *, whole_x: bool = False, whole_y: bool = False) -> str:
        """Draws grid, ticks and titles; `whole_x` and `whole_y` restrict ticks to integers."""
        parts = []
        for value, name in _ticks(self.y_range, 6, whole=whole_y):
            y = self.y(value)
            parts.append(f'<line class="grid" x1="{LEFT}" x2="{self.right}" y1="{y:.1f}" y2="{y:.1f}"/>')
            parts.append(f'<text x="{LEFT - 7}" y="{y + 4:.1f}" text-anchor="end">{name}</text>')
        ticks = _ratio_ticks(self.x_range) if self._logarithmic else _ticks(self.x_range, 7, whole=whole_x)
        for value, name in ticks:
            x = self.x(value)
            parts.append(f'<text x="{x:.1f}" y="{self.base + 16}" text-anchor="middle">{name}</text>')
        parts.append(f'<line class="axis" x1="{LEFT}" x2="{self.right}" y1="{self.base}" y2="{self.base}"/>')
        middle = (LEFT + self.right) / 2
        low = self._height - 6
        parts.append(f'<text class="title" x="{middle}" y="{low}" text-anchor="middle">{escape(x_label)}</text>')
        parts.append(f'<text class="title" x="{LEFT - 38}" y="12">{escape(y_label)}</text>')
        return "".join(parts)

    def vertical(self, value: float, kind: str, name: str) -> str:
        """Draws a vertical line at `value` with its label."""
        x = self.x(value)
        anchor = f'x="{x - 5:.1f}" text-anchor="end"' if x > self.right - 96 else f'x="{x + 5:.1f}"'
        label = f'<text class="{kind}" {anchor} y="{TOP + 9}">{escape(name)}</text>' if name else ""
        return f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{self.base}"/>{label}'

    def svg(self, title: str, parts: Sequence[str]) -> str:
        """Returns the drawing as an SVG element; screen readers read its `title`."""
        return (
            f'<svg class="chart" viewBox="0 0 {WIDTH} {self._height}" role="img" aria-label="{escape(title)}">'
            + "".join(parts)
            + "</svg>"
        )


def round_step(least: float) -> float:
    """Returns the smallest of 1, 2, 5 times a power of ten that is not below `least`; 0.5 for nothing positive."""
    if least <= 0.0:
        return 0.5
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9))


def widened(low: float, high: float) -> tuple[float, float]:
    """Widens a range a little at both ends."""
    margin = 0.06 * (high - low) or 0.5
    return low - margin, high + margin


def _ticks(span: tuple[float, float], most: int, *, whole: bool = False) -> list[tuple[float, str]]:
    step = round_step((span[1] - span[0]) / most)
    if whole:
        step = max(1.0, step)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    first, last = math.ceil(span[0] / step - 1e-9), math.floor(span[1] / step + 1e-9)
    values = [index * step for index in range(first, last + 1)]
    if step >= 1000 and max(map(abs, values)) >= 10_000:
        return [(value, f"{number(value / 1000, digits=0)}k" if value else "0") for value in values]
    return [(value, number(value, digits=digits)) for value in values]


def _ratio_ticks(span: tuple[float, float]) -> list[tuple[float, str]]:
    """Returns 1, 2 and 5 times the powers of ten in a range, or only the powers in a wide range."""
    powers = range(math.floor(math.log10(span[0])), math.ceil(math.log10(span[1])) + 1)
    factors = (1, 2, 5) if len(powers) <= 4 else (1,)
    values = [factor * 10.0**power for power in powers for factor in factors]
    return [(value, f"{value:g}") for value in values if span[0] * (1 - 1e-9) <= value <= span[1] * (1 + 1e-9)]
