"""The section on the number of sources in a mixture: curves and a table."""

from collections.abc import Mapping, Sequence
from typing import Any

from mpnet_jax.metrics.names import BASELINES, method_name, unit
from mpnet_jax.report.drawing import sortable
from mpnet_jax.report.drawing.series import Series, lines

CURVES = ("nsdr", "sir", "sar", "amid")


def by_method(mixes: Any) -> dict[str, dict[int, Mapping[str, Any]]]:
    """Returns {method: {number of sources: {metric: estimate}}} of {"2": {method: {metric: estimate}}}."""
    found: dict[str, dict[int, Mapping[str, Any]]] = {}
    for count, methods in (mixes if isinstance(mixes, Mapping) else {}).items():
        if isinstance(methods, Mapping) and str(count).isdecimal():
            for method, values in methods.items():
                if isinstance(values, Mapping):
                    found.setdefault(str(method), {})[int(count)] = values
    return {method: dict(sorted(values.items())) for method, values in found.items()}


def cards(series: Sequence[tuple[str, int, Mapping[int, Any]]], *, mixture: Any = None, labels: bool = True) -> str:
    """Draws curves for each metric.

    Args:
        series: (name, style, {number of sources: {metric: estimate}}).
        mixture: {number of sources: {metric: estimate}} of the untouched mixture, drawn where it does not flatten the
            other curves.
        labels: Whether lines are labelled at their ends.

    Returns:
        HTML, or "" where no curve has two points.
    """
    found = []
    for metric in CURVES:
        drawn = [
            Series(name, {count: values.get(metric) for count, values in by_count.items()}, style)
            for name, style, by_count in series
        ]
        quiet = Series("mixture", _of_mixture(metric, mixture or {}), 0)
        label = f"{metric.upper()} ({unit(metric)})" if unit(metric) else metric.upper()
        better = "lower" if metric == "amid" else "higher"
        svg = lines(drawn, [quiet], x_label="sounds in the mixture", y_label=label, labels=labels)
        if svg:
            title = f'{metric.upper()} <span class="hint">{better} is better</span>'
            found.append(f'<figure class="card"><figcaption>{title}</figcaption>{svg}</figure>')
    return f'<div class="cards">{"".join(found)}</div>' if found else ""


def section(mixes: Any) -> str:
    """Returns the curves and the table of one run; "" without mixes."""
    methods = by_method(mixes)
    trained = [(method_name(key), values) for key, values in _ordered(methods) if key not in BASELINES]
    drawn = cards(
        [(name, style, values) for style, (name, values) in enumerate(trained)], mixture=methods.get("mixture")
    )
    rows = [
        (count, method_name(key), values[count])
        for count in sorted({count for values in methods.values() for count in values})
        for key, values in _ordered(methods)
        if count in values
    ]
    return drawn + table([(name, count, values) for count, name, values in rows])


def table(rows: Sequence[tuple[str, int, Mapping[str, Any]]], *, head: str = "Method") -> str:
    """Returns a table of (name, number of sources, {metric: estimate})."""
    cells = [[sortable.words(name), sortable.plain(count), *sortable.estimates(values)] for name, count, values in rows]
    caption = "Means over mixtures of each number of sounds, 95 % intervals"
    return sortable.table([head, "Sounds", *sortable.ESTIMATE_HEADS], cells, caption=caption, kind="compact")


def _ordered(methods: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Orders methods by their usual rank, then the baselines."""
    first = ("mpnet", "mnet", "pixelplayer", "miml")

    def place(key: str) -> tuple[int, int]:
        if key in BASELINES:
            return 2, list(BASELINES).index(key)
        return (0, first.index(key)) if key in first else (1, 0)

    return [(key, methods[key]) for key in sorted(methods, key=place)]


def _of_mixture(metric: str, mixture: Mapping[int, Any]) -> dict[int, Any]:
    """Returns the untouched mixture's estimates; its NSDR is 0 by definition."""
    if metric == "nsdr":
        return {count: {"mean": 0.0} for count in mixture}
    return {count: values.get(metric) for count, values in mixture.items()}
