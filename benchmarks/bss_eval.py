"""Times BSS Eval: `python -m benchmarks.bss_eval --json=FILE [--repeats=9] [--samples=95625] [--mixtures=120]`.

SDR, SIR and SAR are computed for a separation of two sources and for the mixture itself. The results are:

* `ratio`: time of mir_eval's two calls over that of our one call, on one core, in turns.
* `second_core`: mixtures per second of `score_mixtures` with two processes over those with one, in turns, without the
  start and end of the processes.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import scipy.signal
from absl import flags, logging
from threadpoolctl import threadpool_limits

from benchmarks.harness import record
from data_pipeline import command
from data_pipeline.rendered.sound.additive import synthesise_additive
from data_pipeline.rendered.sound.compose import Note
from mpnet_jax.metrics.bss_eval import bss_eval
from mpnet_jax.metrics.workers import Job, score_mixtures

RATE_HZ = 11_025
INSTRUMENTS = ("cello", "flute")
_WARM = 24  # mixtures before the timing, until both processes have started

Mixture = tuple[np.ndarray, np.ndarray]


def mixture(samples: int, seed: int = 0) -> Mixture:
    """Renders two sounds (source, samples) and their estimates (variant, source, samples) in float32.

    The variants are a separation, which assigns each bin of the mixture to the louder source, and the mixture itself.
    """
    rng = np.random.default_rng(seed)
    seconds = samples / RATE_HZ
    starts = np.arange(0.0, seconds, 0.4)
    sounds = []
    for name in INSTRUMENTS:
        notes = [Note(s, min(s + 0.5, seconds), int(rng.integers(48, 80)), int(rng.integers(60, 120))) for s in starts]
        sounds.append(synthesise_additive(name, notes, rng, seconds=seconds, rate_hz=RATE_HZ, cents=0.0))
    reference = np.stack(sounds)
    _, _, spectra = scipy.signal.stft(reference, nperseg=1022)
    louder = np.abs(spectra) == np.abs(spectra).max(0)
    _, separation = scipy.signal.istft(np.where(louder, spectra.sum(0), 0), nperseg=1022)
    repeated = np.broadcast_to(reference.sum(0), reference.shape)
    return reference, np.stack([separation[:, :samples], repeated]).astype(np.float32)


@threadpool_limits.wrap(limits=1)
def one_core(samples: int, repeats: int) -> dict[str, Any]:
    """Times both implementations in turns after a burn-in, and compares their values."""
    reference, estimates = mixture(samples)
    seconds: dict[str, list[float]] = {"mir_eval": [], "fft": []}
    values = {method: bss_eval(reference, estimates, method=method) for method in seconds}
    for _ in range(repeats):
        for method, taken in seconds.items():
            taken.append(_seconds(lambda method=method: bss_eval(reference, estimates, method=method)))
    ours, theirs = (np.stack(values[method][:3]) for method in ("fft", "mir_eval"))
    compared = theirs < 100
    return {
        "ratio": float(np.median(np.divide(seconds["mir_eval"], seconds["fft"]))),
        "ratios": np.divide(seconds["mir_eval"], seconds["fft"]).tolist(),
        "seconds": {method: float(np.median(taken)) for method, taken in seconds.items()},
        "greatest_difference_db": float(np.abs(ours - theirs)[compared].max()),
    }


def two_cores(samples: int, mixtures: int, repeats: int) -> dict[str, Any]:
    """Measures mixtures per second with one process and with two, in turns."""
    reference, estimates = mixture(samples)
    job = Job(reference, {"separation": estimates[0], "mixture": estimates[1]})
    rates: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(repeats):
        for workers, measured in rates.items():
            measured.append(_rate(score_mixtures(_repeated(job, mixtures), workers=workers), mixtures))
    return {
        "second_core": float(np.median(np.divide(rates[2], rates[1]))),
        "mixtures_per_second": {str(workers): float(np.median(measured)) for workers, measured in rates.items()},
    }


def _repeated(job: Job, mixtures: int) -> Iterator[Job]:
    for _ in range(_WARM + mixtures):
        yield job


def _rate(results: Iterator[Any], mixtures: int) -> float:
    for _ in range(_WARM):
        next(results)
    start = time.perf_counter()
    for _ in range(mixtures):
        next(results)
    rate = mixtures / (time.perf_counter() - start)
    next(results, None)  # ends the processes, outside the timing
    return rate


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def main() -> None:
    """Runs the benchmark."""
    options = flags.FLAGS
    path = record.check_file(options.json)
    results: dict[str, Any] = {
        "what": "ratio: mir_eval's time over ours on one core; second_core: mixtures per second with two processes "
        "over one, without their start and end",
        "samples": options.samples,
    }
    results |= one_core(options.samples, options.repeats)
    logging.info("one core: ratio %.2f, seconds %s", results["ratio"], results["seconds"])
    results |= two_cores(options.samples, options.mixtures, options.rounds)
    logging.info("second core: ratio %.2f, %s a second", results["second_core"], results["mixtures_per_second"])
    record.write(path, results)
    logging.info("numbers: %s", path)


if __name__ == "__main__":
    command.define_path("json", None, "JSON file for the results.")
    flags.DEFINE_integer("repeats", 9, "Turns of the comparison on one core.", lower_bound=1)
    flags.DEFINE_integer("rounds", 3, "Turns of the other measurements.", lower_bound=1)
    flags.DEFINE_integer("samples", 95_625, "Samples in a sound.", lower_bound=2048)
    flags.DEFINE_integer("mixtures", 120, "Mixtures per turn with one process and with two.", lower_bound=1)
    command.run(main)
