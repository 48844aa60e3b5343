import subprocess
import sys

import numpy as np
import pytest

from benchmarks.harness import record
from benchmarks.harness.sizes import size_config, synthetic_batch
from benchmarks.harness.worker import Worker
from benchmarks.step_time import all_sizes, spread
from data_pipeline.command import InputError
from mpnet_jax.config import check as config_module
from tests.support.repository import ROOT


@pytest.mark.parametrize("name", ["full", "full_t6", "full_b2", "small_resnet"])
def test_sizes_are_runs_of_the_minus_round(name):
    config = size_config(name)
    config_module.check(config)
    assert [config.rounds.plus, config.rounds.both] == [0, 0]
    assert config.frames.count == (6 if name == "full_t6" else 1)
    assert config.batch_size == {"full_b2": 2, "small_resnet": 16}.get(name, 4)


@pytest.mark.parametrize("name", ["half", "full_x2", "full_t", "small_resnet_t3"])
def test_unknown_size_is_refused(name):
    with pytest.raises(InputError, match=f"'{name}' is unknown; use full, small_resnet, full_t<pictures>"):
        size_config(name)


def test_pictures_make_sizes_of_the_full_one():
    assert all_sizes(["full", "small_resnet"], ["1", "3"]) == ["full", "full_t3", "small_resnet"]


def test_the_synthetic_batch_is_reproducible():
    config = size_config("small_resnet")
    batch = synthetic_batch(config)
    assert {name: (x.shape, x.dtype) for name, x in batch.items()} == {
        "mixture_magnitude": ((16, 513, 128), np.float32),
        "source_magnitude": ((16, 2, 513, 128), np.float32),
        "source_label": ((16, 2), np.int32),
        "frames": ((16, 2, 1, 96, 96, 3), np.uint8),
    }
    for name, x in synthetic_batch(config).items():
        np.testing.assert_array_equal(x, batch[name])


def test_the_quickstart_s_batch_holds_features_in_place_of_frames():
    batch = synthetic_batch(size_config("quickstart"))
    assert batch["features"].shape == (16, 2, 1, 8, 8, 1280) and "frames" not in batch


def test_spread_is_range_and_quartiles():
    assert spread([4.0, 0.0, 2.0, 1.0, 3.0]) == [0.0, 1.0, 3.0, 4.0]


def test_worker_sleeps_between_requests():
    with Worker("ours", threads=1) as worker:
        worker.ask("build", "full", "matmul")
        assert worker.ask("matmul_rate", 2) > 0
        before = worker.ask("cpu_seconds")
        worker.ask("versions")
        assert worker.ask("cpu_seconds") - before < 0.1
        assert worker.ask("peak_rss_bytes") > 10_000_000


def test_worker_that_dies_is_named(capfd):
    with Worker("ours", threads=1) as worker, pytest.raises(RuntimeError, match="the worker of ours ended with status"):
        worker.ask("build", "no such size", "step")
    assert "'no such size' is unknown" in capfd.readouterr().err


def run(module, *arguments, **environment):
    call = [sys.executable, "-m", module, *arguments]
    return subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "--json is missing"),
        (["--json={here}"], "is a folder; name a file"),
        (["--json={here}/x.json", "--sizes=half"], "'half' is unknown"),
        (["--json={here}/x.json", "--parts=half"], "'half' is unknown; use step, unet_forward"),
    ],
)
def test_bad_flags_are_refused(tmp_path, arguments, sentence):
    done = run("benchmarks.step_time", *(a.format(here=tmp_path) for a in arguments))
    assert done.returncode == 2
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1


def test_missing_peer_is_named(tmp_path, monkeypatch):
    from absl import flags

    from benchmarks import step_time

    monkeypatch.setattr(record, "has_torch", lambda: False)
    fields = {"json": str(tmp_path / "x.json"), "sizes": ["full"], "frames": ["1"], "parts": ["step"]}
    monkeypatch.setattr(flags, "FLAGS", type("Flags", (), fields))
    with pytest.raises(InputError, match=r"PyTorch.*pip install -e '\.\[torch\]'"):
        step_time.main()
