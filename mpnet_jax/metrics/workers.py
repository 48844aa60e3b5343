"""Scores mixtures in worker processes and yields the results in order."""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import types
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from data_pipeline.command import InputError
from mpnet_jax.metrics.amid import amid
from mpnet_jax.metrics.bss_eval import METHODS, bss_eval
from mpnet_jax.processes.malloc import keep_freed_memory

# The linear algebra libraries read these variables once, when they are loaded.
_THREAD_VARIABLES: tuple[str, ...] = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)

# Jobs that are queued for each worker: enough to keep it busy, few enough to limit memory.
_QUEUED_PER_WORKER = 3


class Job(NamedTuple):
    """One mixture to score.

    Attributes:
        reference: True waveforms, (source, samples).
        variants: Separated waveforms by name, each (source, samples).
        true_magnitude: Linear-frequency magnitudes of the true sources, (source, freq, time); None without AMID.
        magnitudes: Magnitudes of the variants whose AMID is computed, by name; needs `true_magnitude`.
    """

    reference: Float[np.ndarray, "..."]
    variants: Mapping[str, Float[np.ndarray, "..."]]
    true_magnitude: Float[np.ndarray, "..."] | None = None
    magnitudes: Mapping[str, Float[np.ndarray, "..."]] | None = None


class SourceScores(NamedTuple):
    """Scores of one variant of one mixture.

    Attributes:
        sdr, sir, sar: Ratios in dB, float64 (source,); see `bss_eval.BssEval`.
        reason: Why each source has no ratios, or "".
        amid: AMID of the mixture; NaN if it was not computed.
    """

    sdr: np.ndarray
    sir: np.ndarray
    sar: np.ndarray
    reason: tuple[str, ...]
    amid: float


def score_mixtures(jobs: Iterable[Job], *, workers: int, method: str = "fft") -> Iterator[dict[str, SourceScores]]:
    """Scores the variants of each mixture, in the order of the jobs.

    Jobs are consumed as workers become free, so `jobs` may be a generator. Each worker process runs linear algebra on
    one thread and imports only this package's metrics, never the caller's main module.

    Args:
        jobs: One job for each mixture.
        workers: Number of worker processes; 0 and 1 score in this process.
        method: One of `bss_eval.METHODS`.

    Yields:
        The scores of each mixture by variant.

    Raises:
        ValueError: The method is unknown or `workers` is negative (at the call), or a job's shapes do not match.
        InputError: A worker process was terminated from outside.
    """
    if method not in METHODS:
        raise ValueError(f"method={method!r} is unknown; choose one of {', '.join(sorted(METHODS))}")
    if workers < 0:
        raise ValueError(f"workers={workers} must not be negative; 0 scores in this process")
    return _in_order(jobs, workers, method) if workers > 1 else (_score(job, method) for job in jobs)


def _score(job: Job, method: str) -> dict[str, SourceScores]:
    if not job.variants:
        return {}
    scores = bss_eval(job.reference, np.stack(list(job.variants.values())), method=method)
    overlaps = {}
    if job.true_magnitude is not None and job.magnitudes is not None:
        overlaps = {name: amid(magnitude, job.true_magnitude) for name, magnitude in job.magnitudes.items()}
    return {
        name: SourceScores(
            *(ratio[row] for ratio in (scores.sdr, scores.sir, scores.sar)),
            reason=tuple(scores.reason[row]),
            amid=overlaps.get(name, float("nan")),
        )
        for row, name in enumerate(job.variants)
    }


def _in_order(jobs: Iterable[Job], workers: int, method: str) -> Iterator[dict[str, SourceScores]]:
    # Spawned: a fork of a process with JAX or TensorFlow threads can deadlock.
    executor = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _begin)
    waiting: deque[Future[dict[str, SourceScores]]] = deque()
    try:
        for job in jobs:
            with _lean_children():
                waiting.append(executor.submit(_score, job, method))
            if len(waiting) >= workers * _QUEUED_PER_WORKER:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise InputError(
            f"one of {workers} scoring processes was terminated from outside, usually because memory ran out; run the "
            "same command again to resume"
        ) from error
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _begin() -> None:
    """Ignores Ctrl-C, which a terminal sends to every process, and ends the worker process when its parent ends."""
    keep_freed_memory()  # mapping memory anew makes processes wait for each other in the kernel
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()


@contextlib.contextmanager
def _lean_children() -> Iterator[None]:
    """Makes processes that are started inside use one thread each and skip the caller's main module.

    A spawned process imports the parent's main module, and a command's main module would load JAX and TensorFlow into
    every worker. The pool may start a process with each submission, so every submission runs inside this context.
    """
    variables = dict.fromkeys(_THREAD_VARIABLES, "1")
    before = {name: os.environ.get(name) for name in variables}
    main = sys.modules["__main__"]
    os.environ.update(variables)
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
