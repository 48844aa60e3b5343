"""Runs a comparison with the real programs."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from mpnet_jax.run.log import LOSSES, read_lines
from tests.support.tiny_run import start

CONFIG = """
from pathlib import Path

from tests.support.tiny_run import tiny_config


def get_config():
    config = tiny_config(Path({data_dir!r}))
    config.update_from_flattened_dict({{
        "rounds.minus": 2,
        "rounds.plus": 6,
        "rounds.both": 2,
        "evaluation.far.name": "far",
        "evaluation.far.mixtures": 4,
        "evaluation.other_mixtures": 3,
        "evaluation.counting.mixtures": 8,
        "evaluation.counting.clips": 4,
        "compare.methods": ("mpnet",),
        "compare.settings": ("ratio-mix2",),
        "compare.seeds": (0,),
        "compare.mixes": (2, 3),
        "compare.localisation": False,
    }})
    return config
"""


def finish(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=900)
    return output


@pytest.mark.slow
@pytest.mark.e2e
@pytest.mark.timeout(1500)
def test_a_stopped_comparison_resumes_within_its_cell(tiny_set: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for name in ("tiny", "far"):
        (data / name).symlink_to(tiny_set / "tiny")
    config, workdir = tmp_path / "grid.py", tmp_path / "comparison"
    config.write_text(CONFIG.format(data_dir=os.fspath(data)))
    arguments = (f"--config={config}", f"--workdir={workdir}", "--config.batch_size=2")
    process = start("mpnet_jax.compare", *arguments)
    run = workdir / "runs" / "mpnet-ratio-mix2-seed0"
    deadline = time.monotonic() + 200
    while len(read_lines(run / LOSSES)) < 3:
        assert time.monotonic() < deadline and process.poll() is None, process.communicate()[0]
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    output = finish(process)
    assert process.returncode == 128 + signal.SIGTERM, output
    assert "SIGTERM: saved step" in (workdir / "logs/cells/mpnet-ratio-mix2-seed0.log").read_text()
    process = start("mpnet_jax.compare", *arguments)
    output = finish(process)
    assert process.returncode == 0, output
    log = (workdir / "logs/cells/mpnet-ratio-mix2-seed0.log").read_text()
    assert "resuming from step" in log
    cell = json.loads((workdir / "cells/mpnet-ratio-mix2-seed0.json").read_text())
    assert cell["steps"]["trained"] == 8
    assert set(cell["lists"]) == {"mix2", "mix3", "far_mix2", "counting"}
    assert list(cell["lists"]["mix2"]["methods"]) == ["mpnet"]
    mnet = json.loads((workdir / "cells/mnet-ratio-mix2-seed0.json").read_text())
    assert cell["start"] == {"path": "cells/mnet-ratio-mix2-seed0", "networks": mnet["networks"]}
    train, evaluate = cell["commands"]
    assert "--config.batch_size=2" in train and evaluate.startswith("python -m mpnet_jax.evaluate ")
    text = (workdir / "results.md").read_text()
    assert "| MP-Net | ratio | mix-2 | 1 |" in text and "| M-Net | ratio | mix-2 | 1 |" in text
    # No cell is missing: only the outputs are written.
    (workdir / "results.md").unlink()
    process = start("mpnet_jax.compare", *arguments, "--report_only")
    assert finish(process).splitlines()[-1] == f"report:  {workdir / 'results.html'}"
    again = (workdir / "results.md").read_text()
    assert again.partition("\n## ")[2] == text.partition("\n## ")[2] != ""  # the first section names the command
