"""What methods and metrics are called, and which way of each metric is better."""

from typing import Any

METRICS = ("nsdr", "sdr", "sir", "sar", "amid")
LOWER_IS_BETTER = frozenset({"amid"})
METHODS = {"mnet": "M-Net", "mpnet": "MP-Net", "pixelplayer": "PixelPlayer", "miml": "MIML"}
METHODS |= {"miml_told": "MIML, told the classes"}  # instead of its class network's
METHODS |= {"mnet_round_one": "M-Net of round one"}  # of MP-Net's run, beside an M-Net of its own
BASELINES = {"mixture": "Mixture", "oracle": "Oracle masks", "swapped": "Swapped pictures"}


def method_name(key: Any) -> str:
    """A method's or a baseline's name as it is printed; any other text is its own."""
    return (METHODS | BASELINES).get(key, str(key))


def unit(metric: str) -> str:
    """The metric's unit, "" for AMID."""
    return "" if metric == "amid" else "dB"


def arrow(metric: str) -> str:
    """A mark for a column head: which way is better."""
    hint, sign = ("lower", "↓") if metric in LOWER_IS_BETTER else ("higher", "↑")
    return f'<span class="better" title="{hint} is better">{sign}</span>'
