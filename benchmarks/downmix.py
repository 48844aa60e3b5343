"""Compares the downmix with the mean of the channels: `python -m benchmarks.downmix --json=FILE`.

A violin and a trumpet of the additive synthesiser, which are the same on every machine, are put into the channels in
different ways. For each way, `rescued_db` is the level of the result above that of the weighted mean (null where the
mean is silent), and `difference_db` the power of the difference from what is expected, relative to its power: the mean
where nothing cancels, else the sum of both sources in phase. `cpu_ms` is the CPU time for a second of sound.
"""

import math
import sys
import time
from typing import Any

import numpy as np
from absl import flags, logging

from benchmarks.harness import record
from data_pipeline import command
from data_pipeline.media.downmix import Downmix, channel_weights
from data_pipeline.rendered.sound import arrange
from data_pipeline.rendered.sound.additive import synthesise_additive
from data_pipeline.rendered.sound.instruments import INSTRUMENTS

RATE_HZ = 44_100
SECONDS = 8.0
STEREO = ("FL", "FR")
SURROUND = ("FL", "FR", "FC", "LFE", "BL", "BR")
_EXACT_DB = -300.0  # Equal to the last bit.


def solo(name: str, seed: int) -> np.ndarray:
    """Returns a solo of `SECONDS`, root mean square 0.1, (samples,) float32."""
    rng = np.random.default_rng(seed)
    notes, _ = arrange.compose_solo(INSTRUMENTS[name], rng, seconds=SECONDS)
    wave = synthesise_additive(name, notes, rng, seconds=SECONDS, rate_hz=RATE_HZ, cents=0.0)
    return (0.1 / np.sqrt(np.mean(np.square(wave))) * wave).astype(np.float32)


def ways() -> dict[str, tuple[np.ndarray, tuple[str, ...], np.ndarray]]:
    """Returns the channels (channel, samples), their layout and the expected result of each way."""
    one, other = solo("violin", 0), solo("trumpet", 0)
    both, silence = one + other, np.zeros_like(one)
    noise = np.random.default_rng(0).normal(0, 0.1, (2, one.size)).astype(np.float32)
    surround = np.stack([silence] * 4 + [both, -both])
    panned = np.stack([one + 0.5 * other, 0.5 * one + other])
    return {
        "mono": (both[None], ("FC",), both),
        "two equal channels": (np.stack([both, both]), STEREO, both),
        "one silent channel": (np.stack([both, silence]), STEREO, 0.5 * both),
        "panned 1 : 0.5 and 0.5 : 1": (panned, STEREO, panned.mean(axis=0)),
        "each source in one channel": (np.stack([one, other]), STEREO, 0.5 * both),
        "independent noise": (noise, STEREO, noise.mean(axis=0)),
        "one channel inverted": (np.stack([both, -both]), STEREO, both),
        "one source inverted": (np.stack([both, one - other]), STEREO, both),
        "an offset of 0.1": (np.stack([both, both]) + np.float32(0.1), STEREO, both),
        "5.1, surrounds opposite": (surround, SURROUND, 2 * channel_weights(SURROUND)[4] * both),
    }


def measured(sound: np.ndarray, layout: tuple[str, ...], expected: np.ndarray) -> dict[str, float | None]:
    """Mixes a sound in blocks of a second; returns `rescued_db`, `difference_db` and `cpu_ms`."""
    downmix, began = Downmix(RATE_HZ), time.process_time()
    blocks = [downmix.add(sound[:, first : first + RATE_HZ], layout) for first in range(0, sound.shape[1], RATE_HZ)]
    found = np.concatenate([*blocks, downmix.finish()])
    cpu_ms = 1000 * (time.process_time() - began) / (sound.shape[1] / RATE_HZ)
    difference = float(np.sum(np.square(found - expected, dtype=np.float64)))
    relative = difference / float(np.sum(np.square(expected, dtype=np.float64)))
    return {
        "rescued_db": downmix.rescued_db if math.isfinite(downmix.rescued_db) else None,
        "difference_db": 10 * math.log10(relative) if relative else _EXACT_DB,
        "cpu_ms": cpu_ms,
    }


def main() -> None:
    """Runs the benchmark."""
    path = record.check_file(flags.FLAGS.json)
    results: dict[str, Any] = {name: measured(*way) for name, way in ways().items()}
    record.write(path, {"ways": results})
    for name, row in results.items():
        rescued = "mean is silent" if row["rescued_db"] is None else f"{row['rescued_db']:.2f} dB"
        sys.stdout.write(f"{name:<28} {rescued:>15} {row['difference_db']:8.1f} dB {row['cpu_ms']:6.2f} ms\n")
    logging.info("numbers: %s", path)


if __name__ == "__main__":
    command.define_path("json", None, "JSON file for the results.")
    command.run(main)
