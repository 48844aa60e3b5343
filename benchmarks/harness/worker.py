"""Runs one framework in its own process, which computes only on request.

Two frameworks in one process would share an allocator and compete for cores. Requests and answers are lines of JSON.
The parent asks one worker at a time, while the others sleep.
"""

import importlib
import importlib.metadata
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks.harness.program import MATRIX_GFLOP, Program

BACKENDS = ("ours", "nchw", "channels_last")
# Large buffers are reused instead of mapped again at each step, which is faster in both frameworks. glibc only.
MALLOC = (
    "glibc.malloc.hugetlb=1:glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=34359738368:"
    "glibc.malloc.arena_max=1:glibc.malloc.top_pad=268435456"
)
ALLOCATORS = {"tuned": MALLOC, "default": ""}
_SETTLE_SECONDS = 0.05  # thread pools spin for about a millisecond before they sleep


class Worker:
    """The parent's side of a worker process.

    Args:
        backend: "ours", or the peer's memory format.
        threads: Threads for computation.
        allocator: "tuned" or "default".
        module: Module that runs in the process and answers the requests.
    """

    def __init__(
        self, backend: str, *, threads: int, allocator: str = "tuned", module: str = "benchmarks.harness.worker"
    ) -> None:
        environment = os.environ | {
            "GLIBC_TUNABLES": ALLOCATORS[allocator],
            "JAX_PLATFORMS": "cpu",
            "OMP_NUM_THREADS": str(threads),
        }
        self.backend = backend
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", module, backend, str(threads)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )

    def ask(self, request: str, *arguments: Any) -> Any:
        """Calls a method of the server in the worker process and returns its answer.

        Raises:
            RuntimeError: The worker ended; its error is on stderr.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        time.sleep(_SETTLE_SECONDS)
        self._process.stdin.write(json.dumps([request, *arguments]) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the worker of {self.backend} ended with status {self._process.wait()}")
        return json.loads(answer)

    def __enter__(self) -> "Worker":
        """Returns the worker."""
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the process."""
        self._process.__exit__(None, None, None)  # closes its pipes, which ends the process, and waits for it


class _Server:
    """The child's side: each public method answers a request."""

    def __init__(self, backend: str) -> None:
        self._backend = backend
        self._programs: dict[str, Program] = {}

    def build(self, size: str, part: str) -> dict[str, Any]:
        """Builds a program and runs it once; `matmul` ignores the size."""
        started = time.perf_counter()
        kind = "jax_programs" if self._backend == "ours" else "torch_programs"
        module = importlib.import_module(f"benchmarks.harness.{kind}")
        if part == "matmul":
            program = module.matmul()
        elif self._backend == "ours":
            program = module.build(size, part)
        else:
            program = module.build(size, part, self._backend)
        self._programs[part] = program
        built_rss_bytes = peak_rss_bytes()
        program.run()
        return {
            "gflop": program.gflop,
            "memory_bytes": program.memory_bytes,
            "built_rss_bytes": built_rss_bytes,
            "seconds": time.perf_counter() - started,
        }

    def time(self, part: str, runs: int) -> float:
        """Returns the mean seconds of a number of runs."""
        run = self._programs[part].run
        started = time.perf_counter()
        for _ in range(runs):
            run()
        return (time.perf_counter() - started) / runs

    def matmul_rate(self, runs: int) -> float:
        """Returns the best rate of a number of runs in GFLOP/s."""
        return MATRIX_GFLOP / min(self.time("matmul", 1) for _ in range(runs))

    def cpu_seconds(self) -> float:
        """Returns the CPU time of the process so far, which must not grow between requests."""
        return time.process_time()

    def peak_rss_bytes(self) -> int:
        """Returns the peak resident memory of the process so far."""
        return peak_rss_bytes()

    def versions(self) -> str:
        """Returns the framework's versions."""
        names = ("jax", "jaxlib") if self._backend == "ours" else ("torch",)
        return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)


def peak_rss_bytes() -> int:
    """Returns the peak resident memory of this process so far in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def serve(backend: str, threads: int) -> None:
    """Answers requests until stdin ends.

    Args:
        backend: One of `BACKENDS`.
        threads: Cores that the process may use, and threads of PyTorch.
    """
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])  # XLA uses one thread per core
    if backend != "ours":
        torch = importlib.import_module("torch")
        torch.set_num_threads(threads)
    answer(_Server(backend))


def answer(server: Any) -> None:
    """Answers each request by the server's method of that name, until stdin ends."""
    # Output of libraries goes to stderr, so that stdout has only the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        request, *arguments = json.loads(line)
        method: Callable[..., Any] = getattr(server, request)
        answers.write(json.dumps(method(*arguments)) + "\n")
        answers.flush()


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
