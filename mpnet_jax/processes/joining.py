"""Makes this process one of several that train as one, and ends it when another one ends."""

import contextlib
import os
import time
import traceback
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from absl import logging

from data_pipeline import command
from data_pipeline.command import InputError
from mpnet_jax.parallel import all_processes
from mpnet_jax.processes import monitor
from mpnet_jax.processes.membership import Membership
from mpnet_jax.processes.sockets import free_port

# A failure here may be the first sign that another process is gone; so long it waits for the line to tell.
_TELLING_SECONDS = 5.0
_HEARTBEAT_SECONDS = 600  # JAX's own watch, behind the lifeline's, must not be quicker where a machine is overloaded
_SHUTDOWN_SECONDS = 1800  # the first process may still be writing a checkpoint
# The first of these that is set says where gRPC, by which JAX's processes talk, goes without a proxy.
_NO_PROXY = ("no_grpc_proxy", "no_proxy", "NO_PROXY")


@contextlib.contextmanager
def joined(member: Membership) -> Iterator[None]:
    """Makes this process one of several for as long as the block runs; JAX must not have been used before.

    The end of any of them ends all others at once (see `lifeline`): this one, too, leaves after an error without
    waiting for the others, whose collectives would wait for it.

    Args:
        member: this process; one that is alone changes nothing.
    """
    if member.count == 1:
        yield
        return
    ends: list[monitor.Gate | monitor.Member] = []
    try:
        # JAX's own, which catches SIGTERM; this project's `StopRequest` does.
        jax.config.update("jax_enable_preemption_service", False)
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        if member.coordinator:
            _join(member, ends)
        else:
            _join_found(member)
        _require_equal_hosts()
        if jax.process_index():
            logging.set_verbosity(logging.WARNING)  # only one tells how it goes
        yield
        jax.distributed.shutdown()
        for end in ends:
            end.close()
    except monitor.UnmetError as error:
        monitor.leave(f"error: {error}\n", monitor.EXIT_LOST)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - Python's own way out would wait for the others
        explained = command.explain(error)
        if explained is None:
            time.sleep(_TELLING_SECONDS)
            explained = (traceback.format_exc(), 1)
        sentence, status = explained
        for end in ends:
            end.fail(status)
        monitor.leave(sentence, status)


def _join(member: Membership, ends: list[monitor.Gate | monitor.Member]) -> None:
    """Meets the others; this process's end of the lines between them is added to `ends` before it waits for them."""
    own: dict[str, Any]
    # JAX begins when all are there: it would not wait for the late as long as told, nor listen to a signal meanwhile.
    if member.index == 0:
        port = free_port()
        gate = monitor.Gate(member, port_behind=port)
        ends.append(gate)
        gate.wait_for_all(member.meeting_seconds)
        own = {"coordinator_address": f"127.0.0.1:{port}", "coordinator_bind_address": f"127.0.0.1:{port}"}
    else:
        line = monitor.Member(member, seconds=member.meeting_seconds)
        ends.append(line)
        line.wait_for_all()
        own = {"coordinator_address": f"127.0.0.1:{line.relay_port}"}
    _need_no_proxy("127.0.0.1")
    jax.distributed.initialize(
        num_processes=member.count,
        process_id=member.index,
        cluster_detection_method="deactivate",
        heartbeat_timeout_seconds=_HEARTBEAT_SECONDS,
        shutdown_timeout_seconds=_SHUTDOWN_SECONDS,
        **own,
    )


def _join_found(member: Membership) -> None:
    """Meets the others in a cluster that JAX finds by itself."""
    try:
        jax.distributed.initialize(initialization_timeout=round(member.meeting_seconds))
    except ValueError as error:
        raise InputError(
            f"--distributed: JAX finds no cluster here ({error}); give --coordinator=HOST:PORT, --process_index "
            "and --process_count"
        ) from None


def _need_no_proxy(host: str) -> None:
    """Adds a host to those that gRPC reaches without the proxy that the environment names for everything."""
    others = next((os.environ[name] for name in _NO_PROXY if os.environ.get(name)), "")
    os.environ[_NO_PROXY[0]] = ",".join([*filter(None, [others]), host])


def _require_equal_hosts() -> None:
    """Refuses processes with unlike numbers of devices: the mean over devices would weigh their mixtures unequally."""
    devices = all_processes(np.array([jax.local_device_count()])).tolist()
    if len(set(devices)) > 1:
        raise InputError(
            f"the processes have {', '.join(map(str, devices))} devices; give each as many (CUDA_VISIBLE_DEVICES)"
        )
