"""The only file that knows `pmap`: the same code runs on one device, on many devices and on many hosts."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import flax.jax_utils
import jax
import numpy as np
from jax.experimental import multihost_utils

from data_pipeline.command import InputError

DEVICE_AXIS = "device"

Tree = TypeVar("Tree")


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


def keep_compiled_programs() -> None:
    """Keeps compiled programs in $MPNET_JAX_CACHE, or else in the user's cache folder.

    Of several processes the first alone writes. One that finds a program there does not compile it with the others, who
    wait for it; so several keep none but where $MPNET_JAX_CACHE names a folder that all of them share.
    """
    folder = os.environ.get("MPNET_JAX_CACHE")
    if not folder:
        if jax.process_count() > 1:
            return
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        folder = str(Path(home) / "mpnet_jax" / "compiled")
    jax.config.update("jax_compilation_cache_dir", folder)
