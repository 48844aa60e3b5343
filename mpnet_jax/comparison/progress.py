"""Reports the progress of a comparison and estimates the remaining time."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

from mpnet_jax.comparison.cell_files import diverged, read_all
from mpnet_jax.comparison.cells import Cell, Plan
from mpnet_jax.report.drawing.numbers import mapping


def expected(finished: Mapping[Cell, Mapping[str, Any]], cells: Iterable[Cell]) -> dict[Cell, float]:
    """Returns the expected minutes of cells, from finished cells like them; 0 without any."""
    minutes = {cell: minutes_of(result) for cell, result in finished.items()}
    return {cell: _expected(cell, minutes) for cell in cells}


def line(workdir: Path, wanted: Plan, made: Cell, *, workers: int) -> str:
    """Returns a log line about a finished cell; the remaining time assumes that `workers` processes continue."""
    finished, cells = read_all(workdir, wanted), tuple(wanted)
    missing = [cell for cell in cells if cell not in finished]
    hours = sum(expected(finished, missing).values()) / workers / 60
    left = f"about {hours:.1f} hours left" if missing else "all there"
    score, minutes = _score(made, finished[made]), minutes_of(finished[made])
    return f"[{len(finished)}/{len(cells)}] {made.path}: {score}, {minutes:.0f} min; {left}"


def minutes_of(result: Mapping[str, Any]) -> float:
    """Returns the minutes of training, over all sessions, and evaluation."""
    return sum(value for value in result["minutes"].values() if value is not None)


def _expected(cell: Cell, minutes: Mapping[Cell, float]) -> float:
    """Averages over the cells of the same kind and method, else of the same method, else over all."""
    for like in (
        [m for other, m in minutes.items() if (other.kind, other.method) == (cell.kind, cell.method)],
        [m for other, m in minutes.items() if other.method == cell.method],
        list(minutes.values()),
    ):
        if like:
            return fmean(like)
    return 0.0


def _score(cell: Cell, result: Mapping[str, Any]) -> str:
    if diverged(result):
        return "training failed"
    if not cell.is_evaluated:
        return f"validation {result['score']:.2f} dB"
    main = list(result["lists"][f"mix{cell.sources}"]["methods"])[-1]
    mean = mapping(result["methods"][main].get("nsdr")).get("mean")
    return "no valid mixture" if mean is None else f"NSDR {mean:.2f} dB"
