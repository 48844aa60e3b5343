"""Measures the speed and memory of `separate`: `python -m benchmarks.separation_speed --json=FILE`.

Runs the command, with its videos, on a scene of two rendered players that lasts one minute and on one of ten minutes.
`times_real_time` is the speed over the nine minutes of difference, so loading and compilation cancel out, and
`times_real_time_without_videos` is that with `--novideos`. `first_window_seconds` is the time from the start of a
process to the end of the first window, with the programs of the compilation cache.
`cpu_times_real_time` is the same in CPU seconds of all cores, which other load does not change; two free cores reach at
most twice that speed. `memory_ratio` is the ratio of the peak memories. `greatest_difference` is the largest difference
between the recording and the sum of all stems.
"""

import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from absl import flags, logging

from benchmarks.harness import record
from benchmarks.prepare import measured
from benchmarks.rendered_players import define_flags, scenes_by_flags
from data_pipeline import command
from data_pipeline.media import reader
from data_pipeline.media.video_writer import write_video
from data_pipeline.rendered.drawing.animation import FPS, FRAME_PX
from data_pipeline.rendered.sound.synthesise import RATE_HZ


def write_scene(path: Path, files: tuple[Path, ...], seconds: float) -> None:
    """Writes a video of two solos side by side, repeated to the given length."""
    waves = [reader.read_audio(file, RATE_HZ) for file in files]
    samples = min(map(len, waves)) // RATE_HZ * RATE_HZ
    count = samples * FPS // RATE_HZ
    shown = (reader.read_frames(file, np.arange(count) / FPS, FRAME_PX) for file in files)
    pictures = [np.concatenate(pair, axis=1) for pair in zip(*shown, strict=True)]
    repeats = -(-round(seconds * FPS) // count)
    sound = np.tile(0.5 * (waves[0][:samples] + waves[1][:samples]), repeats)
    write_video(
        path, (pictures * repeats)[: round(seconds * FPS)], sound[: round(seconds * RATE_HZ)], fps=FPS, rate_hz=RATE_HZ
    )


def taken_apart(video: Path, out: Path, options: list[str]) -> dict[str, float]:
    """Runs the command; returns `seconds`, `cpu_seconds` and `peak_bytes`, the peak of all runs so far."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = measured([sys.executable, "-m", "mpnet_jax.separate", f"--video={video}", f"--out={out}", *options])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "seconds": found["seconds"],
        "cpu_seconds": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        # The peak of `measured` depends on which other processes share the same libraries; this one does not.
        "peak_bytes": after.ru_maxrss << 10,
    }


def first_window_seconds(video: Path, options: dict[str, Any]) -> float:
    """Returns the time from the start of a new process until it has separated the first window."""
    program = (
        "import json, sys, time; from mpnet_jax import Separator; "
        "next(Separator(**json.loads(sys.argv[2])).windows(sys.argv[1])); print(time.time())"
    )
    started = time.time()
    arguments = [sys.executable, "-c", program, str(video), json.dumps(options)]
    done = subprocess.run(arguments, check=True, capture_output=True, encoding="utf-8")  # noqa: S603 (our own package)
    return float(done.stdout) - started


def greatest_difference(video: Path, out: Path) -> float:
    """Returns the largest difference between a sample of the recording and the sum of all stems."""
    stems = [soundfile.SoundFile(path) for path in sorted(out.glob("*.wav"))]
    greatest = 0.0
    for _, block in reader.stream_channels(video):
        total = sum(stem.read(block.shape[1], dtype="float64", always_2d=True) for stem in stems)
        greatest = max(greatest, float(np.abs(np.transpose(total) - block).max()))
    for stem in stems:
        stem.close()
    return greatest


def main() -> None:
    """Runs the benchmark."""
    values = flags.FLAGS
    path = record.check_file(values.json)
    (scene,) = scenes_by_flags(1)
    options = ["--sounds=2", *([f"--workdir={values.workdir}"] if values.workdir else [])]
    model = {"model": str(values.workdir)} if values.workdir else {}
    results: dict[str, Any] = {"runs": {}}
    if values.folder is not None:
        values.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=values.folder) as name:
        folder = Path(name)
        lengths = (60.0, 60.0 * values.minutes)
        for seconds in lengths:
            write_scene(folder / f"{seconds:.0f}.mp4", scene.files, seconds)
        # The first run compiles.
        for seconds, more in ((lengths[0], []), *((s, more) for more in ([], ["--novideos"]) for s in lengths)):
            video, out = folder / f"{seconds:.0f}.mp4", folder / f"{seconds:.0f}"
            name = " ".join([f"{seconds:.0f}", *more])
            results["runs"][name] = taken_apart(video, out, [*options, *more])
            logging.info("%s: %s", name, results["runs"][name])
            if name == f"{lengths[1]:.0f}":
                results["greatest_difference"] = greatest_difference(video, out)
            shutil.rmtree(out)
        named = model | {"sounds": 2, "keep_places": False}
        results["first_window_seconds"] = first_window_seconds(folder / f"{lengths[0]:.0f}.mp4", named)
    short, long, short_bare, long_bare = (
        results["runs"][" ".join([f"{seconds:.0f}", *more])] for more in ([], ["--novideos"]) for seconds in lengths
    )
    between = lengths[1] - lengths[0]
    results |= {
        "times_real_time": between / (long["seconds"] - short["seconds"]),
        "times_real_time_without_videos": between / (long_bare["seconds"] - short_bare["seconds"]),
        "cpu_times_real_time": between / (long["cpu_seconds"] - short["cpu_seconds"]),
        "memory_ratio": long["peak_bytes"] / short["peak_bytes"],
    }
    record.write(path, results)
    for key in (
        "times_real_time",
        "times_real_time_without_videos",
        "first_window_seconds",
        "cpu_times_real_time",
        "memory_ratio",
        "greatest_difference",
    ):
        sys.stdout.write(f"{key:<30} {results[key]:.4g}\n")


if __name__ == "__main__":
    define_flags()
    command.define_path("folder", None, "Folder for temporary videos and stems; needs a gigabyte.")
    flags.DEFINE_float("minutes", 10.0, "Minutes of the longer video.", lower_bound=2.0)
    command.run(main)
