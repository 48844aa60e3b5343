"""The section on a data set that differs from the training set."""

from collections.abc import Mapping, Sequence
from typing import Any

from mpnet_jax.metrics.names import method_name
from mpnet_jax.report.drawing import sortable
from mpnet_jax.report.drawing.numbers import mapping, text


def section(far: Any) -> str:
    """Returns the table of one run; "" without results."""
    values = mapping(far)
    rows = [(method_name(key), of) for key, of in methods_of(values).items()]
    if not rows:
        return ""
    return (
        f'<p class="note">The same networks on {text(values.get("data"))}, a data set that nothing was trained on.</p>'
        f"{table(rows)}"
    )


def methods_of(far: Any) -> dict[str, Mapping[str, Any]]:
    """Returns {method or baseline: {metric: estimate}} of a results file's `far`."""
    given = mapping(mapping(far).get("methods"))
    return {str(key): values for key, values in given.items() if isinstance(values, Mapping)}


def table(rows: Sequence[tuple[str, Mapping[str, Any]]], *, head: str = "Method") -> str:
    """Returns a table of (name, {metric: estimate}); "" without rows."""
    cells = [[sortable.words(name), *sortable.estimates(values)] for name, values in rows]
    caption = "Means over mixtures far from the training set, 95 % intervals"
    return sortable.table([head, *sortable.ESTIMATE_HEADS], cells, caption=caption)
