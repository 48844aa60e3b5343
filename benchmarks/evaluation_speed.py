"""Measures how long an evaluation takes: `python -m benchmarks.evaluation_speed --workdir=RUN --json=FILE`.

* `seconds`: time in which a new process separates and scores the fixed mixtures of a run's test split and writes its
  report, with the programs of the compilation cache. `cpu_seconds` is that of all its processes.
* `ratio`: time of the passes of a batch of mixtures that share the features of the frames, over that of passes that
  each look at the frames. Both take turns in this process; only runs whose frame network has a fixed trunk have it.
"""

import functools
import multiprocessing
import resource
import shutil
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags

from benchmarks.harness import record
from data_pipeline import command
from data_pipeline.command import InputError
from mpnet_jax.config import saved_config

BATCH = 16


def main() -> None:
    """Runs the benchmark."""
    values = flags.FLAGS
    path = record.check_file(values.json)
    if not values.workdir:
        raise InputError("name a trained run: --workdir=RUN")
    saved_config.require_recorded(values.workdir)
    results: dict[str, Any] = {"mixtures": values.mixtures}
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name) / "run"
        shutil.copytree(
            values.workdir, copy, ignore=shutil.ignore_patterns("mixtures", "scores", "report", "metrics.json")
        )
        started = time.perf_counter()
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            pool.submit(evaluated, copy, values.mixtures).result()
        results["seconds"] = time.perf_counter() - started
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        results["cpu_seconds"] = used.ru_utime + used.ru_stime
        record.write(path, results)
        results |= shared_features(copy, values.repeats)
    record.write(path, results)
    for key in ("seconds", "cpu_seconds", "ratio"):
        if key in results:
            sys.stdout.write(f"{key:<12} {results[key]:.3g}\n")


def evaluated(workdir: Path, mixtures: int) -> None:
    """Evaluates a run's fixed mixtures of the test split in this process."""
    from mpnet_jax.evaluate import evaluate
    from mpnet_jax.evaluation.options import EvaluationOptions

    config: Any = saved_config.restored(saved_config.require_recorded(workdir), workdir / "config.json")
    config.evaluation.mixtures = mixtures
    evaluate(config, workdir, EvaluationOptions("test"))


def shared_features(workdir: Path, repeats: int) -> dict[str, Any]:
    """Times the passes of a batch of random mixtures with and without shared features."""
    from benchmarks.harness.sizes import synthetic_batch
    from mpnet_jax.methods.registry import method_of
    from mpnet_jax.processes import environment
    from mpnet_jax.run.checkpoint import Checkpoints
    from mpnet_jax.steps.separated_mixtures import separate_mixtures
    from mpnet_jax.weights.trained import TrainedNetworks

    environment.prepare()
    config: Any = saved_config.restored(saved_config.require_recorded(workdir), workdir / "config.json")
    method = method_of(config)
    checkpoints = Checkpoints(workdir, read_only=True)
    networks = TrainedNetworks(method, checkpoints, "best")
    checkpoints.close()
    features = networks.features()
    if features is None:
        return {}
    config.data.feature_seconds, config.batch_size = 0.0, BATCH  # a batch with frames
    batch = synthetic_batch(config)
    sources = batch["source_magnitude"].shape[1]
    batch |= {
        "mixture_phase": np.zeros_like(batch["mixture_magnitude"]),
        "source_waveform": np.zeros((BATCH, sources, config.audio.clip_samples), np.float32),
        "valid": np.ones(BATCH, bool),
        "index": np.arange(BATCH),
    }
    others = networks.separators()
    main_pass = others.pop(networks.main)

    def turn(each: Any) -> float:
        started = time.perf_counter()
        for _ in separate_mixtures(main_pass, [batch], others, features=each):
            pass
        return time.perf_counter() - started

    ways = {"shared": functools.partial(turn, features), "looking": functools.partial(turn, None)}
    for way in ways.values():
        way()  # compiles
    rounds = [{name: way() for name, way in ways.items()} for _ in range(repeats)]
    seconds = {name: float(np.median([each[name] for each in rounds])) / BATCH for name in ways}
    return {"seconds_a_mixture": seconds, "ratio": seconds["shared"] / seconds["looking"]}


if __name__ == "__main__":
    command.define_path("json", None, "JSON file for the results.")
    command.define_path("workdir", None, "Folder of a trained run.")
    flags.DEFINE_integer("mixtures", 256, "Mixtures of the test split.", lower_bound=2)
    flags.DEFINE_integer("repeats", 5, "Turns of each kind.", lower_bound=1)
    command.run(main)
