"""Tests computation on all devices of one process and of two."""

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
from mpnet_jax.processes.stop_request import StopRequest
from tests.conftest import XLA_FLAGS
from tests.support.ports import free_port
from tests.support.repository import ROOT


def start(coordinator: str, index: int, how: str = "", count: int = 2, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tests.support.two_processes",
            coordinator,
            str(index),
            str(count),
            *([how] if how else []),
        ],
        cwd=ROOT,
        env=os.environ | {"XLA_FLAGS": XLA_FLAGS.format(devices=1)} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def start_two(how: str = "", **variables: str) -> list[subprocess.Popen[str]]:
    coordinator = f"127.0.0.1:{free_port()}"
    return [start(coordinator, index, how, **variables) for index in range(2)]


def wait_for_line(words: str, process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert any(words in line for line in process.stdout)


def test_two_processes_agree_and_end_together():
    for process in start_two(http_proxy="http://127.0.0.1:9"):  # no proxy listens there
        output, _ = process.communicate(timeout=200)
        assert process.returncode == 0 and "all agree" in output, output


@pytest.mark.parametrize(
    ("killed", "report"),
    [(0, "Either the leader task was preempted/died"), (1, "unhealthy (stopped sending heartbeats):\n1\n")],
    ids=["first", "second"],
)
def test_when_one_is_killed_jax_ends_the_other_and_names_it(killed: int, report: str):
    assert joining._HEARTBEAT_SECONDS <= 30  # that of a training run; these processes have a shorter one
    two = start_two("run")
    for process in two:
        wait_for_line("all agree", process)
    two[killed].kill()
    output, _ = two[1 - killed].communicate(timeout=60)
    two[killed].communicate()
    assert two[1 - killed].returncode == -signal.SIGABRT, output
    assert "another task died" in output and report in output
    assert "Traceback" not in output


def test_a_signal_ends_both_when_there_is_nothing_to_save():
    two = start_two("run")
    for process in two:
        wait_for_line("all agree", process)
    two[0].send_signal(signal.SIGTERM)
    output = [process.communicate(timeout=60)[0] for process in two]
    assert [process.returncode for process in two] == [128 + signal.SIGTERM, -signal.SIGABRT], output
    assert "interrupted" in output[0]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_ends_a_process_that_waits_for_the_others(number: signal.Signals):
    port = free_port()
    process = start(f"127.0.0.1:{port}", 0)
    wait_for_line(f"process 0 of 2 waits up to 300 s for the others at 127.0.0.1:{port}", process)
    while not listens(port):
        time.sleep(0.1)
    process.send_signal(number)
    process.communicate(timeout=20)
    assert process.returncode == -number


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def test_the_signal_handlers_are_restored():
    handler = signal.getsignal(signal.SIGTERM)
    with StopRequest():
        inside = signal.getsignal(signal.SIGTERM)
        with joining._default_signal_handlers():
            assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
        assert signal.getsignal(signal.SIGTERM) == inside
    assert signal.getsignal(signal.SIGTERM) == handler


def test_a_failed_collective_waits_for_jax_and_then_keeps_its_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    waits = []
    monkeypatch.setattr(joining.time, "sleep", waits.append)
    monkeypatch.setattr(joining.os, "_exit", sys.exit)
    for error in (jax.errors.JaxRuntimeError("NCCL"), ValueError("Gloo AllGather failed"), ValueError("a bug")):
        with pytest.raises(SystemExit, match="1"):
            joining._leave(error, Membership("127.0.0.1:1", 1, 2))
    assert waits == [joining._REPORT_SECONDS] * 2
    assert "JaxRuntimeError: NCCL" in capsys.readouterr().err


def test_a_port_that_is_taken_is_refused():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        process = start(f"127.0.0.1:{port}", 0)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == EXIT_BAD_INPUT, output
    assert output.splitlines()[-1] == (
        f"error: --coordinator=127.0.0.1:{port}: cannot listen on port {port} (Address already in use); choose another"
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, "127.0.0.1"),
        ({"no_proxy": "a,b", "NO_PROXY": "c"}, "a,b,127.0.0.1"),
        ({"NO_PROXY": "c"}, "c,127.0.0.1"),
        ({"no_grpc_proxy": "d", "no_proxy": "a"}, "d,127.0.0.1"),
    ],
)
def test_no_proxy_keeps_earlier_hosts(before: dict, after: str, monkeypatch: pytest.MonkeyPatch):
    for name in ("no_grpc_proxy", "no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, before.get(name, ""))  # restored after the test
    joining._need_no_proxy("127.0.0.1")
    assert os.environ["no_grpc_proxy"] == after


def test_bad_input_of_one_ends_the_other():
    first, second = start_two("first_fails")
    output, output_of_second = first.communicate(timeout=200)[0], second.communicate(timeout=60)[0]
    assert output.splitlines()[-1] == "error: process 0 does not like its input"
    assert (first.returncode, second.returncode) == (EXIT_BAD_INPUT, -signal.SIGABRT), output_of_second
    assert "another task died" in output_of_second


def test_all_processes_report_bad_input_that_all_find():
    for index, process in enumerate(start_two("all_fail")):
        output, _ = process.communicate(timeout=200)
        assert process.returncode == EXIT_BAD_INPUT, output
        assert output.splitlines()[-1] == f"error: process {index} does not like its input"


def test_unequal_process_counts_are_refused():
    coordinator = f"127.0.0.1:{free_port()}"
    for process in [start(coordinator, index, count=2 + index) for index in range(2)]:
        output, _ = process.communicate(timeout=200)
        assert process.returncode == EXIT_BAD_INPUT, output
        assert output.splitlines()[-1] == "error: --process_count is 2, 3 at the processes; give all the same"


def test_mean_over_all_devices():
    devices = jax.device_count()
    batch = parallel.shard({"x": np.arange(2.0 * devices, dtype=np.float32)})
    mean = parallel.parallel_map(lambda scale, batch: parallel.mean_over_devices(scale * batch["x"].mean()))
    of_each = mean(parallel.replicate(np.float32(3.0)), batch)
    assert of_each.shape == (devices,)
    np.testing.assert_allclose(of_each, 3.0 * (2 * devices - 1) / 2)


def test_gather_reverses_shard():
    batch = {"x": np.arange(6.0 * jax.device_count()).reshape(-1, 3)}
    np.testing.assert_array_equal(parallel.gather(parallel.shard(batch))["x"], batch["x"])


def test_a_batch_that_does_not_divide_is_refused():
    devices = jax.device_count()
    parallel.check_batch(2 * devices, field="batch_size")
    with pytest.raises(InputError, match=rf"config\.batch_size={2 * devices + 1} must divide by {devices} devices"):
        parallel.check_batch(2 * devices + 1, field="batch_size")
