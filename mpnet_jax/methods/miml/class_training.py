"""Trains MIML's class network on the frames of the training clips, once for each run, into a file of its workdir."""

import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import logging

from data_pipeline.atomic import atomic_file
from data_pipeline.command import InputError
from mpnet_jax import parallel
from mpnet_jax.run.meter import Meter
from mpnet_jax.steps.device_pass import HostBatch
from mpnet_jax.steps.train_state import TrainState

FILE = "classes/class_net.npz"  # file in the workdir
_SAVE_EVERY, _LOG_EVERY = 200, 20  # steps


def load_or_train(
    path: Path,
    state: TrainState,
    step: Callable[..., Any],
    batches: Callable[..., Iterator[HostBatch]],
    *,
    steps: int,
    batch_size: int,
) -> None:
    """Trains the network in a file up to a number of steps.

    Args:
        path: File of the network; training resumes from it if it exists.
        state: A new state, on the host.
        step: Training step of `steps.make_class_step`.
        batches: Function of `first_step` and `batch_size` to batches of training mixtures from that number on.
        steps: Number of training steps.
        batch_size: Mixtures in a step.

    Raises:
        InputError: The file cannot be read.
    """
    if path.is_file():
        state = _read(path, state)
    first = int(state.step)
    if first >= steps:
        return
    logging.info("training the class network on the frames of the training clips, once for this run")
    on_devices, run = parallel.replicate(state), parallel.parallel_step(step)
    meter = Meter(steps=steps, batch_size=batch_size, first_step=first, seconds_before=0.0)
    stream = batches(first_step=first, batch_size=batch_size)
    for number in range(first + 1, steps + 1):
        waiting_since = time.monotonic()
        batch = next(stream)
        meter.waited += time.monotonic() - waiting_since
        inputs = {name: batch[name] for name in ("frames", "features", "source_label") if name in batch}
        on_devices, metrics = run(on_devices, parallel.shard(inputs))
        if number % _LOG_EVERY == 0 or number == steps:
            meter.report(number, float(parallel.unreplicate(metrics)["loss"]))
        if number % _SAVE_EVERY == 0 or number == steps:
            _write(path, parallel.unreplicate(on_devices))
            right = 100 * float(parallel.unreplicate(metrics)["right"])
            logging.info("saved the class network of step %d: accuracy %.0f %% on the last batch", number, right)


def load(path: Path, state: TrainState, *, steps: int) -> dict[str, Any]:
    """Loads the variables of a trained network.

    Raises:
        InputError: The file is missing, cannot be read, or holds a network whose training did not end.
    """
    remedy = "train with the same command, and it is made"
    if not path.is_file():
        raise InputError(f"{path} is gone; {remedy} again")
    state = _read(path, state)
    if int(state.step) < steps:
        raise InputError(f"{path} holds step {int(state.step)} of {steps}; {remedy}")
    return state.variables


def _write(path: Path, state: TrainState) -> None:
    leaves = {jax.tree_util.keystr(key): leaf for key, leaf in jax.tree_util.tree_leaves_with_path(state)}
    with atomic_file(path) as draft, draft.open("wb") as file:
        np.savez(file, **leaves)


def _read(path: Path, state: TrainState) -> TrainState:
    def leaf(key: Any, wanted: Any) -> np.ndarray:
        array = arrays[jax.tree_util.keystr(key)]
        if array.shape != np.shape(wanted):
            raise ValueError(f"{jax.tree_util.keystr(key)} has shape {array.shape}, not {np.shape(wanted)}")
        return array

    try:
        with np.load(path, allow_pickle=False) as arrays:
            return jax.tree_util.tree_map_with_path(leaf, state)
    except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path} holds no class network of this run ({error}); delete it and train with the same command"
        ) from None
