"""Formats numbers, intervals and lists of them for the page."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from numbers import Real
from typing import Any, TypeGuard

MISSING = '<span class="missing" title="no value">&ndash;</span>'


def number(value: Any, *, digits: int = 2) -> str:
    """Returns a number with a true minus sign, or a dash for a missing value."""
    if not is_number(value):
        return MISSING
    return f"{value:.{digits}f}".replace("-", "\N{MINUS SIGN}")


def is_number(value: Any) -> TypeGuard[float]:
    """Returns whether the value is a finite number; a bool is not."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def mean_of(values: Any) -> float | None:
    """Returns the mean of a number or of a list of numbers; None where one is missing."""
    listed = list(values) if isinstance(values, Sequence) and not isinstance(values, str) else [values]
    numbers = [value for value in listed if is_number(value)]
    return sum(numbers) / len(numbers) if numbers and len(numbers) == len(listed) else None


def mapping(value: Any) -> Mapping[str, Any]:
    """Returns the value if it is a mapping, else an empty one: results files may lack or spoil any part."""
    return value if isinstance(value, Mapping) else {}


def interval_of(value: Any) -> tuple[float | int, float | int] | None:
    """Returns the interval of an estimate {"mean", "ci95", "count"}; None without one."""
    found = mapping(value).get("ci95")
    if isinstance(found, Sequence) and len(found) == 2 and all(map(is_number, found)):
        return found[0], found[1]
    return None


def count_of(values: Any) -> float | int | None:
    """Returns the greatest count among the estimates of a row; None without one."""
    counts = [mapping(value).get("count") for value in mapping(values).values()]
    return max((count for count in counts if is_number(count)), default=None)


def estimate(value: Any, *, percent: bool = False) -> str:
    """Returns the mean and the 95 % interval of {"mean", "ci95", "count"} as HTML, fractions in percent on request."""
    if not isinstance(value, Mapping) or not is_number(value.get("mean")):
        return MISSING
    factor, digits = (100.0, 1) if percent else (1.0, 2)
    interval = interval_of(value)
    spread = ""
    if interval:
        low, high = (number(factor * bound, digits=digits) for bound in interval)
        spread = f'<small class="interval">{low} to {high}</small>'
    sign = " %" if percent else ""
    return f'<span class="mean">{number(factor * value["mean"], digits=digits)}{sign}</span>{spread}'


def breakable(name: str) -> str:
    """Allows a line break in escaped text after an underscore or a slash."""
    return name.replace("_", "_<wbr>").replace("/", "/<wbr>") if "<" not in name else name


def text(value: Any) -> str:
    """Returns any value as escaped text, a list with commas."""
    if value is None:
        return MISSING
    if isinstance(value, Sequence) and not isinstance(value, str):
        return escape(", ".join(map(str, value)))
    if isinstance(value, Mapping):
        return escape(", ".join(f"{key}: {entry}" for key, entry in value.items()))
    return escape(str(value))
