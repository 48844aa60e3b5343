"""Connects this process to the others of a training run; JAX ends all of them when one is lost."""

import contextlib
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Iterator
from typing import Any, NoReturn

import jax
import numpy as np
from absl import logging

from data_pipeline import command
from data_pipeline.command import InputError
from mpnet_jax.parallel import all_processes
from mpnet_jax.processes.environment import require_devices
from mpnet_jax.processes.membership import Membership
from mpnet_jax.processes.stop_request import SIGNALS

# JAX ends all processes when one has sent no heartbeat for this long. A native thread sends them, so slow Python code
# does not delay them, and 30 s bridge short stalls of an overloaded machine. Detection is needed within 60 s.
_HEARTBEAT_SECONDS = 30
# A failed collective is usually the first sign of a lost process. JAX reports that process after a heartbeat timeout.
_REPORT_SECONDS = _HEARTBEAT_SECONDS + 15
# JAX ends the others as soon as process 0 ends, although they may be about to report the same bad input.
_SAME_ERROR_SECONDS = 3
_SHUTDOWN_SECONDS = 1800  # process 0 may still be writing a checkpoint
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
# gRPC, which JAX's processes use, reads the hosts to reach without a proxy from the first of these that is set.
_NO_PROXY = ("no_grpc_proxy", "no_proxy", "NO_PROXY")


@contextlib.contextmanager
def joined(member: Membership) -> Iterator[None]:
    """Connects this process to the others while the block runs; JAX must not have been used before.

    When a process ends early, JAX aborts all others (SIGABRT) within the heartbeat timeout. An error in the block ends
    this process without Python's cleanup, which would wait for the others.

    Args:
        member: This process's place. Nothing happens when it is the only one.
    """
    if member.count == 1:
        yield
        return
    try:
        # JAX's preemption service would handle SIGTERM, which `StopRequest` does.
        jax.config.update("jax_enable_preemption_service", False)
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        _initialize(member)
        require_devices()
        _require_equal_counts(member)
        _require_equal_hosts()
        if jax.process_index():
            logging.set_verbosity(logging.WARNING)  # process 0 reports the progress
        yield
        jax.distributed.shutdown()
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001
        _leave(error, member)


def _initialize(member: Membership) -> None:
    """Waits for the other processes.

    Raises:
        InputError: The port is taken, or JAX cannot start.
    """
    arguments: dict[str, Any] = {
        "initialization_timeout": max(1, round(member.meeting_seconds)),
        "heartbeat_timeout_seconds": _HEARTBEAT_SECONDS,
        "shutdown_timeout_seconds": _SHUTDOWN_SECONDS,
    }
    if member.coordinator:
        host, _ = member.address
        if member.index == 0:
            _require_free(member)
            if host in _LOOPBACK:  # else JAX listens on all addresses of the machine
                arguments["coordinator_bind_address"] = member.coordinator
        _need_no_proxy(host)
        arguments |= {
            "coordinator_address": member.coordinator,
            "num_processes": member.count,
            "process_id": member.index,
            "cluster_detection_method": "deactivate",
        }
        logging.info(
            "process %d of %d waits up to %.0f s for the others at %s",
            member.index,
            member.count,
            member.meeting_seconds,
            member.coordinator,
        )
    try:
        with _default_signal_handlers():  # Python's do not run while native code waits
            jax.distributed.initialize(**arguments)
    except ValueError as error:
        raise InputError(
            f"--distributed: JAX finds no cluster here ({error}); give --coordinator=HOST:PORT, --process_index "
            "and --process_count"
        ) from None
    except jax.errors.JaxRuntimeError as error:
        raise InputError(f"--distributed: JAX cannot start ({error}); choose another --coordinator=HOST:PORT") from None


def _require_free(member: Membership) -> None:
    """Refuses a port that is taken; JAX would share it with another run's process 0."""
    port = member.address[1]
    try:
        socket.create_server(("", port)).close()
    except OSError as error:
        raise InputError(
            f"--coordinator={member.coordinator}: cannot listen on port {port} ({os.strerror(error.errno or 0)}); "
            "choose another"
        ) from None


@contextlib.contextmanager
def _default_signal_handlers() -> Iterator[None]:
    """Lets signals end this process at once while the block runs."""
    previous = {number: signal.signal(number, signal.SIG_DFL) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _need_no_proxy(host: str) -> None:
    """Adds a host to those that gRPC reaches without a proxy."""
    others = next((os.environ[name] for name in _NO_PROXY if os.environ.get(name)), "")
    os.environ[_NO_PROXY[0]] = ",".join([*filter(None, [others]), host])


def _require_equal_counts(member: Membership) -> None:
    """Refuses unequal numbers of processes: JAX would run with that of process 0."""
    counts = all_processes(np.array([member.count])).tolist()
    if len(set(counts)) > 1:
        raise InputError(f"--process_count is {', '.join(map(str, counts))} at the processes; give all the same")


def _require_equal_hosts() -> None:
    """Refuses unequal numbers of devices: the mean over devices would weigh the processes' mixtures unequally."""
    devices = all_processes(np.array([jax.local_device_count()])).tolist()
    if len(set(devices)) > 1:
        raise InputError(
            f"the processes have {', '.join(map(str, devices))} devices; give each as many (CUDA_VISIBLE_DEVICES)"
        )


def _leave(error: BaseException, member: Membership) -> NoReturn:
    """Ends this process with the error's message, without waiting for the others."""
    message, status = command.explain(error) or ("".join(traceback.format_exception(error)), 1)
    with _default_signal_handlers():
        if _is_failed_collective(error):
            logging.warning("a collective failed; waiting up to %d s for JAX to report a lost process", _REPORT_SECONDS)
            time.sleep(_REPORT_SECONDS)
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.write(message)
            sys.stderr.flush()
        if member.index == 0:
            time.sleep(_SAME_ERROR_SECONDS)
    os._exit(status)


def _is_failed_collective(error: BaseException) -> bool:
    """Returns whether a lost process may be the cause; JAX raises ValueError when Gloo (CPU) fails."""
    return isinstance(error, jax.errors.JaxRuntimeError) or (type(error) is ValueError and "Gloo" in str(error))
