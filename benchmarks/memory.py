"""Measures a training step's memory: `python -m benchmarks.memory --json=FILE [--sizes=full_b1,full_b2,full]`.

Three figures per size: the memory that XLA plans for the step (arguments, outputs that do not alias them, temporaries),
the peak resident memory of a process that runs it, including Python, libraries and compilation, and the mean time of
its steps after the first. With `--sizes=full_s2,full_s2r,full_s4,full_s4r,full_s6,full_s6r` the figures show what
`recursion.recompute` saves and costs.
"""

from typing import Any

from absl import flags, logging

from benchmarks.harness import record
from benchmarks.harness.sizes import has_peer, size_config
from benchmarks.harness.worker import ALLOCATORS, BACKENDS, Worker
from data_pipeline import command
from data_pipeline.command import InputError
from mpnet_jax.run.facts import usable_cores

STEPS = 3


def main() -> None:
    """Runs the benchmark."""
    path = record.check_file(flags.FLAGS.json)
    allocator = flags.FLAGS.allocator
    if allocator not in ALLOCATORS:
        raise InputError(f"--allocator={allocator!r} is unknown; use {', '.join(ALLOCATORS)}")
    for size in flags.FLAGS.sizes:
        size_config(size)
    backends = BACKENDS if record.has_torch() else BACKENDS[:1]
    if len(backends) == 1:
        logging.info("PyTorch is not installed: only our own memory is measured")
    results: dict[str, Any] = {
        "what": "bytes; compiled: arguments + outputs that do not alias them + temporaries; resident: peak of the "
        f"process before the first step, and after {STEPS} steps",
        "allocator": allocator,
        "threads": usable_cores(),
        "compiled_bytes": {},
        "resident_bytes": {},
        "step_seconds": {},
    }
    for size in flags.FLAGS.sizes:
        for backend in backends if has_peer(size) else BACKENDS[:1]:
            compiled, resident, seconds = measure(size, backend, allocator=allocator)
            if compiled:
                results["compiled_bytes"][size] = compiled
            results["resident_bytes"][f"{size}/{backend}"] = resident
            results["step_seconds"][f"{size}/{backend}"] = seconds
            record.write(path, results)
            planned = f"compiled {compiled['total'] / 2**30:.2f} GiB, " if compiled else ""
            shown = size, backend, planned, resident["steps"] / 2**30, seconds
            logging.info("%-12s %-14s %sresident %.2f GiB, %.2f s a step", *shown)
    logging.info("numbers: %s", path)


def measure(size: str, backend: str, *, allocator: str) -> tuple[dict[str, int], dict[str, int], float]:
    """Measures the memory of one size's training step.

    Args:
        size: Name of a size; see `sizes.size_config`.
        backend: One of `worker.BACKENDS`.
        allocator: One of `worker.ALLOCATORS`.

    Returns:
        Bytes that the compiler plans, by kind and in total (empty for PyTorch), the peak resident memory, and the
        seconds of a step.
    """
    with Worker(backend, threads=usable_cores(), allocator=allocator) as worker:
        built = worker.ask("build", size, "step")
        seconds = worker.ask("time", "step", STEPS - 1)
        resident = {"built": built["built_rss_bytes"], "steps": worker.ask("peak_rss_bytes")}
    kinds = built["memory_bytes"]
    if kinds:
        kinds["total"] = kinds["argument"] + kinds["output"] - kinds["alias"] + kinds["temp"]
    return kinds, resident, seconds


if __name__ == "__main__":
    command.define_path("json", None, "JSON file for the results.")
    flags.DEFINE_list("sizes", ["full_b1", "full_b2", "full", "small_resnet"], "Sizes to measure; full has batch 4.")
    flags.DEFINE_string("allocator", "tuned", f"Settings of malloc (glibc only): {', '.join(ALLOCATORS)}.")
    command.run(main)
