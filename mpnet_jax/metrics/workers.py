"""Scores mixtures on several processes, in order."""

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

# The libraries under NumPy read these once, when they are loaded.
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)

# Freed memory is kept for the next mixture: to map it afresh takes longer than to use it, and processes wait for each
# other in the kernel meanwhile. Only glibc listens, and what the user has set stays.
_MALLOC = {"GLIBC_TUNABLES": "glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=1073741824"}

# Jobs waiting for each worker: enough that none idles, few enough that memory stays small.
_QUEUED_PER_WORKER = 3


class Job(NamedTuple):
    """One mixture to score.

    Attributes:
        reference: true waveforms, (source, samples).
        variants: separated waveforms by name, each (source, samples).
        true_magnitude: linear-frequency magnitudes of the true sources, (source, freq, time); None without AMID.
        magnitudes: the same of those variants whose AMID is wanted; needs `true_magnitude`.
    """

    reference: Float[np.ndarray, "..."]
    variants: Mapping[str, Float[np.ndarray, "..."]]
    true_magnitude: Float[np.ndarray, "..."] | None = None
    magnitudes: Mapping[str, Float[np.ndarray, "..."]] | None = None


class SourceScores(NamedTuple):
    """Scores of one variant of one mixture.

    Attributes:
        sdr: dB, (source,) float64, see `bss_eval.BssEval`.
        sir: the same.
        sar: the same.
        reason: why a source has no ratios, "" where it has.
        amid: of the whole mixture; NaN where it was not wanted.
    """

    sdr: np.ndarray
    sir: np.ndarray
    sar: np.ndarray
    reason: tuple[str, ...]
    amid: float


def score_mixtures(jobs: Iterable[Job], *, workers: int, method: str = "fft") -> Iterator[dict[str, SourceScores]]:
    """Scores each mixture's variants, in the order of the jobs.

    Jobs are taken as they are needed, so a generator may make them. Each worker keeps its linear algebra on
    one thread and imports this package's metrics only, never the caller's main module.

    Args:
        jobs: one a mixture.
        workers: processes; 0 or 1 scores in this one.
        method: one of `bss_eval.METHODS`.

    Yields:
        {variant: its scores} of each mixture.

    Raises:
        ValueError: unknown method or negative `workers`, at once; wrong shapes, when the job comes up.
        InputError: a worker was ended from outside.
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
    # Spawned, since a fork of a process that runs JAX or TensorFlow threads can lock up.
    executor = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _follow_parent)
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
            f"one of {workers} scoring processes was ended from outside, most often for want of memory; the same "
            "command goes on where this one stopped"
        ) from error
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _follow_parent() -> None:
    """Leaves Ctrl-C, which a terminal sends to every process, to the parent; ends when that was killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()


@contextlib.contextmanager
def _lean_children() -> Iterator[None]:
    """Lets processes started inside take one thread each and skip the caller's main module.

    A spawned process runs the parent's main module again, which for a command would load JAX and TensorFlow
    into every worker. The pool starts a process when a job is submitted, so this surrounds each submission.
    """
    variables = _MALLOC | {name: os.environ[name] for name in _MALLOC if name in os.environ}
    variables |= dict.fromkeys(_THREAD_VARIABLES, "1")
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
