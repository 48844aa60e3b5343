"""Measures what the quickstart waits for the compiler: `python -m benchmarks.compile_time --json=FILE`.

Trains the quickstart for two steps in each round, with its validation, and evaluates it, in one process each and with
an empty compilation cache. All programs are those of `make quickstart`. It needs the data of `make data`.

* `compile_seconds`: time in which XLA compiled programs, in all and by the name of the function.
* `trace_seconds`: time in which JAX traced and lowered them.
"""

import collections
import multiprocessing
import os
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from absl import flags, logging

from benchmarks.harness import record
from data_pipeline import command

STEPS = 2
KINDS = {
    "/jax/core/compile/jaxpr_trace_duration": "trace_seconds",
    "/jax/core/compile/jaxpr_to_mlir_module_duration": "trace_seconds",
    "/jax/core/compile/backend_compile_duration": "compile_seconds",
}
_SHOWN = 12  # functions that are listed
_LEAST_SECONDS = 0.1  # of a function that is named in the file


def main() -> None:
    """Runs the benchmark."""
    path = record.check_file(flags.FLAGS.json)
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MPNET_JAX_CACHE"] = str(Path(folder) / "cache")
        for part in ("train", "evaluate"):
            # A process of its own, as each command is one.
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
                results[part] = pool.submit(measured, part, Path(folder) / "run").result()
    results["compile_seconds"] = sum(results[part]["compile_seconds"] for part in ("train", "evaluate"))
    record.write(path, results)
    for part in ("train", "evaluate"):
        for name, seconds in list(results[part]["functions"].items())[:_SHOWN]:
            logging.info("%-9s %6.1f s  %s", part, seconds, name)
    sys.stdout.write(f"compile_seconds {results['compile_seconds']:.1f}\n")


def measured(part: str, workdir: Path) -> dict[str, Any]:
    """Runs a command's function on the quickstart in this process; returns the seconds of the compiler."""
    import jax

    from mpnet_jax.configs import quickstart

    totals: collections.defaultdict[str, float] = collections.defaultdict(float)
    functions: collections.defaultdict[str, float] = collections.defaultdict(float)

    def listen(event: str, duration_secs: float, **kwargs: str | int) -> None:
        if event in KINDS:
            totals[KINDS[event]] += duration_secs
            if KINDS[event] == "compile_seconds":
                functions[str(kwargs.get("fun_name", "?"))] += duration_secs

    jax.monitoring.register_event_duration_secs_listener(listen)
    config: Any = quickstart.get_config()
    config.rounds.minus = config.rounds.plus = config.rounds.both = STEPS
    config.validate_every = config.summary_every = config.checkpoint_every = STEPS
    config.evaluation.validation_mixtures = config.batch_size
    config.evaluation.mixtures = 2 * config.batch_size
    if part == "train":
        from mpnet_jax.train import train

        train(config, workdir)
    else:
        from mpnet_jax.evaluate import evaluate
        from mpnet_jax.evaluation.options import EvaluationOptions

        evaluate(config, workdir, EvaluationOptions("test"))
    longest = sorted(functions.items(), key=lambda each: -each[1])
    named = {name: round(seconds, 2) for name, seconds in longest if seconds >= _LEAST_SECONDS}
    return {"compile_seconds": 0.0, "trace_seconds": 0.0} | dict(totals) | {"functions": named}


if __name__ == "__main__":
    command.define_path("json", None, "JSON file for the results.")
    command.run(main)
