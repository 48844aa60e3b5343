"""Measures the memory of the search over pixel candidates: `python -m benchmarks.pixel_memory --json=FILE`.

The result is how much more memory the recursion with pixel candidates needs than one pass of the U-Net, for one sample
of the paper's sizes (256 x 256 spectrogram, 16 feature maps, Minus-Net of depth 7 and 64 filters). `compiled` is the
compiler's figure (temporaries and outputs), `resident` the growth of a process that runs it. A compiler may keep the
masks in memory or fuse them into the sum over them; `masks_kept` is the memory when they are kept.
"""

import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from absl import flags, logging

from benchmarks.harness import record
from benchmarks.harness.recursion import mixture_shape, recursion, variable_shapes
from data_pipeline import command
from mpnet_jax.config.specs import Config
from mpnet_jax.configs import base
from mpnet_jax.methods.registry import method_of
from mpnet_jax.recursion.candidates import mean_magnitude
from mpnet_jax.recursion.places import CHUNK_BYTES, places
from mpnet_jax.recursion.rules import Rules

SIDES = (14, 28)  # sides of the map of candidates
STEPS = 6


class Program(NamedTuple):
    """A function with the shapes of its arguments."""

    function: Callable[..., Any]
    shapes: Any


def network(config: Config, batch_size: int = 1) -> Program:
    """Returns one pass of the Minus-Net, from mixtures to feature maps."""
    model = method_of(config).model()
    of_steps = variable_shapes(config)
    one_set = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), of_steps["batch_stats"]["minus_net"])
    variables = {"params": {"minus_net": of_steps["params"]["minus_net"]}, "batch_stats": {"minus_net": one_set}}
    mixture = jax.ShapeDtypeStruct(mixture_shape(config, batch_size), jnp.float32)
    return Program(lambda variables, mixture: model.apply(variables, mixture, method="listen"), (variables, mixture))


def search(
    config: Config,
    side: int,
    *,
    batch_size: int = 1,
    chunk_bytes: int | None = CHUNK_BYTES,
    steps: int = STEPS,
    masks_kept: bool = False,
) -> Program:
    """Returns the Minus-Net's recursion over pixel candidates.

    Args:
        config: Sizes of the networks and the spectrogram.
        side: Side of the map of candidates.
        batch_size: Number of videos.
        chunk_bytes: See `Candidates`.
        steps: Steps of the recursion.
        masks_kept: Compute the mean as a matrix product, which needs the masks in memory.
    """

    def mean_by_product(masks: jax.Array, remaining: jax.Array) -> jax.Array:
        return jnp.einsum("bcft,bft->bc", masks, remaining) / remaining[0].size

    rules = Rules(energy=mean_by_product if masks_kept else mean_magnitude, epsilon_relative=0.01)
    run = recursion(config, steps=steps, rules=rules, with_plus=False, skip_finished=True)
    variables = {kind: {"minus_net": tree["minus_net"]} for kind, tree in variable_shapes(config).items()}
    mixture = jax.ShapeDtypeStruct(mixture_shape(config, batch_size), jnp.float32)
    vectors = jax.ShapeDtypeStruct((batch_size, side, side, config.model.visual_channels), jnp.float32)

    def function(variables: Any, mixture: jax.Array, vectors: jax.Array) -> Any:
        return run(variables, mixture, places(vectors, config.recursion.neighbourhood, chunk_bytes))

    return Program(function, (variables, mixture, vectors))


def compiled_bytes(program: Program) -> int:
    """Returns the bytes of temporaries and outputs that the compiler plans."""
    memory = jax.jit(program.function).lower(*program.shapes).compile().memory_analysis()
    assert memory is not None
    return memory.temp_size_in_bytes + memory.output_size_in_bytes


def resident_bytes(side: int | None) -> int:
    """Returns how much this process's peak resident memory grows in the search, or in one network pass (Linux)."""
    program = network(base.get_config()) if side is None else search(base.get_config(), side)
    arguments = jax.tree.map(lambda x: jnp.full(x.shape, 0.01, x.dtype), program.shapes)
    compiled = jax.jit(program.function).lower(*arguments).compile()
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # resets the peak
    before = _status_bytes("VmHWM")
    kept = jax.block_until_ready(compiled(*arguments))
    after = _status_bytes("VmHWM")
    del kept
    return after - before


def _status_bytes(field: str) -> int:
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines())
    return 1024 * int(lines[field].split()[0])


def _resident_bytes_alone(side: int | None) -> int:
    """Returns `resident_bytes` of a new process, which maps each large buffer and unmaps it after use."""
    os.environ["MALLOC_MMAP_THRESHOLD_"] = str(64 * 1024)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(resident_bytes, (side,))


def main() -> None:
    """Runs the benchmark."""
    path = record.check_file(flags.FLAGS.json)
    config = base.get_config()
    ways: dict[str, Callable[[int | None], int]] = {
        "compiled": lambda side: compiled_bytes(network(config) if side is None else search(config, side)),
        "masks_kept": lambda side: compiled_bytes(
            network(config) if side is None else search(config, side, masks_kept=True)
        ),
    }
    if Path("/proc/self/clear_refs").exists():
        ways["resident"] = _resident_bytes_alone
    above: dict[str, dict[str, float]] = {}
    for way, measure in ways.items():
        alone = measure(None)
        above[way] = {f"{side}x{side}": (measure(side) - alone) / 1e6 for side in SIDES}
        logging.info("%s: MB per sample above the network's %.1f MB: %s", way, alone / 1e6, above[way])
    record.write(path, {"what": "MB per sample above one U-Net pass", "steps": STEPS, "above_mb": above})
    logging.info("numbers: %s", path)


if __name__ == "__main__":
    command.define_path("json", None, "JSON file for the results.")
    command.run(main)
