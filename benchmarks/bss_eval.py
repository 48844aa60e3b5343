"""How fast BSS Eval is: `python -m benchmarks.bss_eval --json=FILE [--repeats=9] [--samples=95625] [--mixtures=120]`.

SDR, SIR and SAR of a separation of two sources and of the mixture itself, repeated for each source. Two numbers:
`ratio`, the time of mir_eval's two calls to that of our one on one core, where both take turns; and `second_core`, the
mixtures a second of `score_mixtures` with two processes to those with one, where both take turns too and starting and
ending them is left out.
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
_WARM = 24  # mixtures until both processes have started, which takes one of them a little longer

Mixture = tuple[np.ndarray, np.ndarray]


def mixture(samples: int, seed: int = 0) -> Mixture:
    """Two rendered sounds, (source, samples), and what is scored, (variant, source, samples), in float32.

    The variants are a separation, where the louder source takes each bin of the mixture, and the mixture itself.
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
    """Seconds of both implementations, taking turns after a burn-in, and how far they are apart."""
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
    """Mixtures a second with one process and with two, taking turns."""
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
    next(results, None)  # ends the processes, which is not scoring
    return rate


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def main() -> None:
    """The command."""
    options = flags.FLAGS
    path = record.check_file(options.json)
    results: dict[str, Any] = {
        "what": "ratio: mir_eval's time to ours on one core; second_core: mixtures a second with two processes to "
        "one's, their start and end left out",
        "samples": options.samples,
    }
    results |= one_core(options.samples, options.repeats)
    logging.info("one core: ratio %.2f, seconds %s", results["ratio"], results["seconds"])
    results |= two_cores(options.samples, options.mixtures, options.rounds)
    logging.info("second core: ratio %.2f, %s a second", results["second_core"], results["mixtures_per_second"])
    record.write(path, results)
    logging.info("numbers: %s", path)


if __name__ == "__main__":
    flags.DEFINE_string("json", None, "File of the results.")
    flags.DEFINE_integer("repeats", 9, "Turns on one core.", lower_bound=1)
    flags.DEFINE_integer("rounds", 3, "Turns of the rest.", lower_bound=1)
    flags.DEFINE_integer("samples", 95_625, "Length of a sound.", lower_bound=2048)
    flags.DEFINE_integer("mixtures", 120, "Mixtures in each turn with one process and with two.", lower_bound=1)
    command.run(main)
