"""Compares the training loader with a PyTorch `DataLoader`: `python -m benchmarks.loader --json=FILE`.

Both make the same arrays at the paper's sizes from the same rendered solos. Ours reads a prepared set with the config
`configs/music_mix2.py`; the peer (`torch_loader.py`) reads wav and jpg files. Each runs in its own process, pinned to
the same core, and they take turns. A turn starts a new iterator and ignores a burn-in. Rates are mixtures per second of
CPU time, which depends least on other processes; wall-clock rates are recorded too. Each round gives one ratio, ours
over theirs (above 1: ours is faster); the result is the median over the rounds.
"""

import contextlib
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags, logging

from benchmarks.harness import record, solo_files
from benchmarks.harness.loader_worker import paper_config
from benchmarks.harness.worker import Worker
from data_pipeline import command
from data_pipeline.command import InputError
from mpnet_jax.config.specs import Config
from mpnet_jax.run.facts import usable_cores

MODULE = "benchmarks.harness.loader_worker"
STAGED_MIXTURES = 64
THEIR_STAGES = ("plan", "sound", "pictures", "stft")
# Config fields in which each of our loaders differs from the shipped config.
OURS: dict[str, dict[str, Any]] = {
    "ours": {},
    "ours_in_memory": {"data.picture_cache_dir": "", "data.picture_cache_gib": 4.0},
    "ours_first_pass": {"data.picture_cache_gib": 0.0},
}
PEERS = {"theirs": "", "theirs_bytes": "_bytes"}  # with the suffix of their ratios' keys
WHAT = (
    "ratio_per_core: our mixtures per second of CPU time over the peer's, on one core, in steady state: every picture "
    "was decoded before and is cached in a file on disk, as in the shipped config; here the page cache holds the file. "
    "The peer has no cache and decodes its JPEG files each time. ratio_per_core_in_memory: ours caches the pictures in "
    "its own memory. ratio_per_core_first_pass: ours also decodes every JPEG file, and writes the pictures to the "
    "cache file. *_bytes: the peer also leaves the normalisation of pictures to the accelerator. stages: CPU ms per "
    "mixture. two_cores: ours with one thread per core, the peer with one process per core, wall-clock. "
    "read_ratio_long_videos: time to read windows of long solos over that of short ones"
)
# Config fields that a size changes.
SIZES: dict[str, dict[str, Any]] = {
    "paper": {},
    "tiny": {  # for a test of the command
        "audio.rate_hz": 8000,
        "audio.clip_samples": 4032,
        "audio.fft_samples": 254,
        "audio.hop_samples": 64,
        "frames.count": 2,
        "frames.crop_px": 32,
        "data.frame_px": 40,
    },
}


@dataclasses.dataclass(frozen=True)
class Files:
    """The same solos for all loaders.

    Attributes:
        folder: Folder of the peer's files.
        fields: Config fields, which name the prepared set of our loaders.
    """

    folder: Path
    fields: dict[str, Any]

    def ours(self, stack: contextlib.ExitStack, *, threads: int, kind: str = "ours_first_pass") -> Worker:
        """Starts a process with one of our loaders."""
        worker = stack.enter_context(Worker("ours", threads=threads, module=MODULE))
        worker.ask("open", self.fields | OURS[kind])
        return worker

    def theirs(self, stack: contextlib.ExitStack, *, threads: int, workers: int, kind: str = "theirs") -> Worker:
        """Starts a process with the peer."""
        worker = stack.enter_context(Worker(kind, threads=threads, module=MODULE))
        worker.ask("open", str(self.folder), self.fields, workers)
        return worker


def one_core(files: Files, *, rounds: int, batches: int) -> dict[str, Any]:
    """Measures rates and stages on one core, in turns."""
    config = paper_config(files.fields)
    mixtures = batches * config.batch_size
    with contextlib.ExitStack() as stack:
        sides = {name: files.ours(stack, threads=1, kind=name) for name in OURS}
        sides |= {name: files.theirs(stack, threads=1, workers=0, kind=name) for name in PEERS}
        filled = {name: _fill(sides[name]) for name in ("ours", "ours_in_memory")}
        turns, stages = _take_turns(sides, rounds, batches), {}
        for name in OURS:
            measured = [sides[name].ask("stages", STAGED_MIXTURES) for _ in range(rounds)]
            stages[name] = {stage: _median([each[stage] for each in measured]) for stage in measured[0]}
    # The first pass is timed without a cache, so it decodes each picture. The measured time to fill the cache is added.
    keep_seconds = config.mixing.sources * config.frames.count * filled["ours"]["cpu_seconds_a_picture"]
    stages["ours_first_pass"]["keep"] = 1e3 * keep_seconds
    for turn in turns["ours_first_pass"]:
        for clock in ("cpu_seconds", "seconds"):
            turn[clock] += mixtures * keep_seconds
    for name in PEERS:
        stages[name] = {stage: _median([turn["stages"][stage] for turn in turns[name]]) for stage in THEIR_STAGES}
    cpu, wall = (
        {name: [mixtures / turn[clock] for turn in taken] for name, taken in turns.items()}
        for clock in ("cpu_seconds", "seconds")
    )
    for name, staged in stages.items():
        staged["the rest"] = 1e3 / _median(cpu[name]) - sum(staged.values())
    pairs = [(ours, theirs) for ours in OURS for theirs in PEERS]
    ratios = {f"{ours}/{theirs}": np.divide(cpu[ours], cpu[theirs]).tolist() for ours, theirs in pairs}
    return {
        f"ratio_per_core{ours.removeprefix('ours')}{PEERS[theirs]}": _median(ratios[f"{ours}/{theirs}"])
        for ours, theirs in pairs
    } | {
        "ratios": ratios,
        "wall_clock_ratios": {
            f"{ours}/{theirs}": np.divide(wall[ours], wall[theirs]).tolist() for ours, theirs in pairs
        },
        "mixtures_per_second": {name: _median(rates) for name, rates in cpu.items()},
        "wall_clock_mixtures_per_second": {name: _median(rates) for name, rates in wall.items()},
        "stages": stages,
        "pictures_kept": {name: fill["kept"] for name, fill in filled.items()},
    }


def two_cores(files: Files, *, rounds: int, batches: int) -> dict[str, Any]:
    """Measures wall-clock rates with two cores, in turns."""
    with contextlib.ExitStack() as stack:
        sides = {
            "ours": files.ours(stack, threads=2, kind="ours"),
            "theirs": files.theirs(stack, threads=2, workers=2),
        }
        _fill(sides["ours"])
        turns = _take_turns(sides, rounds, batches)
    mixtures = batches * paper_config(files.fields).batch_size
    rates = {name: [mixtures / turn["seconds"] for turn in taken] for name, taken in turns.items()}
    return {
        "two_cores": {
            "mixtures_per_second": {name: _median(values) for name, values in rates.items()},
            "ratio": _median(np.divide(rates["ours"], rates["theirs"]).tolist()),
        }
    }


def long_videos(short: Files, long: Files, *, rounds: int) -> dict[str, float]:
    """Compares the times to read windows of long and of short videos, in turns."""
    with contextlib.ExitStack() as stack:
        workers = [files.ours(stack, threads=1) for files in (long, short)]
        seconds = [[worker.ask("read_seconds", 10 * STAGED_MIXTURES) for worker in workers] for _ in range(rounds + 1)]
    # In the first round the files are not in the page cache.
    return {"read_ratio_long_videos": _median([long / short for long, short in seconds[1:]])}


def feeding(config: Config, step_seconds: float, batch_size: int, rates: dict[str, float]) -> dict[str, Any]:
    """Computes the cores and the disk rate that keep an accelerator busy.

    Args:
        config: Config of the mixtures.
        step_seconds: Assumed time of a training step.
        batch_size: Assumed mixtures per step.
        rates: Mixtures per second and core of each loader.
    """
    needed = batch_size / step_seconds
    rows = config.mixing.sources * config.frames.count * config.frames.crop_px  # of pixels that a mixture reads
    row_bytes = 3 * round(config.data.frame_px * 16 / 9)
    return {
        "assumed_step_seconds": step_seconds,
        "assumed_batch_size": batch_size,
        "note": (
            "the step's time is an assumption (--assumed_step_seconds), not a measurement; the bytes are for 16:9 "
            "pictures, and the disk supplies those that the page cache does not hold"
        ),
        "mixtures_per_second_needed": needed,
        "cores": {name: needed / rate for name, rate in rates.items()},
        "picture_bytes_a_mixture": rows * row_bytes,
        "picture_bytes_per_second_needed": rows * row_bytes * needed,
    }


def _fill(worker: Worker) -> dict[str, float]:
    filled = worker.ask("fill")
    if filled["kept"] < filled["pictures"]:
        raise InputError(
            f"of {filled['pictures']} pictures {filled['kept']} could be kept; free space on the disk of --workdir, or "
            "take fewer or shorter solos"
        )
    return filled


def _take_turns(sides: dict[str, Worker], rounds: int, batches: int) -> dict[str, list[dict[str, Any]]]:
    turns: dict[str, list[dict[str, Any]]] = {name: [] for name in sides}
    names = list(sides)
    for number in range(rounds):
        first = number % len(names)  # each goes first in turn, so drift favours none
        for name in (*names[first:], *names[:first]):
            turns[name].append(sides[name].ask("time", batches))
        logging.info("round %d of %d", number + 1, rounds)
    return turns


def _median(values: list[float]) -> float:
    return float(np.median(values))


def main() -> None:
    """Runs the benchmark."""
    options = flags.FLAGS
    path = record.check_file(options.json)
    record.require_torch()
    size = SIZES[options.size] | {"batch_size": options.batch_size}
    config = paper_config(size)

    def files(seconds: float, solos: int) -> Files:
        data, name = solo_files.prepared_set(
            options.workdir, seconds=seconds, solos=solos, rate_hz=config.audio.rate_hz, frame_px=config.data.frame_px
        )
        fields = {"data.directory": str(data), "data.name": name}
        return Files(solo_files.extracted_files(data, name), size | fields)

    results: dict[str, Any] = {"what": WHAT, "config": "configs/music_mix2.py", "fields": size, "fields_of_ours": OURS}
    turns = {"rounds": options.rounds, "batches": options.batches}
    solos = files(options.solo_seconds, options.solos)
    results |= one_core(solos, **turns)
    logging.info(
        "one core: ratio %.2f, in memory %.2f, first pass %.2f (to bytes %.2f, %.2f, %.2f); mixtures a second %s; "
        "CPU ms a mixture %s",
        *(results[f"ratio_per_core{ours.removeprefix('ours')}{peer}"] for peer in PEERS.values() for ours in OURS),
        results["mixtures_per_second"],
        results["stages"],
    )
    if usable_cores() >= 2:
        results |= two_cores(solos, **turns)
        logging.info("two cores: %s", results["two_cores"])
    if options.long_seconds:
        results |= long_videos(solos, files(options.long_seconds, 2), rounds=options.rounds)
        logging.info("reading long videos: ratio %.2f", results["read_ratio_long_videos"])
    rates = results["mixtures_per_second"]
    results["feeding_one_h100"] = feeding(config, options.assumed_step_seconds, options.assumed_batch_size, rates)
    logging.info("cores to feed one H100: %s", results["feeding_one_h100"])
    record.write(path, results)
    logging.info("numbers: %s", path)


if __name__ == "__main__":
    command.define_path("json", None, "JSON file for the results.")
    command.define_path("workdir", "runs/benchmarks/loader", "Folder of the solos, which are reused.")
    flags.DEFINE_enum("size", "paper", tuple(SIZES), "Sizes of sounds and pictures.")
    flags.DEFINE_integer("batch_size", 16, "Mixtures per batch.", lower_bound=1)
    flags.DEFINE_integer("rounds", 7, "Turns of each loader.", lower_bound=1)
    flags.DEFINE_integer("batches", 8, "Batches per turn.", lower_bound=1)
    flags.DEFINE_integer("solos", 11, "Number of solos, each of a different instrument.", lower_bound=2, upper_bound=11)
    flags.DEFINE_float("solo_seconds", 24.0, "Seconds in a solo.", lower_bound=1.0)
    flags.DEFINE_float("long_seconds", 240.0, "Seconds in each of two long solos, to compare reading; 0 skips this.")
    flags.DEFINE_float("assumed_step_seconds", 0.2, "Assumed time of a training step on one H100.")
    flags.DEFINE_integer("assumed_batch_size", 80, "Assumed mixtures per step.", lower_bound=1)
    command.run(main)
