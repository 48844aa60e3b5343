import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import scaling
from benchmarks.harness import devices
from benchmarks.harness.devices import DEVICES, Step
from benchmarks.scaling import Counted, all_reduced_bytes, of_round, round_config
from data_pipeline.command import InputError
from mpnet_jax import parallel
from tests.conftest import XLA_FLAGS
from tests.support.repository import ROOT

H100 = DEVICES[0]
STEP = Step(mixtures=10, flops=494.7e10, moved_bytes=3.35e10, reduced_bytes=450e6, reductions=100)


def test_the_times_of_operations_and_traffic():
    assert devices.seconds_alone(STEP, H100) == pytest.approx((0.01, 0.01))


def test_the_time_of_a_ring_all_reduce():
    assert devices.seconds_reducing(STEP, H100, 1) == 0.0
    assert devices.seconds_reducing(STEP, H100, 8) == pytest.approx(2 * 7 / 8 * 1e-3 + 100 * 10e-6)
    # 8 groups of 8: each device sends an eighth of the bytes to other groups.
    beyond = 2 * 7 / 8 * (450e6 / 8) / 50e9
    assert devices.seconds_reducing(STEP, H100, 64) == pytest.approx(2 * 7 / 8 * 1e-3 + beyond + 100 * 60e-6)


def test_efficiency_without_overlap():
    waiting = devices.seconds_reducing(STEP, H100, 8)
    assert devices.efficiency(STEP, H100, 8, share_of_peak=1.0) == pytest.approx(0.01 / (0.01 + waiting))
    assert devices.efficiency(STEP, H100, 8, share_of_peak=0.5) == pytest.approx(0.02 / (0.02 + waiting))
    assert devices.efficiency(STEP, H100, 1, share_of_peak=1.0) == 1.0


def test_the_largest_batch_beside_the_state():
    assert devices.largest_batch(4e9, 1e9, 16) == 10  # 14.4 GB are usable
    assert devices.largest_batch(20e9, 1e9, 16) == 0


def test_the_cost_per_mixture_from_two_batches():
    counted = [Counted(1, 30.0, 300.0, int(3e9), 40, 2), Counted(3, 50.0, 700.0, int(5e9), 40, 2)]
    found = of_round(counted, loader_rate=90.0)
    assert found["per_mixture"] == {"flops": 10.0, "moved_bytes": 200.0, "stored_bytes": 1e9}
    assert found["fixed"] == {"flops": 20.0, "moved_bytes": 100.0, "stored_bytes": 2e9}
    assert found["largest_batch"] == {"16 GB": 12, "24 GB": 19, "40 GB": 34, "80 GB": 70}
    assert [row["mixtures"] for row in found["computed"]["H100 SXM"]] == [1, 10, 70]


def test_counts_the_all_reduces_of_a_real_program():
    mapped = parallel.parallel_map(lambda _, x: parallel.mean_over_devices((x, jnp.sum(x))))
    batch = jax.ShapeDtypeStruct((jax.device_count(), 3, 5), jnp.float32)
    program = mapped.lower(jax.ShapeDtypeStruct((jax.device_count(),), jnp.float32), batch).compile().as_text()
    assert sum(all_reduced_bytes(program)) == 4 * (3 * 5 + 1)


def test_the_config_of_a_round():
    config = round_config("both", 4)
    assert (config.rounds.minus, config.rounds.plus, config.rounds.both) == (0, 0, 1)
    assert (config.batch_size, config.recursion.unroll) == (4, "yes")
    with pytest.raises(InputError, match="'second' is unknown; use minus, plus, both"):
        round_config("second", 4)


def test_counts_a_step():
    config = round_config("minus", 2)
    for field, value in (("unet_depth", 3), ("unet_features", 8), ("resnet_features", 8), ("resnet_dilated", False)):
        config.model[field] = value
    config.frames.count, config.frames.crop_px = 1, 32
    config.audio.frequency_rows, config.audio.clip_samples = 32, 31 * 375
    seen = scaling.count(config)
    assert seen.flops > 1e6 and seen.stored_bytes > 1e5 and seen.reductions > 10
    state = jax.eval_shape(lambda: scaling.method_of(config).initial_state())
    learnt = sum(np.prod(x.shape) for x in jax.tree.leaves((state.params["frame_net"], state.params["minus_net"])))
    assert seen.reduced_bytes > 4 * learnt  # all gradients, and the statistics of batch normalisation


@pytest.mark.slow
def test_refuses_an_unknown_round(tmp_path):
    path = tmp_path / "scaling.json"
    refused = subprocess.run(
        [sys.executable, "-m", "benchmarks.scaling", f"--json={path}", "--rounds=second"],
        cwd=ROOT,
        env=os.environ | {"XLA_FLAGS": XLA_FLAGS.format(devices=2)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 2 and "'second' is unknown" in refused.stderr
    assert not path.exists()
