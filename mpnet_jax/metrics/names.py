"""Printed names of methods and metrics, and the better direction of each metric."""

from typing import Any

METRICS = ("nsdr", "sdr", "sir", "sar", "amid")
LOWER_IS_BETTER = frozenset({"amid"})
METHODS = {"mnet": "M-Net", "mpnet": "MP-Net", "pixelplayer": "PixelPlayer", "miml": "MIML"}
METHODS |= {"miml_told": "MIML, told the classes"}  # The true classes replace those of its class network.
METHODS |= {"mnet_longer": "M-Net, trained longer", "mpnet_paper": "MP-Net, as in the paper"}  # Of a comparison.
BASELINES = {"mixture": "Mixture", "oracle": "Oracle masks", "swapped": "Swapped pictures"}


def method_name(key: Any) -> str:
    """Returns the printed name of a method or baseline; any other value is returned as text."""
    return (METHODS | BASELINES).get(key, str(key))


def unit(metric: str) -> str:
    """Returns the metric's unit, "" for AMID."""
    return "" if metric == "amid" else "dB"


def arrow(metric: str) -> str:
    """Returns the HTML of an arrow that shows which direction is better."""
    hint, sign = ("lower", "↓") if metric in LOWER_IS_BETTER else ("higher", "↑")
    return f'<span class="better" title="{hint} is better">{sign}</span>'
