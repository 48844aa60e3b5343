"""What is done on all devices of one process, or of two."""

import os
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from data_pipeline.command import EXIT_BAD_INPUT, InputError
from mpnet_jax import parallel
from mpnet_jax.lifeline import EXIT_LOST
from mpnet_jax.sockets import free_port
from tests.conftest import XLA_FLAGS
from tests.tiny_run import ROOT


def start_two(how: str = "") -> list[subprocess.Popen[str]]:
    coordinator = f"127.0.0.1:{free_port()}"
    return [
        subprocess.Popen(
            [sys.executable, "-m", "tests.two_processes", coordinator, str(index), "2", *([how] if how else [])],
            cwd=ROOT,
            env=os.environ | {"XLA_FLAGS": XLA_FLAGS.format(devices=1)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for index in range(2)
    ]


def test_two_processes_agree_and_end_together():
    for process in start_two():
        told, _ = process.communicate(timeout=200)
        assert process.returncode == 0 and "all agree" in told, told


@pytest.mark.parametrize("killed", [0, 1])
def test_when_one_is_killed_the_other_says_so_and_ends(killed):
    two = start_two("die")
    for process in two:
        lines = iter(process.stdout.readline, "")
        assert any("all agree" in line for line in lines)
    two[killed].kill()
    killed_at = time.monotonic()
    told, _ = two[1 - killed].communicate(timeout=60)
    two[killed].communicate()
    assert time.monotonic() - killed_at < 10
    assert two[1 - killed].returncode == EXIT_LOST
    (sentence,) = told.splitlines()
    assert sentence.startswith(f"error: process {killed} of 2 is gone (killed, failed or cut off), so the others stop;")
    assert sentence.endswith("the same command again, and they go on from the last checkpoint")


def test_bad_input_of_one_ends_the_other_with_the_same_status():
    first, second = start_two("fail")
    told, told_by_second = first.communicate(timeout=200)[0], second.communicate(timeout=60)[0]
    assert (first.returncode, second.returncode) == (EXIT_BAD_INPUT, EXIT_BAD_INPUT), told + told_by_second
    assert told_by_second.splitlines()[-1] == "error: process 1 does not like its input"
    assert told.splitlines()[-1] == "error: process 1 of 2 ended with status 2 and says why, so the others stop"


def test_the_mean_runs_over_all_devices():
    devices = jax.device_count()
    batch = parallel.shard({"x": np.arange(2.0 * devices, dtype=np.float32)})
    mean = parallel.parallel_map(lambda scale, batch: parallel.mean_over_devices(scale * batch["x"].mean()))
    of_each = mean(parallel.replicate(np.float32(3.0)), batch)
    assert of_each.shape == (devices,)
    np.testing.assert_allclose(of_each, 3.0 * (2 * devices - 1) / 2)


def test_gathers_what_was_sharded():
    batch = {"x": np.arange(6.0 * jax.device_count()).reshape(-1, 3)}
    np.testing.assert_array_equal(parallel.gather(parallel.shard(batch))["x"], batch["x"])


def test_refuses_a_batch_that_does_not_divide():
    devices = jax.device_count()
    parallel.check_batch(2 * devices, field="batch_size")
    with pytest.raises(InputError, match=rf"config\.batch_size={2 * devices + 1} must divide by {devices} devices"):
        parallel.check_batch(2 * devices + 1, field="batch_size")
