"""Writes a comparison of several runs: `comparison.json` with the numbers, and a page."""

import itertools
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from data_pipeline.atomic import atomic_folder
from mpnet_jax.report.runs import NOT_THE_SAME, Pair, Run, compare, read_runs
from mpnet_jax.report.side_by_side_page import comparison_page

_PARTS = ("index.html", "comparison.json")
_COPIED = ("mixes", "counting", "localisation", "far")


def write_comparison(folders: Sequence[str | Path], out: Path) -> Path:
    """Writes `out`/index.html and `out`/comparison.json, replacing an earlier comparison once both are written.

    Args:
        folders: Folders of two or more evaluated runs.
        out: Folder of the comparison, created when missing; its parent must be writable.

    Returns:
        Path of index.html.

    Raises:
        InputError: A run cannot be read, or `out` holds other files than a comparison.
    """
    runs = read_runs(folders)
    with atomic_folder(out, _PARTS) as folder:
        # Later runs minus earlier ones.
        pairs = [compare(later, earlier) for earlier, later in itertools.combinations(runs, 2)]
        links = [_report_link(run, out) for run in runs]
        numbers = json.dumps(_finite(_numbers(runs, pairs, links)), indent=1, allow_nan=False)
        (folder / "comparison.json").write_text(numbers + "\n", encoding="utf-8")
        page = comparison_page(runs, pairs, links)
        (folder / "index.html").write_text(page, encoding="utf-8", errors="replace")
    return out / "index.html"


def _report_link(run: Run, out: Path) -> str:
    """Returns the address of a run's own report relative to `out`, or ""."""
    report = run.folder / "report" / "index.html"
    if not report.is_file():
        return ""
    # Quoted, since a folder's name may contain special characters of addresses.
    return quote(os.fsencode(os.path.relpath(report.resolve(), out.resolve())))


def _numbers(runs: Sequence[Run], pairs: Sequence[Pair], links: Sequence[str]) -> dict[str, Any]:
    return {
        "runs": [
            {
                "name": run.name,
                "folder": os.fspath(run.folder),
                "report": link or None,
                "method": run.main,
                "methods": run.methods,
                "run": run.facts,
                **{key: run.results[key] for key in _COPIED if key in run.results},
            }
            for run, link in zip(runs, links, strict=True)
        ],
        "pairs": [
            {
                "first": pair.first.name,
                "second": pair.second.name,
                "differences": pair.differences or None,
                "note": "" if pair.differences else NOT_THE_SAME,
                "starts_checked": pair.starts_checked,
            }
            for pair in pairs
        ],
    }


def _finite(value: Any) -> Any:
    """Replaces numbers that are not finite, which JSON does not allow, by None."""
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
