"""The only file that knows `pmap`: the same code runs on one device and on many."""

from collections.abc import Callable
from typing import Any, TypeVar

import flax.jax_utils
import jax
import numpy as np

from data_pipeline.command import InputError

DEVICE_AXIS = "device"

Tree = TypeVar("Tree")


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
