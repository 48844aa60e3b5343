"""Draws curves over the number of sounds as PNG pictures. Source: Figs. 4 and 5."""

import io
from collections.abc import Mapping
from typing import Any

from mpnet_jax.comparison.cells import NO_MASK
from mpnet_jax.metrics.names import method_name
from mpnet_jax.report.drawing.numbers import interval_of, is_number

_PANELS = ("nsdr", "sir", "sar")
_COLOURS = {
    "miml_told": "#c9b27c",
    "miml": "#8c6d31",
    "pixelplayer": "#1b7f79",
    "mnet_round_one": "#9aa5b1",
    "mnet": "#3b6fb6",
    "mpnet": "#c2452d",
}
_DASHES = {"ratio": "-", "binary": "--", NO_MASK: ":"}
# Horizontal distance of the curves, so that their intervals do not overlap.
_APART = 0.04


def draw(entries: Mapping[str, Any]) -> dict[str, bytes]:
    """Draws a picture for each number of sounds in training.

    Args:
        entries: The `entries` of `results.results`.

    Returns:
        {file name: PNG}.
    """
    from matplotlib.figure import Figure  # slow to load, and needed only here

    pictures = {}
    for sources in sorted({entry["sources"] for entry in entries.values()}):
        shown = [entry for entry in entries.values() if entry["sources"] == sources and len(entry["mixes"]) > 1]
        if not shown:
            continue
        figure = Figure(figsize=(13, 4.2), layout="constrained")
        for axes, metric in zip(figure.subplots(1, len(_PANELS)), _PANELS, strict=True):
            for place, entry in enumerate(shown):
                _curve(axes, entry, metric, shift=_APART * (place - (len(shown) - 1) / 2))
            axes.set_xlabel("sounds in the mixture")
            axes.set_ylabel(f"{metric.upper()} (dB)")
            axes.set_xticks(sorted({int(number) for entry in shown for number in entry["mixes"]}))
            axes.grid(alpha=0.3)
            axes.spines[["top", "right"]].set_visible(False)
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)), frameon=False)
        figure.suptitle(f"Trained on mixtures of {sources}; bars: 95 % over seeds and videos", fontsize=11)
        content = io.BytesIO()
        # Without matplotlib's version, so that the files do not depend on it.
        figure.savefig(content, format="png", dpi=110, metadata={"Software": None})
        pictures[f"trained_on_{sources}.png"] = content.getvalue()
    return pictures


def _curve(axes: Any, entry: Mapping[str, Any], metric: str, *, shift: float) -> None:
    points = [
        (int(number), values[metric]["mean"], *(interval_of(values[metric]) or (values[metric]["mean"],) * 2))
        for number, values in entry["mixes"].items()
        if metric in values and is_number(values[metric]["mean"])
    ]
    if not points:
        return
    number, mean, low, high = zip(*sorted(points), strict=True)
    # A mean may lie slightly outside its interval, which matplotlib does not accept.
    below = [max(0.0, m - bound) for m, bound in zip(mean, low, strict=True)]
    above = [max(0.0, bound - m) for m, bound in zip(mean, high, strict=True)]
    mask = "" if entry["mask"] == NO_MASK else f", {entry['mask']}"
    axes.errorbar(
        [n + shift for n in number],
        mean,
        yerr=[below, above],
        label=f"{method_name(entry['method'])}{mask}",
        color=_COLOURS[entry["method"]],
        linestyle=_DASHES[entry["mask"]],
        marker="o",
        markersize=4,
        linewidth=1.5,
        elinewidth=0.8,
    )
