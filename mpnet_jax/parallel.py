"""The only file that knows `pmap` and `jax.distributed`: the same code runs on one device, on many, on many hosts."""

import contextlib
import os
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import flax.jax_utils
import jax
import numpy as np
from absl import logging
from jax.experimental import multihost_utils

from data_pipeline import command
from data_pipeline.command import InputError
from mpnet_jax import lifeline
from mpnet_jax.processes import Membership
from mpnet_jax.sockets import free_port

DEVICE_AXIS = "device"
# A failure here may be the first sign that another process is gone; so long it waits for the line to tell.
_TELLING_SECONDS = 5.0
_HEARTBEAT_SECONDS = 600  # JAX's own watch, behind the lifeline's, must not be quicker where a machine is overloaded
_SHUTDOWN_SECONDS = 1800  # the first process may still be writing a checkpoint
# The first of these that is set says where gRPC, by which JAX's processes talk, goes without a proxy.
_NO_PROXY = ("no_grpc_proxy", "no_proxy", "NO_PROXY")

Tree = TypeVar("Tree")


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
    ends: list[lifeline.Gate | lifeline.Member] = []
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
    except lifeline.UnmetError as error:
        lifeline.leave(f"error: {error}\n", lifeline.EXIT_LOST)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - Python's own way out would wait for the others
        explained = command.explain(error)
        if explained is None:
            time.sleep(_TELLING_SECONDS)
            explained = (traceback.format_exc(), 1)
        sentence, status = explained
        for end in ends:
            end.fail(status)
        lifeline.leave(sentence, status)


def _join(member: Membership, ends: list[lifeline.Gate | lifeline.Member]) -> None:
    """Meets the others; this process's end of the lines between them is added to `ends` before it waits for them."""
    own: dict[str, Any]
    # JAX begins when all are there: it would not wait for the late as long as told, nor listen to a signal meanwhile.
    if member.index == 0:
        port = free_port()
        gate = lifeline.Gate(member, port_behind=port)
        ends.append(gate)
        gate.wait_for_all(member.meeting_seconds)
        own = {"coordinator_address": f"127.0.0.1:{port}", "coordinator_bind_address": f"127.0.0.1:{port}"}
    else:
        line = lifeline.Member(member, seconds=member.meeting_seconds)
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


def is_first() -> bool:
    """Whether this process is the one that writes."""
    return jax.process_index() == 0


def process_place() -> tuple[int, int]:
    """Index of this process, and their number."""
    return jax.process_index(), jax.process_count()


def wait_for_first() -> None:
    """Returns when all processes have come here: what the first did before is done."""
    multihost_utils.sync_global_devices("first")


def of_first(tree: Tree) -> Tree:
    """The first process's arrays, in every process; all must call it with trees of the same shapes."""
    return tree if jax.process_count() == 1 else multihost_utils.broadcast_one_to_all(tree)


def same_as_first(text: str) -> bool:
    """Whether a text, of one length everywhere, is the first process's."""
    own = np.frombuffer(text.encode(), np.uint8)
    return bool(np.array_equal(own, of_first(own)))


def all_processes(array: np.ndarray) -> np.ndarray:
    """The arrays of all processes, one after the other; all must be of one shape."""
    return np.asarray(multihost_utils.process_allgather(array, tiled=True))


class LargestOfAll:
    """The largest of a number over all processes, told one call late: no device waits for the host meanwhile.

    All processes must call it equally often.
    """

    def __init__(self) -> None:
        self._pending: jax.Array | None = None
        self._largest = jax.pmap(lambda x: jax.lax.pmax(x, DEVICE_AXIS), axis_name=DEVICE_AXIS)

    def __call__(self, number: int) -> int:
        """Takes this process's number of now, and returns the largest of those of the call before."""
        if jax.process_count() == 1:
            return number
        before, self._pending = self._pending, self._largest(np.full(jax.local_device_count(), number, np.int32))
        return 0 if before is None else int(unreplicate(before))


def check_batch(batch_size: int, *, field: str) -> None:
    """Refuses a batch that does not divide by the devices.

    Args:
        batch_size: over all devices of all processes.
        field: the config field that sets it.

    Raises:
        InputError: the nearest size that divides.
    """
    devices = jax.device_count()
    if batch_size % devices:
        raise InputError(
            f"config.{field}={batch_size} must divide by {devices} devices; "
            f"try {batch_size - batch_size % devices or devices}"
        )


def replicate(tree: Tree) -> Tree:
    """A copy of a tree on every local device."""
    # The name of the mesh axis is part of an array's sharding: with another name, the second step compiles again.
    return flax.jax_utils.replicate(tree, axis_name=DEVICE_AXIS)


def unreplicate(tree: Tree) -> Tree:
    """The first device's copy of a replicated tree, as NumPy arrays."""
    # Indexing a replicated array would gather it across devices; its first shard is on the host's side already.
    return jax.tree.map(lambda x: np.asarray(x.addressable_shards[0].data)[0], tree)


def shard(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Splits a process's batch over its devices: (batch, ...) to (device, batch / device, ...)."""
    devices = jax.local_device_count()
    return {name: x.reshape(devices, -1, *x.shape[1:]) for name, x in batch.items()}


def gather(tree: Tree) -> Tree:
    """Undoes `shard` on a result: (device, batch / device, ...) to NumPy arrays (batch, ...)."""
    return jax.tree.map(lambda x: np.asarray(x).reshape(-1, *x.shape[2:]), tree)


def parallel_step(step: Callable[..., Any]) -> Callable[..., Any]:
    """Runs `step(state, batch) -> (state, metrics)` on all devices; the state is donated, so its memory is reused."""
    return jax.pmap(step, axis_name=DEVICE_AXIS, donate_argnums=(0,))


def parallel_map(function: Callable[..., Any]) -> Callable[..., Any]:
    """Runs `function(variables, batch)` on all devices, without donating anything."""
    return jax.pmap(function, axis_name=DEVICE_AXIS)


def mean_over_devices(tree: Tree) -> Tree:
    """Mean over the devices; only inside `parallel_step` or `parallel_map`."""
    return jax.lax.pmean(tree, DEVICE_AXIS)
