"""How numbers, intervals and lists of them are written on the page."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from numbers import Real
from typing import Any, TypeGuard

MISSING = '<span class="missing" title="no value">&ndash;</span>'


def number(value: Any, *, digits: int = 2) -> str:
    """A number with a true minus sign; a dash where there is none."""
    if not is_number(value):
        return MISSING
    return f"{value:.{digits}f}".replace("-", "\N{MINUS SIGN}")


def is_number(value: Any) -> TypeGuard[float]:
    """Whether it is a finite number (a bool is not)."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def mean_of(values: Any) -> float | None:
    """Mean of a number or of a list of numbers; None as soon as one is missing."""
    listed = list(values) if isinstance(values, Sequence) and not isinstance(values, str) else [values]
    numbers = [value for value in listed if is_number(value)]
    return sum(numbers) / len(numbers) if numbers and len(numbers) == len(listed) else None


def estimate(value: Any) -> str:
    """A mean over its 95 % interval, from {"mean", "ci95", "count"}."""
    if not isinstance(value, Mapping) or not is_number(value.get("mean")):
        return MISSING
    interval = value.get("ci95")
    spread = ""
    if isinstance(interval, Sequence) and len(interval) == 2 and all(map(is_number, interval)):
        spread = f'<small class="interval">{number(interval[0])} to {number(interval[1])}</small>'
    return f'<span class="mean">{number(value["mean"])}</span>{spread}'


def text(value: Any) -> str:
    """Any value as escaped text; lists with commas."""
    if value is None:
        return MISSING
    if isinstance(value, Sequence) and not isinstance(value, str):
        return escape(", ".join(map(str, value)))
    if isinstance(value, Mapping):
        return escape(", ".join(f"{key}: {entry}" for key, entry in value.items()))
    return escape(str(value))
