"""Writes what a comparison found so far: numbers, tables, pictures and a page."""

import json
from pathlib import Path

from data_pipeline.atomic import write_atomically
from mpnet_jax.comparison.cells import Plan
from mpnet_jax.comparison.report import figures
from mpnet_jax.comparison.report.markdown import markdown
from mpnet_jax.comparison.report.page import grid_page
from mpnet_jax.comparison.report.results import results


def write_outputs(workdir: Path, plan: Plan) -> Path | None:
    """Writes results.json, results.md, results.html and figures/.

    Each file replaces an earlier one atomically, so that several processes may write at once.

    Args:
        workdir: Folder of the comparison.
        plan: All cells of the comparison; cells that are not finished are left out.

    Returns:
        Path of the page; None where no cell is finished.
    """
    found = results(workdir, plan)
    if not any(finished for finished, _ in found["done"].values()):
        return None
    pictures = {f"figures/{name}": content for name, content in figures.draw(found["entries"]).items()}
    written = {
        "results.json": f"{json.dumps(found, indent=1, allow_nan=False)}\n",
        **pictures,
        "results.md": markdown(found, list(pictures)),
        "results.html": grid_page(found),
    }
    for name, content in written.items():
        write_atomically(workdir / name, content, shared=True)
    return workdir / "results.html"
