"""What the early stop saves in evaluation: `python -m benchmarks.early_stop --json=FILE [--repeats=7]`.

The recursion with six clips in view, as evaluation runs it (rolled, nothing computed once all samples have ended), in
one process and one compiled program. One batch ends after its first step, the other goes on for all six; the batches
take turns, and the ratio is the median over the turns. The same full batch is also timed without the branch that can
skip a step, rolled and written out, since a loop or a branch may slow the convolutions inside it.
"""

import functools
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags, logging

from benchmarks.harness.recursion import TAKES_ALL, TAKES_NOTHING, mixture_shape, recursion, variables
from configs import base, quickstart
from data_pipeline import command
from data_pipeline.command import InputError
from mpnet_jax.config.specs import Config
from mpnet_jax.recursion.candidates import Candidates
from mpnet_jax.recursion.minus_plus import Rules, Separation
from mpnet_jax.run.facts import run_facts

STEPS = 6
SIZES: dict[str, tuple[Callable[[], Config], int]] = {
    "full": (base.get_config, 2),  # the paper's: U-Nets of 7 x 64 filters, 256 x 256; batch
    "quickstart": (quickstart.get_config, 16),  # 5 x 16 filters, 128 x 128
}
# How the full batch is run: options of `minus_plus`. The first is evaluation's.
WAYS = {
    "skipping": {"skip_finished": True},
    "rolled": {},
    "written_out": {"unroll": True},
}

Run = Callable[[], Separation]


def programs(
    config: Config, batch_size: int, *, with_plus: bool, ways: tuple[str, ...] = tuple(WAYS)
) -> dict[str, Run]:
    """Compiles what is timed: "ended", the batch that ends after one step, and the full batch in each way."""
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
    """Seconds of each, taking turns after a burn-in."""
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
    """Median over the turns of one program's time to another's."""
    return float(np.median(np.divide(seconds[name], seconds[to])))


def main() -> None:
    """The command."""
    if not flags.FLAGS.json:
        raise InputError("--json is missing; name the file to write, for example --json=runs/early_stop.json")
    path = Path(flags.FLAGS.json)
    path.parent.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {
        "facts": run_facts(),
        "what": "ratio: time of a batch that ends after 1 of 6 steps to a full one's; to_rolled, to_written_out: time "
        "of the full batch as evaluation runs it to that without the branch that skips",
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
            path.write_text(json.dumps(results, indent=2) + "\n")
            logging.info("%s: ratio %.3f, seconds %s", name, results["ratio"][name], results["seconds"][name])
    logging.info("numbers: %s", path)


if __name__ == "__main__":
    flags.DEFINE_string("json", None, "File of the results.")
    flags.DEFINE_integer("repeats", 7, "Turns.", lower_bound=1)
    command.run(main)
