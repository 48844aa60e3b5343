"""What a training step computes, moves and stores, and what follows for accelerators: `python -m benchmarks.scaling`.

XLA compiles the step for this machine as an accelerator would be given it (plain convolutions, no form chosen for a
CPU; the recursion written out, because a loop's body would be counted once) and says how many operations it has, how
many bytes they touch and how much memory it plans. From two sizes of batch follows what a mixture adds. Everything for
accelerators is arithmetic with their makers' figures (`benchmarks/harness/devices.py`): nothing here has run on one.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import jax
import numpy as np
from absl import flags, logging

from benchmarks.harness import devices, record
from benchmarks.harness.devices import DEVICES, MEMORIES_GB, Step
from benchmarks.harness.sizes import synthetic_batch
from configs import base
from data_pipeline import command
from data_pipeline.command import InputError
from mpnet_jax import parallel
from mpnet_jax.config.specs import Config
from mpnet_jax.methods.registry import method_of

COUNTS = (8, 64, 512)
SHARES = (1, 10)  # mixtures a device beside the most that fit: the least, and the paper's batch of 80 on 8 devices
_TYPE_BYTES = {"f32": 4, "f16": 2, "bf16": 2, "s32": 4, "u32": 4, "pred": 1}
WHAT = (
    "counted: by XLA for the program compiled on this machine; per_mixture and fixed: from the two batches; everything "
    "under 'computed' is arithmetic, no accelerator ran anything"
)


class Counted(NamedTuple):
    """XLA's account of one compiled step on one device.

    Attributes:
        batch: mixtures.
        flops: operations.
        moved_bytes: read and written by all operations, after fusion.
        stored_bytes: arguments, results that do not reuse them, temporary buffers.
        reduced_bytes: averaged over the devices.
        reductions: all-reduces in the program.
    """

    batch: int
    flops: float
    moved_bytes: float
    stored_bytes: int
    reduced_bytes: int
    reductions: int


def main() -> None:
    """The command."""
    path = record.check_file(flags.FLAGS.json)
    if flags.FLAGS.counted:
        _compute_again(Path(flags.FLAGS.counted), path)
        return
    batches = [int(word) for word in flags.FLAGS.batches]
    if len(batches) != 2 or not 0 < batches[0] < batches[1]:
        raise InputError(f"--batches={','.join(flags.FLAGS.batches)} must be two rising sizes of batch, such as 1,4")
    if jax.default_backend() != "cpu" or jax.device_count() < 2:
        raise InputError(
            "the step is compiled for two devices of a CPU, so that its all-reduces are there; start with "
            "JAX_PLATFORMS=cpu XLA_FLAGS=--xla_force_host_platform_device_count=2"
        )
    results: dict[str, Any] = {"what": WHAT, "loader_rate": flags.FLAGS.loader_rate, "rounds": {}}
    for name in flags.FLAGS.rounds:
        counted = [count(round_config(name, batch)) for batch in batches]
        results["rounds"][name] = of_round(counted, loader_rate=flags.FLAGS.loader_rate)
        record.write(path, results)
        logging.info("round %s: a mixture adds %s", name, results["rounds"][name]["per_mixture"])
    logging.info("numbers: %s", path)


def _compute_again(earlier: Path, path: Path) -> None:
    """Does the arithmetic on what an earlier run has counted."""
    try:
        before = json.loads(earlier.read_text())
        counted = {name: [Counted(**each) for each in found["counted"]] for name, found in before["rounds"].items()}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"--counted={earlier} is no result of this command ({error}); leave it out to count") from None
    rate = flags.FLAGS.loader_rate
    rounds = {name: of_round(each, loader_rate=rate) for name, each in counted.items()}
    record.write(path, {"what": WHAT, "counted_by": before["facts"], "loader_rate": rate, "rounds": rounds})
    logging.info("numbers: %s", path)


def round_config(name: str, batch: int) -> Config:
    """The paper's sizes in one round, with a batch a device.

    Raises:
        InputError: an unknown round.
    """
    config: Any = base.get_config()
    if name not in config.rounds:
        raise InputError(f"--rounds: {name!r} is unknown; use {', '.join(config.rounds)}")
    config.start_from = "elsewhere"  # else a P-Net must follow an M-Net
    for each in config.rounds:
        config.rounds[each] = int(each == name)
    config.recursion.unroll = "yes"
    config.batch_size = batch
    return config


def count(config: Config) -> Counted:
    """Compiles the step of a config's one round for every device here and asks XLA about one device's share."""
    method = method_of(config)
    (only,) = method.rounds
    with mock.patch("jax.default_backend", return_value="an accelerator"):
        state = jax.eval_shape(lambda: method.state_at(0))
        batch = {name: jax.ShapeDtypeStruct(x.shape, x.dtype) for name, x in synthetic_batch(config).items()}
        everywhere = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct((jax.device_count(), *x.shape), x.dtype), (state, batch)
        )
        step: Any = parallel.parallel_step(method.train_step(only))
        compiled = step.lower(*everywhere).compile()
    cost, memory = compiled.cost_analysis(), compiled.memory_analysis()
    stored = memory.argument_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes
    reduced = all_reduced_bytes(compiled.as_text())
    return Counted(
        batch=config.batch_size,
        flops=cost["flops"],
        moved_bytes=cost["bytes accessed"],
        stored_bytes=stored + memory.temp_size_in_bytes,
        reduced_bytes=sum(reduced),
        reductions=len(reduced),
    )


def all_reduced_bytes(program: str) -> list[int]:
    """Bytes of each all-reduce in the text of a compiled program."""
    found = re.findall(r"= (.*?) all-reduce(?:-start)?\(", program)
    return [sum(_bytes(kind, shape) for kind, shape in re.findall(r"(\w+)\[([\d,]*)\]", types)) for types in found]


def _bytes(kind: str, shape: str) -> int:
    return _TYPE_BYTES[kind] * int(np.prod([int(side) for side in shape.split(",") if side], dtype=np.int64))


def of_round(counted: Sequence[Counted], *, loader_rate: float) -> dict[str, Any]:
    """What two compiled batches say of a mixture, and of accelerators.

    Args:
        counted: of two sizes of batch.
        loader_rate: mixtures a second that one core of a host makes.
    """
    small, large = counted
    fields = ("flops", "moved_bytes", "stored_bytes")
    more = large.batch - small.batch
    per_mixture = {field: (getattr(large, field) - getattr(small, field)) / more for field in fields}
    fixed = {field: getattr(small, field) - small.batch * per_mixture[field] for field in fields}

    def fitting(memory_gb: float) -> int:
        return devices.largest_batch(fixed["stored_bytes"], per_mixture["stored_bytes"], memory_gb)

    def step(mixtures: int) -> Step:
        flops, moved = (fixed[field] + mixtures * per_mixture[field] for field in fields[:2])
        return Step(mixtures, flops, moved, small.reduced_bytes, small.reductions)

    return {
        "counted": [each._asdict() for each in counted],
        "per_mixture": per_mixture,
        "fixed": fixed,
        "largest_batch": {f"{gigabytes} GB": fitting(gigabytes) for gigabytes in MEMORIES_GB},
        "computed": {
            device.name: [
                on_device(step(mixtures), device, loader_rate=loader_rate)
                for mixtures in (*SHARES, fitting(device.memory_gb))
            ]
            for device in DEVICES
        },
    }


def on_device(step: Step, device: devices.Device, *, loader_rate: float) -> dict[str, Any]:
    """What a step takes on one of many accelerators, by arithmetic."""
    operations, traffic = devices.seconds_alone(step, device)
    share = devices.ASSUMED_SHARE_OF_PEAK
    rate = step.mixtures * share / max(operations, traffic)
    return {
        "mixtures": step.mixtures,
        "operations_ms": 1e3 * operations,
        "operations_bfloat16_ms": 1e3 * step.flops / device.bfloat16_flops,
        "traffic_ms": 1e3 * traffic,
        "mixtures_per_second": rate,
        "loader_cores": rate / loader_rate,
        "reducing_ms": {str(n): 1e3 * devices.seconds_reducing(step, device, n) for n in COUNTS},
        "efficiency_at_peak": {str(n): devices.efficiency(step, device, n, share_of_peak=1.0) for n in COUNTS},
        "efficiency": {str(n): devices.efficiency(step, device, n, share_of_peak=share) for n in COUNTS},
    }


if __name__ == "__main__":
    flags.DEFINE_string("json", None, "File of the results.")
    flags.DEFINE_list("rounds", ["minus", "both"], "Rounds of training.")
    flags.DEFINE_float("loader_rate", 83.0, "Mixtures a second that a core makes, here of docs/BENCHMARKS.md.")
    flags.DEFINE_string("counted", None, "An earlier result, whose counts are used instead of compiling again.")
    flags.DEFINE_list("batches", ["1", "4"], "Two sizes of batch a device.")
    command.run(main)
