"""Counts what a training step computes, moves and stores, and estimates accelerators: `python -m benchmarks.scaling`.

Compiles the step on this machine in the form for an accelerator: plain convolutions instead of those chosen for a CPU,
and an unrolled recursion, because XLA counts a loop's body once. XLA then reports operations, bytes accessed and
planned memory. Two batch sizes give the cost per mixture. All figures for accelerators are computed from their vendors'
data (`benchmarks/harness/devices.py`); nothing here has run on one.
"""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple
from unittest import mock

import jax
import numpy as np
from absl import flags, logging

from benchmarks.harness import devices, record
from benchmarks.harness.devices import DEVICES, MEMORIES_GB, Step
from benchmarks.harness.sizes import synthetic_batch
from data_pipeline import command
from data_pipeline.command import InputError
from mpnet_jax import parallel
from mpnet_jax.config.specs import Config
from mpnet_jax.configs import base
from mpnet_jax.methods.mpnet import MinusPlus
from mpnet_jax.methods.registry import method_of

COUNTS = (8, 64, 512)
BATCHES = (1, 4)  # per device
SHARES = (1, 10)  # mixtures per device, besides the most that fit; 10 is the paper's batch of 80 on 8 devices
_TYPE_BYTES = {"f32": 4, "f16": 2, "bf16": 2, "s32": 4, "u32": 4, "pred": 1}
WHAT = (
    "counted: by XLA for the program compiled on this machine; per_mixture and fixed: from the two batches; figures "
    "under 'computed' are arithmetic, nothing ran on an accelerator"
)


class Counted(NamedTuple):
    """XLA's figures for one compiled step on one device.

    Attributes:
        batch: Mixtures per device.
        flops: Floating-point operations.
        moved_bytes: Bytes that all operations read and write, after fusion.
        stored_bytes: Bytes of arguments, outputs that do not alias them, and temporaries.
        reduced_bytes: Bytes averaged over the devices.
        reductions: Number of all-reduces.
    """

    batch: int
    flops: float
    moved_bytes: float
    stored_bytes: int
    reduced_bytes: int
    reductions: int


def main() -> None:
    """Runs the benchmark."""
    path = record.check_file(flags.FLAGS.json)
    if jax.default_backend() != "cpu" or jax.device_count() < 2:
        raise InputError(
            "the step is compiled for two CPU devices, so that it contains all-reduces; start with "
            "JAX_PLATFORMS=cpu XLA_FLAGS=--xla_force_host_platform_device_count=2"
        )
    results: dict[str, Any] = {"what": WHAT, "loader_rate": flags.FLAGS.loader_rate, "rounds": {}}
    for name in flags.FLAGS.rounds:
        counted = [count(round_config(name, batch)) for batch in BATCHES]
        results["rounds"][name] = of_round(counted, loader_rate=flags.FLAGS.loader_rate)
        record.write(path, results)
        logging.info("round %s: a mixture adds %s", name, results["rounds"][name]["per_mixture"])
    logging.info("numbers: %s", path)


def round_config(name: str, batch: int) -> Config:
    """Returns the paper's config for one round, with a batch size per device.

    Raises:
        InputError: The round is unknown.
    """
    config: Any = base.get_config()
    if name not in MinusPlus.kinds:
        raise InputError(f"--rounds: {name!r} is unknown; use {', '.join(MinusPlus.kinds)}")
    config.start_from = "elsewhere"  # otherwise a round with the Plus-Net would need an earlier one
    for each in MinusPlus.kinds:
        config.rounds[each] = int(each == name)
    config.recursion.unroll = "yes"
    config.batch_size = batch
    return config


def count(config: Config) -> Counted:
    """Compiles the step of a config's only round for all devices here; returns XLA's figures for one of them."""
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
    """Returns the bytes of each all-reduce in the text of a compiled program."""
    found = re.findall(r"= (.*?) all-reduce(?:-start)?\(", program)
    return [sum(_bytes(kind, shape) for kind, shape in re.findall(r"(\w+)\[([\d,]*)\]", types)) for types in found]


def _bytes(kind: str, shape: str) -> int:
    return _TYPE_BYTES[kind] * int(np.prod([int(side) for side in shape.split(",") if side], dtype=np.int64))


def of_round(counted: Sequence[Counted], *, loader_rate: float) -> dict[str, Any]:
    """Computes the cost per mixture and the estimates for accelerators.

    Args:
        counted: Figures for two batch sizes.
        loader_rate: Mixtures per second that the loader makes on one host core.
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
    """Estimates a step on one accelerator and its efficiency on many."""
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
    command.define_path("json", None, "JSON file for the results.")
    flags.DEFINE_list("rounds", ["minus", "both"], "Rounds of training.")
    flags.DEFINE_float("loader_rate", 99.0, "Mixtures per second that the loader makes on one host core.")
    command.run(main)
