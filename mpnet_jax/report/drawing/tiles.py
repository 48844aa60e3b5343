"""Draws tiles: each has an estimate in large digits over a strip that shows its position on a scale."""

from collections.abc import Mapping, Sequence
from typing import Any

from mpnet_jax.report.drawing.numbers import interval_of, is_number, mapping, number


def tiles(shown: Sequence[tuple[str, str, Any]]) -> str:
    """Draws estimates in dB on one scale, one tile for each.

    Args:
        shown: (name as HTML, description as HTML, estimate) of each tile.
    """
    scale = [0.0, *(value for _, _, estimate in shown for value in values_of(estimate))]
    items = "".join(tile(name, estimate, {"mixture": 0.0}, scale, about=about) for name, about, estimate in shown)
    return f'<ul class="tiles runs">{items}</ul>'


def values_of(estimate: Any) -> list[float | int]:
    """Returns the mean and the bounds of an estimate, as far as it has them."""
    return [value for value in (mapping(estimate).get("mean"), *(interval_of(estimate) or ())) if is_number(value)]


def tile(
    title: str,
    estimate: Any,
    marks: Mapping[str, float | int],
    scale: Sequence[float | int],
    *,
    about: str = "",
    unit: str = "dB",
) -> str:
    """Draws one tile.

    Args:
        title: Heading as HTML.
        estimate: The estimate; without a mean there is no strip.
        marks: {CSS class: value} of further marks on the strip.
        scale: Values that the strip must cover.
        about: Description as HTML.
        unit: Unit of the estimate, or "".
    """
    mean, interval = mapping(estimate).get("mean"), interval_of(estimate)
    value, strip, spread = number(mean), "", f'<p class="interval">{about}</p>' if about else ""
    if is_number(mean):
        low, span = min(scale), (max(scale) - min(scale)) or 1.0
        places = {kind: 4.0 + 92.0 * (mark - low) / span for kind, mark in {**marks, "ours": mean}.items()}
        strip = "".join(f'<i class="{kind}" style="left:{place:.1f}%"></i>' for kind, place in places.items())
        value += f'<span class="unit"> {unit}</span>' if unit else ""
        if interval:
            left, width = (92.0 * (length) / span for length in (interval[0] - low, interval[1] - interval[0]))
            strip = f'<i class="band" style="left:{4.0 + left:.1f}%;width:{width:.1f}%"></i>{strip}'
            spread += f'<p class="interval">{number(interval[0])} to {number(interval[1])}</p>'
        strip = f'<div class="strip" aria-hidden="true">{strip}</div>'
    return f'<li class="tile"><h3>{title}</h3><p class="big">{value}</p>{spread}{strip}</li>'
