"""Tests of computations on all devices of one process and of two."""

import os
import signal
import socket
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from data_pipeline.command import EXIT_BAD_INPUT, InputError
from mpnet_jax import parallel
from mpnet_jax.processes import joining
from mpnet_jax.processes.membership import Membership
from mpnet_jax.processes.monitor import EXIT_LOST
from mpnet_jax.processes.sockets import free_port
from tests.conftest import XLA_FLAGS
from tests.support.repository import ROOT


def start(coordinator: str, index: int, end: str = "", **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.two_processes", coordinator, str(index), "2", *([end] if end else [])],
        cwd=ROOT,
        env=os.environ | {"XLA_FLAGS": XLA_FLAGS.format(devices=1)} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def start_two(end: str = "", **variables: str) -> list[subprocess.Popen[str]]:
    coordinator = f"127.0.0.1:{free_port()}"
    return [start(coordinator, index, end, **variables) for index in range(2)]


def wait_until_they_agree(processes: list[subprocess.Popen[str]]) -> None:
    for process in processes:
        assert process.stdout is not None
        assert any("all agree" in line for line in process.stdout)


def test_two_processes_agree_and_end_together():
    for process in start_two(http_proxy="http://127.0.0.1:9"):  # a proxy that does not exist
        output, _ = process.communicate(timeout=200)
        assert process.returncode == 0 and "all agree" in output, output


@pytest.mark.parametrize("killed", [0, 1])
def test_when_one_is_killed_the_other_reports_it_and_ends(killed):
    two = start_two("die")
    wait_until_they_agree(two)
    two[killed].kill()
    killed_at = time.monotonic()
    output, _ = two[1 - killed].communicate(timeout=60)
    two[killed].communicate()
    assert time.monotonic() - killed_at < 10
    assert two[1 - killed].returncode == EXIT_LOST
    (sentence,) = output.splitlines()
    assert sentence.startswith(f"error: process {killed} of 2 is gone (killed, failed or cut off), so the others stop;")
    assert sentence.endswith("the same command again, and they go on from the last checkpoint")


def test_a_signal_to_one_ends_both_before_there_is_a_state_to_save():
    two = start_two("die")
    wait_until_they_agree(two)
    two[1].send_signal(signal.SIGTERM)
    for process in two:
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 128 + signal.SIGTERM, output


def test_a_signal_ends_a_process_that_waits_for_the_others():
    with socket.create_server(("127.0.0.1", 0)) as first:
        process = start(f"127.0.0.1:{first.getsockname()[1]}", 1)
        first.settimeout(60)
        line, _ = first.accept()
        with line:
            assert line.recv(100) == b"mpnet_jax line 1 2\n"
            line.sendall(b"welcome\n")
            time.sleep(0.5)
            process.send_signal(signal.SIGTERM)
            output, _ = process.communicate(timeout=20)
            assert process.returncode == 128 + signal.SIGTERM, output
            assert line.recv(100) == b"ended 1 143\n"


def test_jax_is_initialised_after_all_processes_have_connected(monkeypatch: pytest.MonkeyPatch):
    events = []

    class Member(joining.monitor.Member):
        def __init__(self, *_: object, **__: object) -> None:
            self.relay_port = 1
            events.append("connected")

        def wait_for_all(self) -> None:
            events.append("all connected")

    monkeypatch.setattr(joining.monitor, "Member", Member)
    monkeypatch.setattr(jax.distributed, "initialize", lambda **_: events.append("JAX"))
    monkeypatch.setenv("no_grpc_proxy", "")  # so that the earlier value is restored
    joining._join(Membership("127.0.0.1:1", 1, 2), [])
    assert events == ["connected", "all connected", "JAX"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, "127.0.0.1"),
        ({"no_proxy": "a,b", "NO_PROXY": "c"}, "a,b,127.0.0.1"),
        ({"NO_PROXY": "c"}, "c,127.0.0.1"),
        ({"no_grpc_proxy": "d", "no_proxy": "a"}, "d,127.0.0.1"),
    ],
)
def test_no_proxy_keeps_its_earlier_hosts(before: dict, after: str, monkeypatch: pytest.MonkeyPatch):
    for name in ("no_grpc_proxy", "no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, before.get(name, ""))  # so that the earlier value is restored
    joining._need_no_proxy("127.0.0.1")
    assert os.environ["no_grpc_proxy"] == after


def test_bad_input_of_one_ends_the_other_with_the_same_status():
    first, second = start_two("fail")
    output, second_output = first.communicate(timeout=200)[0], second.communicate(timeout=60)[0]
    assert (first.returncode, second.returncode) == (EXIT_BAD_INPUT, EXIT_BAD_INPUT), output + second_output
    assert second_output.splitlines()[-1] == "error: process 1 does not like its input"
    assert output.splitlines()[-1] == "error: process 1 of 2 ended with status 2 and says why, so the others stop"


def test_the_mean_is_over_all_devices():
    devices = jax.device_count()
    batch = parallel.shard({"x": np.arange(2.0 * devices, dtype=np.float32)})
    mean = parallel.parallel_map(lambda scale, batch: parallel.mean_over_devices(scale * batch["x"].mean()))
    means = mean(parallel.replicate(np.float32(3.0)), batch)
    assert means.shape == (devices,)
    np.testing.assert_allclose(means, 3.0 * (2 * devices - 1) / 2)


def test_gather_inverts_shard():
    batch = {"x": np.arange(6.0 * jax.device_count()).reshape(-1, 3)}
    np.testing.assert_array_equal(parallel.gather(parallel.shard(batch))["x"], batch["x"])


def test_refuses_a_batch_that_does_not_divide():
    devices = jax.device_count()
    parallel.check_batch(2 * devices, field="batch_size")
    with pytest.raises(InputError, match=rf"config\.batch_size={2 * devices + 1} must divide by {devices} devices"):
        parallel.check_batch(2 * devices + 1, field="batch_size")
