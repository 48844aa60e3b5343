"""Formats the results of an evaluation as tables for a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from mpnet_jax.metrics.bss_eval import SILENT_ESTIMATE
from mpnet_jax.metrics.names import METHODS


def table(out: dict[str, Any]) -> str:
    """Returns a table of the main results: mean and 95 % interval of each row."""
    rows = [
        *((METHODS.get(name, name), values) for name, values in out["methods"].items()),
        ("mixture", out["mixture"]),
        ("oracle masks", out["oracle"]),
        ("pictures swapped", out["swapped"]),
    ]
    names = ("nsdr", "sir", "sar", "sdr", "amid")
    lines = [" " * 18 + "".join(f"{name.upper():>26}" for name in names)]
    for title, values in rows:
        lines.append(f"{title:<18}" + "".join(_cell(values.get(name), 26) for name in names))
    left_out = ", ".join(f"{count} {reason}" for reason, count in out["left_out"].items()) or "none"
    if SILENT_ESTIMATE in out["left_out"]:
        left_out += " (which counts in NSDR, as 0)"
    lines.append(f"{out['sdr']['count']} mixtures; left out: {left_out}. dB except AMID; 95 % intervals over videos.")
    return "\n".join(lines)


def table_of_mixes(mixes: Mapping[str, Mapping[str, Any]]) -> str:
    """Returns a table of NSDR and SIR by the number of sounds. Source: Figs. 4 and 5."""
    lines = []
    for name in ("nsdr", "sir"):
        lines.append(f"{name.upper() + ' by sounds':<18}" + "".join(f"{number:>26}" for number in mixes))
        for method in next(iter(mixes.values())):
            estimates = [summaries.get(method, {}).get(name) for summaries in mixes.values()]
            if all(estimates):
                title = METHODS.get(method, method)
                lines.append(f"{title:<18}" + "".join(_cell(estimate, 26) for estimate in estimates))
    return "\n".join(lines)


def table_of_counts(counts: Mapping[str, Any]) -> str:
    """Returns a table of the accuracy of counting."""
    modes = [mode for mode in ("clips", "pixels") if mode in counts]
    numbers = [row["sounding"] for row in counts[modes[0]]["by_count"]]
    most = counts[modes[0]]["as_trained"]["most"]
    heads = f"{'sounds counted':<18}{'1' if most == 1 else f'1 to {most}':>26}{'all':>26}"
    lines = [heads + "".join(f"{number:>7}" for number in numbers)]
    for mode in modes:
        results = counts[mode]
        cells = "".join(f"{row['accuracy']['mean']:>7.2f}" for row in results["by_count"])
        lines.append(
            f"{'by ' + mode:<18}{_cell(results['as_trained']['accuracy'], 26)}{_cell(results['accuracy'], 26)}{cells}"
        )
    for part, title in (("as_trained", f"constant, 1 to {most}"), (None, "constant, all")):
        constant = (counts[modes[0]][part] if part else counts[modes[0]])["constant"]
        lines.append(f"{title:<18}{_cell(constant['accuracy'], 26)}   (always {constant['guess']})")
    return "\n".join(lines)


def table_of_places(localised: Sequence[Mapping[str, Any]]) -> str:
    """Returns a table of the localisation scores."""
    names = ("pointing", "iou", "auc", "player")
    lines = []
    for scene in localised:
        lines.append(f"{scene['scene']:<18}" + "".join(f"{name:>26}" for name in names))
        for guess, scores in scene["guesses"].items():
            lines.append(f"{guess:<18}" + "".join(_cell(scores.get(name), 26) for name in names))
    return "\n".join(lines)


def _cell(estimate: Mapping[str, Any] | None, width: int) -> str:
    """Returns a mean with its interval, right-aligned."""
    if estimate is None or estimate["mean"] is None:
        return f"{'-':>{width}}"
    if estimate["ci95"] is None:
        return f"{estimate['mean']:>{width - 16}.2f}" + " " * 16
    low, high = estimate["ci95"]
    return f"{estimate['mean']:>{width - 16}.2f} [{low:6.2f},{high:6.2f}]"
