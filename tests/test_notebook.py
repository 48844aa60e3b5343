"""Tests of the notebook: it is stored without outputs, and it runs."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys

import pytest

from tests.support.repository import ROOT

NOTEBOOK = ROOT / "docs" / "separate.ipynb"
PROGRAM = """
import nbclient, nbformat
notebook = nbformat.read("separate.ipynb", as_version=4)
nbclient.NotebookClient(notebook, timeout=1200, kernel_name="python3").execute()
nbformat.write(notebook, "executed.ipynb")
"""


def code_cells(path):
    return [cell for cell in json.loads(path.read_text("utf-8"))["cells"] if cell["cell_type"] == "code"]


def test_the_notebook_is_stored_without_outputs():
    assert code_cells(NOTEBOOK)
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code_cells(NOTEBOOK))


@pytest.mark.slow
@pytest.mark.e2e
@pytest.mark.timeout(1800)
@pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("nbclient", "ipykernel", "midirenderer")),
    reason="nbclient, ipykernel or midirenderer is not installed; pip install '.[dev]'",
)
def test_the_notebook_runs(tmp_path):
    shutil.copy(NOTEBOOK, tmp_path)
    paths = {"PYTHONPATH": str(ROOT), "IPYTHONDIR": str(tmp_path / "ipython"), "MPLBACKEND": ""}
    environment = {name: value for name, value in (os.environ | paths).items() if value}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=tmp_path, env=environment, capture_output=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr[-4000:]
    outputs = [output for cell in code_cells(tmp_path / "executed.ipynb") for output in cell["outputs"]]
    text = "".join(line for output in outputs for line in output.get("text", ()))
    assert "sound 1: " in text and "sound 2: " in text
    kinds = [kind for output in outputs for kind in output.get("data", {})]
    assert kinds.count("image/png") == 5
    audio = [output["data"]["text/html"] for output in outputs if "text/html" in output.get("data", {})]
    assert sum("<audio" in "".join(html) for html in audio) == 6
