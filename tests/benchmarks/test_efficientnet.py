import importlib.util
import subprocess
import sys

import pytest

from benchmarks import efficientnet
from benchmarks.efficientnet import checked_batches, require_peer, table
from benchmarks.harness import record
from benchmarks.harness.worker import Worker
from data_pipeline.command import InputError
from tests.support.repository import ROOT


def test_batches_are_positive_integers():
    assert checked_batches(["1", "8"]) == [1, 8]
    for wrong in ("0", "-1", "x", ""):
        with pytest.raises(InputError, match=f"--batches: '{wrong}' is no positive integer"):
            checked_batches([wrong])


def test_missing_peer_is_named(monkeypatch):
    monkeypatch.setattr(record, "has_torch", lambda: True)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"pip install efficientnet-lite-pytorch==0\.1\.0"):
        require_peer()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [([], "--json is missing"), (["--json={here}/x.json", "--batches=0"], "'0' is no positive integer")],
)
def test_bad_flags_are_refused(tmp_path, arguments, sentence):
    call = [sys.executable, "-m", "benchmarks.efficientnet", *(a.format(here=tmp_path) for a in arguments)]
    done = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1


def test_our_worker_runs(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with Worker("ours", threads=1, module="benchmarks.efficientnet") as worker:
        worker.ask("build", 1, 32)
        assert worker.ask("time", 1) > 0
        assert worker.ask("cpu_seconds") > 0


def test_the_table_names_the_ratios():
    backends = ("ours", "nchw", "channels_last")
    measured = {
        "seconds": dict.fromkeys(backends, 0.01),
        "pictures_per_second": dict.fromkeys(backends, 100.0),
        "ratios": dict.fromkeys(efficientnet.PEERS, 0.5),
        "ratio_spread": {peer: [0.4, 0.5, 0.5, 0.6] for peer in efficientnet.PEERS},
    }
    assert table(1, measured).count("0.500 (0.400..0.600)") == 2
