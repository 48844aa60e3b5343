"""Writes what a comparison found so far: numbers, tables, pictures and a page."""

import json
from pathlib import Path

from data_pipeline.atomic import write_atomically
from mpnet_jax.comparison.cells import Plan
from mpnet_jax.comparison.report import figures
from mpnet_jax.comparison.report.markdown import markdown
from mpnet_jax.comparison.report.page import grid_page
from mpnet_jax.comparison.report.results import results

FIGURES = "figures"


def write_outputs(workdir: Path, plan: Plan) -> Path | None:
    """Writes results.json, results.md, results.html and figures/.

    Each file takes the place of an earlier one when it is whole: several processes may do so at once.

    Args:
        workdir: of the comparison.
        plan: all of its cells; those that are not finished are left out.

    Returns:
        Path of the page; None where no cell is finished.
    """
    found = results(workdir, plan)
    if not any(finished for finished, _ in found["done"].values()):
        return None
    _write(workdir / "results.json", f"{json.dumps(found, indent=1, allow_nan=False)}\n".encode())
    pictures = {f"{FIGURES}/{name}": content for name, content in figures.draw(found["entries"]).items()}
    for name, content in pictures.items():
        _write(workdir / name, content)
    _write(workdir / "results.md", markdown(found, list(pictures)).encode())
    page = workdir / "results.html"
    _write(page, grid_page(found).encode())
    return page


def _write(path: Path, content: bytes) -> None:
    write_atomically(path, content, shared=True)
