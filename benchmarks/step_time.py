"""Compares training steps with a PyTorch peer: `python -m benchmarks.step_time --json=FILE [--sizes=full]`.

Each framework runs in its own process, with the same cores, the same tuned allocator and float32; only one of them
computes at a time. After a burn-in they take turns. Each round gives one ratio, ours over theirs, and the result is the
median over the rounds. A turn that other processes disturbed is repeated until the patience runs out; turns that were
still disturbed are counted. Every turn also times a matrix product, which shows what the machine can do.
"""

import contextlib
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from absl import flags, logging

from benchmarks.harness import record
from benchmarks.harness.other_load import Quiet
from benchmarks.harness.program import PARTS
from benchmarks.harness.sizes import size_config
from benchmarks.harness.worker import BACKENDS, Worker
from data_pipeline import command
from data_pipeline.command import InputError
from mpnet_jax.run.facts import usable_cores

TURN_SECONDS = 2.0  # a short step is repeated for about this time
MATMUL_RUNS = 5
PEERS = BACKENDS[1:]


def main() -> None:
    """Runs the benchmark."""
    path = record.check_file(flags.FLAGS.json)
    sizes = all_sizes(flags.FLAGS.sizes, flags.FLAGS.frames)
    parts = flags.FLAGS.parts
    unknown = [part for part in parts if part not in PARTS]
    if unknown:
        raise InputError(f"--parts: {unknown[0]!r} is unknown; use {', '.join(PARTS)}")
    record.require_torch()
    threads = flags.FLAGS.threads or usable_cores()
    results: dict[str, Any] = {
        "what": "seconds of one run; ratios are ours over theirs, medians over rounds; spread: [lowest, quartile 1, "
        "quartile 3, highest]",
        "threads": threads,
        "rounds": flags.FLAGS.repeats,
    }
    for size in sizes:
        for part in parts:
            name = size if part == "step" else f"{size}.{part}"
            measured = measure(
                size,
                part,
                threads=threads,
                rounds=flags.FLAGS.repeats,
                patience_seconds=flags.FLAGS.patience_seconds,
            )
            for kind, values in measured.items():
                results.setdefault(kind, {}).update({f"{name}/{key}": value for key, value in values.items()})
            record.write(path, results)
            logging.info("%s", table(name, measured))
    logging.info("numbers: %s", path)


def all_sizes(sizes: Sequence[str], frames: Sequence[str]) -> list[str]:
    """Returns the checked names of sizes; "full" becomes one size per number of pictures."""
    names = [
        size if size != "full" or count == "1" else f"full_t{count}"
        for size in sizes
        for count in (frames if size == "full" else ("1",))
    ]
    for name in names:
        size_config(name)
    return names


def measure(size: str, part: str, *, threads: int, rounds: int, patience_seconds: float) -> dict[str, dict[str, Any]]:
    """Times one part of one size in all backends, in turns.

    Args:
        size: Name of a size; see `sizes.size_config`.
        part: One of `program.PARTS`.
        threads: Threads of each backend.
        rounds: Rounds of turns.
        patience_seconds: Longest total wait for an idle machine.

    Returns:
        For each kind of figure, a dictionary by backend or peer.
    """
    quiet = Quiet(patience_seconds)
    with contextlib.ExitStack() as stack:
        workers = {name: stack.enter_context(Worker(name, threads=threads)) for name in BACKENDS}
        built, runs = {}, {}
        for name, worker in workers.items():
            worker.ask("build", size, "matmul")
            built[name] = worker.ask("build", size, part)
            burn_in = min(worker.ask("time", part, 1) for _ in range(2))
            runs[name] = max(1, round(TURN_SECONDS / burn_in))
            logging.info("%s %s: %s is built, a run takes about %.3f s", size, part, name, burn_in)
        seconds: dict[str, list[float]] = {name: [] for name in workers}
        rates: dict[str, list[float]] = {name: [] for name in workers}
        idle_cpu_seconds = dict.fromkeys(workers, 0.0)
        slept_from = {}
        for number in range(rounds):
            # Each backend goes first in turn, so drift favours none.
            turn = number % len(BACKENDS)
            for name in (*BACKENDS[turn:], *BACKENDS[:turn]):
                worker = workers[name]
                if name in slept_from:
                    idle_cpu_seconds[name] += worker.ask("cpu_seconds") - slept_from[name]

                def take_turn(worker: Worker = worker, runs: int = runs[name]) -> tuple[float, float]:
                    return worker.ask("matmul_rate", MATMUL_RUNS), worker.ask("time", part, runs)

                rate, time_taken = quiet.run(take_turn, functools.partial(worker.ask, "cpu_seconds"))
                rates[name].append(rate)
                seconds[name].append(time_taken)
                slept_from[name] = worker.ask("cpu_seconds")
            logging.info("%s %s: round %d of %d", size, part, number + 1, rounds)
        versions = {name: worker.ask("versions") for name, worker in workers.items()}
    ratios = {peer: [a / b for a, b in zip(seconds["ours"], seconds[peer], strict=True)] for peer in PEERS}
    rate = max(float(np.median(values)) for values in rates.values())
    return {
        "ratios": {peer: float(np.median(values)) for peer, values in ratios.items()},
        "ratio_spread": {peer: spread(values) for peer, values in ratios.items()},
        "seconds": {name: float(np.median(values)) for name, values in seconds.items()},
        "seconds_spread": {name: spread(values) for name, values in seconds.items()},
        "matmul_gflop_per_second": {name: float(np.median(values)) for name, values in rates.items()},
        "executed_gflop": {name: answer["gflop"] for name, answer in built.items()},
        "share_of_best_matmul_rate": {
            name: answer["gflop"] / float(np.median(seconds[name])) / rate for name, answer in built.items()
        },
        "idle_cpu_seconds": idle_cpu_seconds,
        "disturbed_turns": {"count": quiet.disturbed, "of": rounds * len(BACKENDS)},
        "versions": versions,
    }


def spread(values: Sequence[float]) -> list[float]:
    """Returns the lowest value, the first and third quartiles and the highest value."""
    return [float(x) for x in np.quantile(values, [0.0, 0.25, 0.75, 1.0])]


def table(name: str, measured: dict[str, dict[str, Any]]) -> str:
    """Formats the figures of one program as a table."""
    lines = [f"{name:24s} {'ms':>8s} {'quartiles':>15s} {'GFLOP':>7s} {'share':>6s} {'matmul':>7s}  ours / theirs"]
    for backend in BACKENDS:
        low, high = (1e3 * x for x in measured["seconds_spread"][backend][1:3])
        line = (
            f"  {backend:22s} {1e3 * measured['seconds'][backend]:8.1f} {low:7.0f}-{high:<7.0f} "
            f"{measured['executed_gflop'][backend]:7.1f} {measured['share_of_best_matmul_rate'][backend]:6.1%} "
            f"{measured['matmul_gflop_per_second'][backend]:7.0f}"
        )
        if backend in PEERS:
            lowest, *_, highest = measured["ratio_spread"][backend]
            line += f"  {measured['ratios'][backend]:.3f} ({lowest:.3f}..{highest:.3f})"
        lines.append(line)
    return "\n" + "\n".join(lines)


if __name__ == "__main__":
    command.define_path("json", None, "JSON file for the results.")
    flags.DEFINE_list("sizes", ["full", "small_resnet"], "Sizes to time: full (the paper's), small_resnet.")
    flags.DEFINE_list("frames", ["1"], "Numbers of pictures per sound at the full size.")
    flags.DEFINE_list("parts", ["step"], f"Parts to time: {', '.join(PARTS)}.")
    flags.DEFINE_integer("repeats", 7, "Rounds of turns.", lower_bound=1)
    flags.DEFINE_float("patience_seconds", 120.0, "Longest wait for an idle machine, per measurement.")
    flags.DEFINE_integer("threads", None, "Cores per backend; all by default.", lower_bound=1)
    command.run(main)
