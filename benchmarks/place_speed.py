"""Times `Separation.sound_at` on a minute of video: `python -m benchmarks.place_speed --json=FILE`.

Two rendered players of the test split are repeated to one minute and separated once, in mono and in stereo. Then the
sounds of `PLACES` places are computed one after the other. The first call, which opens the kept feature maps, is part
of the maximum. Wall-clock times depend on other programs, CPU times of all cores do not.
"""

import time
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags, logging

from benchmarks.harness import record
from benchmarks.rendered_players import define_flags, scenes_by_flags
from data_pipeline import command
from data_pipeline.media import reader
from data_pipeline.rendered.drawing.animation import FPS, FRAME_PX
from data_pipeline.rendered.sound.synthesise import RATE_HZ
from mpnet_jax.processes import environment
from mpnet_jax.separation.separator import Separator
from mpnet_jax.weights.trained import load

SECONDS = 60
PLACES = 12
# Gains of the left and the right player in each channel.
GAINS = {"mono": ((0.5, 0.5),), "stereo": ((0.7, 0.3), (0.3, 0.7))}


def players(files: tuple[Path, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the sounds (player, samples) and the frames side by side of two solos, repeated to `SECONDS`."""
    waves = [reader.read_audio(file, RATE_HZ) for file in files]
    seconds = min(map(len, waves)) // RATE_HZ
    times = np.arange(seconds * FPS) / FPS
    shown = [list(reader.read_frames(file, times, FRAME_PX)) for file in files]
    repeats = -(-SECONDS // seconds)
    sounds = np.tile([wave[: seconds * RATE_HZ] for wave in waves], (1, repeats))[:, : SECONDS * RATE_HZ]
    return sounds, np.tile(np.concatenate(shown, axis=2), (repeats, 1, 1, 1))[: SECONDS * FPS]


def answers(separator: Separator, sounds: np.ndarray, frames: np.ndarray) -> dict[str, Any]:
    """Separates a recording; returns medians and maxima of the times of an answer in milliseconds."""
    with separator.separate(sounds, RATE_HZ, frames, FPS) as separation:
        wall, cpu = [], []
        for x in np.linspace(0.05, 0.95, PLACES):
            began, began_cpu = time.perf_counter(), time.process_time()
            separation.sound_at(float(x), 0.5)
            wall.append(1000 * (time.perf_counter() - began))
            cpu.append(1000 * (time.process_time() - began_cpu))
    return {
        "wall_ms": {"median": float(np.median(wall)), "max": max(wall)},
        "cpu_ms": {"median": float(np.median(cpu)), "max": max(cpu)},
    }


def main() -> None:
    """Runs the benchmark."""
    path = record.check_file(flags.FLAGS.json)
    environment.prepare()
    sounds, frames = players(scenes_by_flags(1)[0].files)
    separator = Separator(load(flags.FLAGS.workdir), sounds=2, names=False)
    results = {
        name: answers(separator, np.asarray(gains, np.float32) @ sounds, frames) for name, gains in GAINS.items()
    }
    record.write(path, {"seconds": SECONDS, "places": PLACES, "answers": results})
    logging.info("%s; numbers: %s", results, path)


if __name__ == "__main__":
    define_flags()
    command.run(main)
