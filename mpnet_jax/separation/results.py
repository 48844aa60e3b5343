"""Sums up the windows of a separation and writes `separation.json`."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any


class Tally:
    """Statistics of each sound over all windows."""

    def __init__(self) -> None:
        self.windows = 0
        self._sums: dict[int, dict[str, Any]] = {}

    @property
    def numbers(self) -> set[int]:
        """The numbers of the sounds so far."""
        return set(self._sums)

    def add(self, window: Mapping[str, Any]) -> None:
        """Adds a window, as returned by `Journal.add`."""
        self.windows += 1
        for sound in window["sounds"]:
            start = {"windows": 0, "first_s": window["start_s"], "place": [0.0, 0.0], "energy": 0.0}
            start |= {"stretch": 0, "longest": 0, "newest": 0}
            known = self._sums.setdefault(sound["number"], start)
            known["stretch"] = known["stretch"] + 1 if known["newest"] == self.windows - 1 else 1
            known["longest"] = max(known["longest"], known["stretch"])
            known["newest"] = self.windows
            known["windows"] += 1
            known["last_s"] = window["end_s"]
            known["energy"] += sound["energy"]
            known["place"] = [known["place"][axis] + sound["energy"] * sound["place"][axis] for axis in (0, 1)]

    def longest(self, number: int) -> int:
        """Returns the maximum number of consecutive windows with this sound."""
        return self._sums[number]["longest"]

    def of(self, number: int) -> dict[str, Any]:
        """Returns JSON-ready `windows`, `first_s`, `last_s` and `place` (the mean, weighted by energy)."""
        known = self._sums[number]
        energy = known["energy"] or 1.0
        place = [round(axis / energy, 4) for axis in known["place"]]
        return {name: known[name] for name in ("windows", "first_s", "last_s")} | {"place": place}


def write_results(path: Path, summary: Mapping[str, Any], windows: Iterable[Mapping[str, Any]]) -> None:
    """Writes a summary as JSON, with `windows` as its last entry; memory does not grow with their number.

    Args:
        path: File to write.
        summary: JSON-ready summary.
        windows: JSON-ready windows, which get one line each.
    """
    head = json.dumps(summary, indent=1, allow_nan=False)
    with path.open("w", encoding="utf-8") as file:
        file.write(head.removesuffix("\n}") + ',\n "windows": [')
        for index, window in enumerate(windows):
            file.write(("," if index else "") + "\n  " + json.dumps(window, allow_nan=False))
        file.write("\n ]\n}\n")
