"""Mixtures a second of the training loader beside a PyTorch `DataLoader`: `python -m benchmarks.loader --json=FILE`.

Both make the same arrays at the paper's sizes from the same rendered solos: ours from a prepared set, the peer
(`torch_loader.py`) from wav and jpg files. Each runs in a process of its own, both on one and the same core, and they
take turns. A turn opens the loader anew and leaves out a burn-in. A rate is of mixtures a second of the process's CPU
time, which what else runs on the machine disturbs least; wall-clock rates stand beside it. Each round gives one ratio,
ours over theirs (above 1: ours is faster); the result is the median.
"""

import contextlib
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags, logging

from benchmarks import record, solo_files
from benchmarks.worker import Worker
from configs import base
from data_pipeline import command
from data_pipeline.command import InputError
from data_pipeline.spec import AudioSpec, FrameSpec
from mpnet_jax import config as config_module
from mpnet_jax.run_facts import usable_cores

MODULE = "benchmarks.loader_worker"
STAGED_MIXTURES = 64
THEIR_STAGES = ("plan", "sound", "pictures", "stft")
KEEP_ALL_BYTES = 1 << 34
WHAT = (
    "ratio_per_core: our mixtures a second over the peer's, on one core, nothing kept in memory; ratio_per_core_kept: "
    "with all decoded pictures kept in memory by ours (the peer keeps none); *_bytes: where the peer, too, leaves "
    "normalising pictures to the accelerator; stages: CPU ms a mixture; two_cores: "
    "ours with a thread a core and the peer with a process a core, wall-clock; read_ratio_long_videos: time to read "
    "windows of long solos over that of short ones"
)


def paper_sizes() -> tuple[AudioSpec, FrameSpec, int]:
    """Window, pictures and the stored pictures' shorter side of the paper's runs."""
    config: Any = base.get_config()
    return config_module.audio_spec(config), config_module.frame_spec(config), config.data.frame_px


def tiny_sizes() -> tuple[AudioSpec, FrameSpec, int]:
    """Sizes for a test of the command."""
    return AudioSpec(8000, 4032, 254, 64), FrameSpec(2, 32), 40


SIZES = {"paper": paper_sizes, "tiny": tiny_sizes}


@dataclasses.dataclass(frozen=True)
class Files:
    """What the loaders read.

    Attributes:
        data: folder of sets.
        name: of the set of ours.
        folder: of the peer's files.
        sizes: what `loader_worker` opens them with.
    """

    data: Path
    name: str
    folder: Path
    sizes: dict[str, Any]

    def ours(self, stack: contextlib.ExitStack, *, threads: int, cache_bytes: int = 0) -> Worker:
        """A process of our loader."""
        worker = stack.enter_context(Worker("ours", threads=threads, module=MODULE))
        worker.ask("open", str(self.data), self.name, self.sizes, cache_bytes)
        return worker

    def theirs(self, stack: contextlib.ExitStack, *, threads: int, workers: int, as_bytes: bool = False) -> Worker:
        """A process of the peer."""
        backend = "theirs_bytes" if as_bytes else "theirs"
        worker = stack.enter_context(Worker(backend, threads=threads, module=MODULE))
        worker.ask("open", str(self.folder), self.sizes, workers)
        return worker


def one_core(files: Files, *, rounds: int, batches: int) -> dict[str, Any]:
    """Rates and stages on one core, in turns."""
    with contextlib.ExitStack() as stack:
        sides = {
            "ours": files.ours(stack, threads=1),
            "ours_kept": files.ours(stack, threads=1, cache_bytes=KEEP_ALL_BYTES),
            "theirs": files.theirs(stack, threads=1, workers=0),
            "theirs_bytes": files.theirs(stack, threads=1, workers=0, as_bytes=True),
        }
        kept = sides["ours_kept"].ask("fill")
        turns, stages = _take_turns(sides, rounds, batches), {}
        for name in ("ours", "ours_kept"):
            measured = [sides[name].ask("stages", STAGED_MIXTURES) for _ in range(rounds)]
            stages[name] = {stage: _median([each[stage] for each in measured]) for stage in measured[0]}
    for name in ("theirs", "theirs_bytes"):
        stages[name] = {stage: _median([turn["stages"][stage] for turn in turns[name]]) for stage in THEIR_STAGES}
    mixtures = batches * files.sizes["batch_size"]
    cpu, wall = (
        {name: [mixtures / turn[clock] for turn in taken] for name, taken in turns.items()}
        for clock in ("cpu_seconds", "seconds")
    )
    for name, staged in stages.items():
        staged["the rest"] = 1e3 / _median(cpu[name]) - sum(staged.values())
    pairs = [(ours, theirs) for ours in ("ours", "ours_kept") for theirs in ("theirs", "theirs_bytes")]
    ratios = {f"{ours}/{theirs}": np.divide(cpu[ours], cpu[theirs]).tolist() for ours, theirs in pairs}
    return {
        "ratio_per_core": _median(ratios["ours/theirs"]),
        "ratio_per_core_kept": _median(ratios["ours_kept/theirs"]),
        "ratio_per_core_bytes": _median(ratios["ours/theirs_bytes"]),
        "ratio_per_core_kept_bytes": _median(ratios["ours_kept/theirs_bytes"]),
        "ratios": ratios,
        "wall_clock_ratios": {
            f"{ours}/{theirs}": np.divide(wall[ours], wall[theirs]).tolist() for ours, theirs in pairs
        },
        "mixtures_per_second": {name: _median(rates) for name, rates in cpu.items()},
        "wall_clock_mixtures_per_second": {name: _median(rates) for name, rates in wall.items()},
        "stages": stages,
        "pictures_kept": kept,
    }


def two_cores(files: Files, *, rounds: int, batches: int) -> dict[str, Any]:
    """Wall-clock rates with two cores, in turns."""
    with contextlib.ExitStack() as stack:
        sides = {
            "ours": files.ours(stack, threads=2),
            "ours_kept": files.ours(stack, threads=2, cache_bytes=KEEP_ALL_BYTES),
            "theirs": files.theirs(stack, threads=2, workers=2),
        }
        sides["ours_kept"].ask("fill")
        turns = _take_turns(sides, rounds, batches)
    mixtures = batches * files.sizes["batch_size"]
    rates = {name: [mixtures / turn["seconds"] for turn in taken] for name, taken in turns.items()}
    return {
        "two_cores": {
            "mixtures_per_second": {name: _median(values) for name, values in rates.items()},
            "ratio": _median(np.divide(rates["ours"], rates["theirs"]).tolist()),
            "ratio_kept": _median(np.divide(rates["ours_kept"], rates["theirs"]).tolist()),
        }
    }


def long_videos(short: Files, long: Files, *, rounds: int) -> dict[str, float]:
    """Time to read windows of long videos over that of short ones, in turns."""
    with contextlib.ExitStack() as stack:
        workers = [files.ours(stack, threads=1) for files in (long, short)]
        seconds = [[worker.ask("read_seconds", 10 * STAGED_MIXTURES) for worker in workers] for _ in range(rounds + 1)]
    # The first round finds the files out of the operating system's memory.
    return {"read_ratio_long_videos": _median([long / short for long, short in seconds[1:]])}


def cores_to_feed(step_seconds: float, batch_size: int, rates: dict[str, float]) -> dict[str, Any]:
    """Cores that make as many mixtures as an accelerator takes, if its step takes that long."""
    needed = batch_size / step_seconds
    return {
        "assumed_step_seconds": step_seconds,
        "assumed_batch_size": batch_size,
        "note": "the step's time is an assumption (--assumed_step_seconds), no measurement",
        "mixtures_per_second_needed": needed,
        "cores": {name: needed / rate for name, rate in rates.items()},
    }


def _take_turns(sides: dict[str, Worker], rounds: int, batches: int) -> dict[str, list[dict[str, Any]]]:
    turns: dict[str, list[dict[str, Any]]] = {name: [] for name in sides}
    names = list(sides)
    for number in range(rounds):
        first = number % len(names)  # each goes first in turn, so that a drift of the machine favours none
        for name in (*names[first:], *names[:first]):
            turns[name].append(sides[name].ask("time", batches))
        logging.info("round %d of %d", number + 1, rounds)
    return turns


def _median(values: list[float]) -> float:
    return float(np.median(values))


def main() -> None:
    """The command."""
    options = flags.FLAGS
    path = record.check_file(options.json)
    if not record.has_torch():
        raise InputError(
            "PyTorch, the peer, is not installed; get it with: pip install -e '.[torch]' "
            "--extra-index-url https://download.pytorch.org/whl/cpu"
        )
    audio, frames, frame_px = SIZES[options.size]()
    sizes = {
        "audio": dataclasses.asdict(audio),
        "frames": dataclasses.asdict(frames),
        "batch_size": options.batch_size,
    }

    def files(seconds: float, solos: int) -> Files:
        workdir = Path(options.workdir)
        data, name = solo_files.prepared_set(
            workdir, seconds=seconds, solos=solos, rate_hz=audio.rate_hz, frame_px=frame_px
        )
        return Files(data, name, solo_files.extracted_files(data, name), sizes)

    results: dict[str, Any] = {"what": WHAT, "sizes": sizes | {"frame_px": frame_px, "sources": 2}}
    turns = {"rounds": options.rounds, "batches": options.batches}
    solos = files(options.solo_seconds, options.solos)
    results |= one_core(solos, **turns)
    logging.info(
        "one core: ratio %.2f, pictures kept %.2f (to bytes %.2f, %.2f); mixtures a second %s; CPU ms a mixture %s",
        *(results[f"ratio_per_core{kind}"] for kind in ("", "_kept", "_bytes", "_kept_bytes")),
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
    results["feeding_one_h100"] = cores_to_feed(options.assumed_step_seconds, options.assumed_batch_size, rates)
    logging.info("cores to feed one H100: %s", results["feeding_one_h100"])
    record.write(path, results)
    logging.info("numbers: %s", path)


if __name__ == "__main__":
    flags.DEFINE_string("json", None, "File of the results.")
    flags.DEFINE_string("workdir", "runs/benchmarks/loader", "Folder of the solos, kept for the next time.")
    flags.DEFINE_enum("size", "paper", tuple(SIZES), "Sizes of sound and pictures.")
    flags.DEFINE_integer("batch_size", 16, "Mixtures a batch.", lower_bound=1)
    flags.DEFINE_integer("rounds", 7, "Turns of each loader.", lower_bound=1)
    flags.DEFINE_integer("batches", 8, "Batches a turn.", lower_bound=1)
    flags.DEFINE_integer("solos", 11, "Solos, each of another instrument.", lower_bound=2, upper_bound=11)
    flags.DEFINE_float("solo_seconds", 24.0, "Length of a solo.", lower_bound=1.0)
    flags.DEFINE_float("long_seconds", 240.0, "Length of two long solos, to compare reading; 0 leaves it out.")
    flags.DEFINE_float("assumed_step_seconds", 0.2, "Time of a training step on one H100: an assumption.")
    flags.DEFINE_integer("assumed_batch_size", 80, "Mixtures of that step.", lower_bound=1)
    command.run(main)
