"""Times what the early stop saves in evaluation: `python -m benchmarks.early_stop --json=FILE [--repeats=7]`.

Runs the recursion with six candidate clips as evaluation does: as a loop that skips its steps once all samples have
ended. One batch ends after the first step, the other runs all six. The batches take turns in one compiled program, and
the ratio is the median over the turns. The full batch is also timed without the branch that skips steps, as a loop and
unrolled, because a loop or a branch may slow down the convolutions inside it.
"""

import functools
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags, logging

from benchmarks.harness import record
from benchmarks.harness.recursion import TAKES_ALL, TAKES_NOTHING, mixture_shape, recursion, variables
from data_pipeline import command
from mpnet_jax.config.specs import Config
from mpnet_jax.configs import base, small_resnet
from mpnet_jax.recursion.candidates import Candidates
from mpnet_jax.recursion.rules import Rules
from mpnet_jax.recursion.separation import Separation

STEPS = 6
SIZES: dict[str, tuple[Callable[[], Config], int]] = {
    # Config and batch size.
    "full": (base.get_config, 2),  # the paper's sizes: U-Nets of depth 7 and 64 filters, 256 x 256 spectrograms
    "small_resnet": (small_resnet.get_config, 16),  # depth 5 and 16 filters, 128 x 128 spectrograms
}
# Ways to run the full batch, as options of `recursion`. Evaluation uses the first.
WAYS = {
    "skipping": {"skip_finished": True},
    "rolled": {},
    "written_out": {"unroll": True},
}

Run = Callable[[], Separation]


def programs(
    config: Config, batch_size: int, *, with_plus: bool, ways: tuple[str, ...] = tuple(WAYS)
) -> dict[str, Run]:
    """Compiles the batch that ends after one step ("ended") and the full batch in each way."""
    values = variables(config)
    mixture = jnp.ones(mixture_shape(config, batch_size))
    k = config.model.visual_channels
    full, ended = (Candidates(jnp.full((batch_size, STEPS, k), logit / k)) for logit in (TAKES_NOTHING, TAKES_ALL))
    runs: dict[str, Run] = {}
    for way in ways:
        run = recursion(config, steps=STEPS, rules=Rules(epsilon_relative=0.5), with_plus=with_plus, **WAYS[way])
        compiled: Any = jax.jit(run).lower(values, mixture, full).compile()
        runs[way] = functools.partial(compiled, values, mixture, full)
        if way == "skipping":
            runs["ended"] = functools.partial(compiled, values, mixture, ended)
    return runs


def all_seconds(runs: dict[str, Run], repeats: int) -> dict[str, list[float]]:
    """Times all programs in turns after a burn-in; returns the seconds of each."""
    for name, run in runs.items():
        active = run().active.sum(0)
        expected = 1 if name == "ended" else STEPS
        assert np.all(active == expected), f"{name}: {active} steps instead of {expected}"
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            start = time.perf_counter()
            jax.block_until_ready(run())
            seconds[name].append(time.perf_counter() - start)
    return seconds


def ratio(seconds: dict[str, list[float]], name: str, to: str) -> float:
    """Returns the median over the turns of one program's time over another's."""
    return float(np.median(np.divide(seconds[name], seconds[to])))


def main() -> None:
    """Runs the benchmark."""
    path = record.check_file(flags.FLAGS.json)
    results: dict[str, Any] = {
        "what": "ratio: time of a batch that ends after 1 of 6 steps over a full one's; to_rolled, to_written_out: "
        "time of the full batch as evaluation runs it over that without the branch that skips steps",
        "seconds": {},
        "ratio": {},
        "to_rolled": {},
        "to_written_out": {},
    }
    for size, (get_config, batch_size) in SIZES.items():
        for with_plus in (False, True):
            name = f"{size}_plus" if with_plus else size
            seconds = all_seconds(programs(get_config(), batch_size, with_plus=with_plus), flags.FLAGS.repeats)
            results["seconds"][name] = {program: float(np.median(values)) for program, values in seconds.items()}
            results["ratio"][name] = ratio(seconds, "ended", "skipping")
            for way in ("rolled", "written_out"):
                results[f"to_{way}"][name] = ratio(seconds, "skipping", way)
            record.write(path, results)
            logging.info("%s: ratio %.3f, seconds %s", name, results["ratio"][name], results["seconds"][name])
    logging.info("numbers: %s", path)


if __name__ == "__main__":
    command.define_path("json", None, "JSON file for the results.")
    flags.DEFINE_integer("repeats", 7, "Turns of each program.", lower_bound=1)
    command.run(main)
