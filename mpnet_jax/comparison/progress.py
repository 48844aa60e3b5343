"""One line a finished cell: which, how well, how long, and when all will be there."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

from mpnet_jax.comparison.cell_files import diverged, read_all
from mpnet_jax.comparison.cells import Cell, Plan
from mpnet_jax.report.drawing.numbers import mapping


class Progress:
    """How far a comparison is.

    Args:
        workdir: its folder.
        wanted: the cells that count.
    """

    def __init__(self, workdir: Path, wanted: Plan) -> None:
        self._workdir, self._wanted = workdir, tuple(wanted)

    def expected(self, cells: Iterable[Cell]) -> dict[Cell, float]:
        """Minutes that cells will take, by those like them; 0 before there are any."""
        minutes = {cell: minutes_of(result) for cell, result in read_all(self._workdir, self._wanted).items()}
        return {cell: _expected(cell, minutes) for cell in cells}

    def line(self, made: Cell, *, workers: int) -> str:
        """A line about a cell that was just made; the time left assumes that so many processes go on."""
        found = read_all(self._workdir, self._wanted)
        minutes = {cell: minutes_of(result) for cell, result in found.items()}
        missing = [cell for cell in self._wanted if cell not in found]
        left = sum(_expected(cell, minutes) for cell in missing) / workers
        hours = f"about {left / 60:.1f} hours left" if missing else "all there"
        score, took = _score(made, found[made]), minutes[made]
        return f"[{len(found)}/{len(self._wanted)}] {made.path}: {score}, {took:.0f} min; {hours}"


def minutes_of(result: Mapping[str, Any]) -> float:
    """What a cell took: training, over all its starts, and evaluation."""
    return sum(value for value in result["minutes"].values() if value is not None)


def _expected(cell: Cell, minutes: Mapping[Cell, float]) -> float:
    """Minutes of a cell, by those like it."""
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
