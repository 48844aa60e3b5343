"""Paired differences: a table, and forest plots."""

from collections.abc import Mapping
from typing import Any

from mpnet_jax.metrics.names import LOWER_IS_BETTER, METRICS, method_name, unit
from mpnet_jax.report.drawing import sortable
from mpnet_jax.report.drawing.numbers import (
    breakable,
    count_of,
    estimate,
    interval_of,
    is_number,
    mapping,
    number,
    text,
)
from mpnet_jax.report.drawing.plane import round_step

BETTER = "A difference above zero means that the first of a pair is better; in AMID, one below zero."

_VERDICTS = {"better": "first better", "worse": "second better", "open": "not told apart"}


def pair_name(key: str) -> str:
    """Returns a pair such as "mpnet - mnet" as printed, unescaped: "MP-Net − M-Net"."""
    first, sign, second = key.partition(" - ")
    return f"{method_name(first)} \N{MINUS SIGN} {method_name(second)}" if sign else method_name(key)


def verdict(metric: str, value: Any) -> str:
    """Returns whether the first of a pair is "better" or "worse".

    The verdict is "open" where the interval contains zero, and "" without an interval. A difference over a single seed
    is open, too: its interval, over videos, does not tell what another training would give.
    """
    interval = interval_of(value)
    if not interval:
        return ""
    if interval[0] <= 0.0 <= interval[1] or mapping(value).get("seeds") == 1:
        return "open"
    return "better" if (interval[0] > 0.0) != (metric in LOWER_IS_BETTER) else "worse"


def table(differences: Mapping[str, Any], *, caption: str) -> str:
    """Returns a table of pairs and metrics, each difference with its interval and verdict.

    Args:
        differences: {pair as printed: {metric: estimate}}.
        caption: Caption of the table.

    Returns:
        HTML, or "" without pairs.
    """
    heads = ["Pair", *(metric.upper() for metric in METRICS)]
    rows = [
        [
            sortable.words(pair),
            *(marked(values.get(metric), verdict(metric, values.get(metric))) for metric in METRICS),
            sortable.plain(count_of(values)),
        ]
        for pair, values in differences.items()
        if isinstance(values, Mapping)
    ]
    return sortable.table([*heads, "Mixtures"], rows, caption=caption)


def marked(value: Any, said: str) -> sortable.Cell:
    """Returns a cell with a difference and its `verdict` in words."""
    cell = sortable.estimated(value)
    note = f'<small class="verdict {said}">{_VERDICTS[said]}</small>' if said else ""
    return sortable.Cell(cell.html + note, cell.value)


def forests(differences: Mapping[str, Any]) -> str:
    """Draws a forest plot for each metric, with all pairs on one scale; "" without differences."""
    cards = [
        f'<figure class="card"><figcaption>Difference in {metric.upper()}{f" ({unit(metric)})" if unit(metric) else ""}'
        f"</figcaption>{content}</figure>"
        for metric in METRICS
        if (content := _forest(metric, differences))
    ]
    return f'<div class="cards narrow">{"".join(cards)}</div>' if cards else ""


def _forest(metric: str, differences: Mapping[str, Any]) -> str:
    rows = [
        (pair, value)
        for pair, values in differences.items()
        if isinstance(values, Mapping)
        for value in [values.get(metric)]
        if isinstance(value, Mapping) and is_number(value.get("mean"))
    ]
    if not rows:
        return ""
    every = [0.0, *(bound for _, value in rows for bound in (value["mean"], *(interval_of(value) or ())))]
    step = round_step((max(every) - min(every)) / 4)
    low, high = min(every) - 0.3 * step, max(every) + 0.3 * step

    def place(value: float | int) -> float:
        return 100.0 * (value - low) / (high - low)

    body = "".join(
        f'<li><span>{breakable(text(pair))}</span><span class="value">{estimate(value)}</span>'
        f'<div class="track" aria-hidden="true"><i class="zero" style="left:{place(0.0):.2f}%"></i>'
        f"{_dot(metric, value, place)}</div></li>"
        for pair, value in rows
    )
    digits = 0 if step >= 1 else 1 if step >= 0.1 else 2
    ticks = [index * step for index in range(-50, 51) if low <= index * step <= high]
    axis = "".join(f'<span style="left:{place(tick):.2f}%">{number(tick, digits=digits)}</span>' for tick in ticks)
    left, right = ("first better", "second better")
    if metric not in LOWER_IS_BETTER:
        left, right = right, left
    return (
        f'<ul class="forest">{body}</ul><div class="ticks" aria-hidden="true">{axis}</div>'
        f'<p class="sides" aria-hidden="true"><span>← {left}</span><span>{right} →</span></p>'
    )


def _dot(metric: str, value: Any, place: Any) -> str:
    interval, said = interval_of(value), verdict(metric, value) or "open"
    bar = ""
    if interval:
        left, right = place(interval[0]), place(interval[1])
        bar = f'<i class="reach {said}" style="left:{left:.2f}%;width:{right - left:.2f}%"></i>'
    return f'{bar}<i class="dot {said}" style="left:{place(value["mean"]):.2f}%"></i>'
