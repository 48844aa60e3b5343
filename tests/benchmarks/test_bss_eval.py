import json
import subprocess
import sys

import numpy as np
import pytest

from benchmarks.bss_eval import mixture
from tests.support.repository import ROOT


def test_a_mixture_is_two_sounds_and_two_variants():
    reference, estimates = mixture(4000)
    assert reference.shape == (2, 4000)
    assert estimates.shape == (2, 2, 4000)
    np.testing.assert_allclose(estimates[1], np.stack([reference.sum(0)] * 2))
    np.testing.assert_allclose(estimates[0].sum(0), reference.sum(0), atol=1e-5)  # the masks sum to one


@pytest.mark.e2e
def test_the_command(tmp_path):
    path = tmp_path / "results" / "bss_eval.json"
    tiny = ["--repeats=1", "--rounds=1", "--samples=4000", "--mixtures=2"]
    command = [sys.executable, "-m", "benchmarks.bss_eval", f"--json={path}", *tiny]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=250)
    assert run.returncode == 0, run.stderr
    results = json.loads(path.read_text())
    assert results["ratio"] > 0
    assert results["second_core"] > 0
    assert results["greatest_difference_db"] < 1e-3
    assert results["facts"]


def test_no_file():
    run = subprocess.run([sys.executable, "-m", "benchmarks.bss_eval"], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 2
    assert "--json is missing" in run.stderr
