"""Runs the same code on one device, many devices or many hosts. No other module uses `pmap`.

JAX maintains `pmap` but recommends `jax.shard_map`. Only this module would change, because steps know nothing but the
name of the axis: `parallel_step` and `parallel_map` become `jax.jit(jax.shard_map(...))` over a mesh with that axis,
`replicate` and `shard` place arrays on the mesh by `NamedSharding` instead of adding an axis of devices, and
`unreplicate` and `gather` remove none. `tests/steps/test_train_step.py` shows that both give the same step.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import flax.jax_utils
import jax
import numpy as np
from jax.experimental import multihost_utils

from data_pipeline.command import InputError

DEVICE_AXIS = "device"

Tree = TypeVar("Tree")


def is_first() -> bool:
    """Returns whether this is process 0, the only one that writes files."""
    return jax.process_index() == 0


def process_place() -> tuple[int, int]:
    """Returns the index of this process and the number of processes."""
    return jax.process_index(), jax.process_count()


def wait_for_first() -> None:
    """Waits until all processes have reached this call; what process 0 did before it is then done."""
    multihost_utils.sync_global_devices("first")


def of_first(tree: Tree) -> Tree:
    """Broadcasts the arrays of process 0; all processes must call it with trees of equal shapes."""
    return tree if jax.process_count() == 1 else multihost_utils.broadcast_one_to_all(tree)


def same_as_first(text: str) -> bool:
    """Returns whether a text equals that of process 0; its length must be the same in all processes."""
    own = np.frombuffer(text.encode(), np.uint8)
    return bool(np.array_equal(own, of_first(own)))


def all_processes(array: np.ndarray) -> np.ndarray:
    """Concatenates the arrays of all processes in the order of their indices; their shapes must be equal."""
    return np.asarray(multihost_utils.process_allgather(array, tiled=True))


class LargestOfAll:
    """Maximum of a number over all processes, returned one call late so that no device waits for the host.

    All processes must call it equally often.
    """

    def __init__(self) -> None:
        self._pending: jax.Array | None = None
        self._largest = jax.pmap(lambda x: jax.lax.pmax(x, DEVICE_AXIS), axis_name=DEVICE_AXIS)

    def __call__(self, number: int) -> int:
        """Starts the maximum of the given numbers; returns the maximum of the previous call's (0 in the first call)."""
        if jax.process_count() == 1:
            return number
        before, self._pending = self._pending, self._largest(np.full(jax.local_device_count(), number, np.int32))
        return 0 if before is None else int(unreplicate(before))


def check_batch(batch_size: int, *, field: str) -> None:
    """Checks that a batch divides evenly among the devices.

    Args:
        batch_size: Mixtures a step, over all devices of all processes.
        field: The config field that sets it.

    Raises:
        InputError: It does not; the message gives the nearest size that does.
    """
    devices = jax.device_count()
    if batch_size % devices:
        raise InputError(
            f"config.{field}={batch_size} must divide by {devices} devices; "
            f"try {batch_size - batch_size % devices or devices}"
        )


def replicate(tree: Tree) -> Tree:
    """Copies a tree to every local device."""
    # The mesh axis name is part of an array's sharding. With another name, the second step would compile again.
    return flax.jax_utils.replicate(tree, axis_name=DEVICE_AXIS)


def unreplicate(tree: Tree) -> Tree:
    """Returns the first device's copy of a replicated tree as NumPy arrays."""
    # Indexing the array itself would gather it across devices.
    return jax.tree.map(lambda x: np.asarray(x.addressable_shards[0].data)[0], tree)


def shard(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Splits a process's batch among its devices: (batch, ...) to (device, batch / device, ...)."""
    devices = jax.local_device_count()
    return {name: x.reshape(devices, -1, *x.shape[1:]) for name, x in batch.items()}


def gather(tree: Tree) -> Tree:
    """Merges the device axis into the batch: (device, batch / device, ...) to NumPy arrays (batch, ...)."""
    return jax.tree.map(lambda x: np.asarray(x).reshape(-1, *x.shape[2:]), tree)


def parallel_step(step: Callable[..., Any]) -> Callable[..., Any]:
    """Maps `step(state, batch) -> (state, metrics)` over all devices; the state is donated, so its memory is reused."""
    return jax.pmap(step, axis_name=DEVICE_AXIS, donate_argnums=(0,))


def parallel_map(function: Callable[..., Any]) -> Callable[..., Any]:
    """Maps `function(variables, batch)` over all devices, without donating anything."""
    return jax.pmap(function, axis_name=DEVICE_AXIS)


def local_map(function: Callable[..., Any]) -> Callable[..., Any]:
    """Maps `function(variables, batch)` over the devices of this process; other processes need not call it."""
    return jax.pmap(function, axis_name=DEVICE_AXIS, devices=jax.local_devices())


def mean_over_devices(tree: Tree) -> Tree:
    """Averages over the devices; only valid inside `parallel_step` or `parallel_map`."""
    return jax.lax.pmean(tree, DEVICE_AXIS)
