"""Writes what a comparison found so far: numbers, tables, pictures and a page."""

import json
import os
import uuid
from pathlib import Path

from mpnet_jax.grid import figures
from mpnet_jax.grid.cells import Plan
from mpnet_jax.grid.markdown import markdown
from mpnet_jax.grid.results import results
from mpnet_jax.report.folder import replacing
from mpnet_jax.report.grid_page import grid_page


def write_outputs(workdir: Path, plan: Plan) -> Path | None:
    """Writes results.json, results.md, figures/ and page/index.html, each replacing an earlier one when it is whole.

    Args:
        workdir: of the comparison.
        plan: all of its cells; those that are not finished are left out.

    Returns:
        Path of results.md; None where no cell is finished.
    """
    found = results(workdir, plan)
    if not (found["entries"] or found["ablations"] or found["rates"]):
        return None
    _write(workdir / "results.json", json.dumps(found, indent=1, allow_nan=False) + "\n")
    names = figures.draw(found["entries"], workdir / "figures")
    _write(workdir / "results.md", markdown(found, [f"figures/{name}" for name in names]))
    if found["entries"]:
        with replacing(workdir / "page", ("index.html",)) as folder:
            (folder / "index.html").write_text(grid_page(found), encoding="utf-8")
    return workdir / "results.md"


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)
