"""Times kept features and the training step that reads them: `python -m benchmarks.features --json=FILE`.

* `pictures_per_second`: crops of the quickstart's size through decoding, cropping and the trunk, from a data set of
  random pictures, with the memory before and after.
* `step`, with its `ratio`: a training step of the quickstart from kept features over one of `configs/small_resnet.py`,
  whose ResNet-18 looks at pictures in every step. Each runs in its own process; they take turns.
* `loader`: CPU time of the quickstart's mixtures of one step, from random sounds and features, and with `--threads=1`
  its share of a core that it shares with the training step.
"""

import contextlib
import functools
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags, logging

from benchmarks.harness import record
from benchmarks.harness.other_load import Quiet
from benchmarks.harness.sizes import size_config
from benchmarks.harness.worker import Worker, peak_rss_bytes
from data_pipeline import command
from mpnet_jax.run.facts import usable_cores

SIZES = ("quickstart", "small_resnet")
TURN_SECONDS = 2.0
FRAMES = 512  # frames whose features are timed, with all their views
SOLOS, SOLO_SECONDS = 64, 24
WARM_UP_STEPS, LOADER_STEPS = 5, 40


class Pictures:
    """What the pass asks of a `RecordStore`: one record of random frames.

    Args:
        side_px: Side of the frames.
    """

    def __init__(self, side_px: int) -> None:
        import io

        from PIL import Image

        rng = np.random.default_rng(0)
        self._files = []
        for _ in range(16):
            smooth = Image.fromarray(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8))
            file = io.BytesIO()
            smooth.resize((side_px, side_px), Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
            self._files.append(file.getvalue())

    def read_pictures(self, clip: int, numbers: list[int]) -> list[bytes]:
        """Returns frames as JPEG files."""
        del clip
        return [self._files[number % len(self._files)] for number in numbers]


def main() -> None:
    """Runs the benchmark."""
    path = record.check_file(flags.FLAGS.json)
    threads = flags.FLAGS.threads or usable_cores()
    results = {"threads": threads, "features": feature_pass(), "step": steps(threads), "loader": loader()}
    if threads == 1:
        own, step = results["loader"]["cpu_seconds_a_step"], results["step"]["seconds"]["quickstart"]
        results["loader"]["share_of_core"] = own / (own + step)
    record.write(path, results)
    logging.info("%s; numbers: %s", summary(results), path)


def summary(results: dict[str, Any]) -> str:
    """Returns the figures in one line."""
    features, step, loader = results["features"], results["step"], results["loader"]
    share = f", {loader['share_of_core']:.3f} of the core" if "share_of_core" in loader else ""
    return (
        f"{features['pictures_per_second_and_core']:.1f} pictures a second and core, "
        f"{features['grown_bytes'] / 2**20:.0f} MiB more memory at the end; "
        f"step {1e3 * step['seconds']['quickstart']:.0f} ms, {step['ratio']:.2f} of the ResNet's; "
        f"its mixtures {1e3 * loader['cpu_seconds_a_step']:.1f} ms of CPU{share}"
    )


def feature_pass() -> dict[str, Any]:
    """Times the pass of the quickstart in this process, on all its cores."""
    from data_pipeline.records.features import View
    from mpnet_jax import parallel
    from mpnet_jax.methods import settings
    from mpnet_jax.models.efficientnet import EfficientNetLite0
    from mpnet_jax.pretrained import imagenet
    from mpnet_jax.run import features

    config: Any = size_config("quickstart")
    variables = imagenet.efficientnet_lite0().variables
    spec = settings.feature_spec(config, variables)
    separator = features.separator_of(
        EfficientNetLite0(config.model.resnet_dilated), parallel.replicate(variables), pooled=spec.pooled
    )
    store = Pictures(config.data.frame_px)
    views = [[View(0, frame, (0.5, 0.5), flip=False) for _ in range(spec.views)] for frame in range(FRAMES)]
    groups = [views[first : first + features.BATCH] for first in range(0, FRAMES, features.BATCH)]
    features.features_of(spec, store, separator, groups[0])  # compiles
    before, started = peak_rss_bytes(), time.perf_counter()
    for group in groups:
        features.features_of(spec, store, separator, group)
    rate = FRAMES * spec.views / (time.perf_counter() - started)
    return {
        "crop_px": spec.crop_px,
        "pictures_per_second": rate,
        "pictures_per_second_and_core": rate / usable_cores(),
        "grown_bytes": peak_rss_bytes() - before,
    }


def steps(threads: int) -> dict[str, Any]:
    """Times both training steps in turns."""
    quiet = Quiet(flags.FLAGS.patience_seconds)
    seconds: dict[str, list[float]] = {size: [] for size in SIZES}
    with contextlib.ExitStack() as stack:
        workers = {size: stack.enter_context(Worker("ours", threads=threads)) for size in SIZES}
        runs = {}
        for size, worker in workers.items():
            worker.ask("build", size, "step")
            runs[size] = max(1, round(TURN_SECONDS / min(worker.ask("time", "step", 1) for _ in range(2))))
        for number in range(flags.FLAGS.repeats):
            for size in SIZES if number % 2 else SIZES[::-1]:
                take_turn = functools.partial(workers[size].ask, "time", "step", runs[size])
                seconds[size].append(quiet.run(take_turn, functools.partial(workers[size].ask, "cpu_seconds")))
    ratios = [ours / other for ours, other in zip(*(seconds[size] for size in SIZES), strict=True)]
    return {
        "seconds": {size: float(np.median(values)) for size, values in seconds.items()},
        "ratio": float(np.median(ratios)),
        "ratio_spread": [float(x) for x in np.quantile(ratios, [0.0, 0.25, 0.75, 1.0])],
        "disturbed_turns": quiet.disturbed,
    }


class Solos:
    """What the loader asks of a `RecordStore`: records of random sound without frames.

    Args:
        config: The config, for its sample rate and its stored frames per second.
        folder: Folder of the features.
    """

    def __init__(self, config: Any, folder: Path) -> None:
        from data_pipeline.records.index_file import Clip
        from mpnet_jax.config.specs import data_spec

        self.spec = data_spec(config).records
        samples, frames = SOLO_SECONDS * config.audio.rate_hz, round(SOLO_SECONDS * self.spec.fps)
        self.clips = [Clip(str(n), n % 11, 0, 0.0, samples, frames, 0.1, 0, 0, 0) for n in range(SOLOS)]
        self.split, self.folder = "train", folder
        self.features: Any = None
        self._sounds = np.random.default_rng(0).normal(0.0, 3000.0, (8, samples)).astype("<i2")

    def read_sound(self, index: int, start: int, samples: int) -> np.ndarray:
        """Returns a window of a record."""
        return self._sounds[index % len(self._sounds), start : start + samples]


def loader() -> dict[str, Any]:
    """Measures the CPU time of all threads of this process for the mixtures of a training step."""
    from data_pipeline.loader import training_batches
    from data_pipeline.records.features import KeptFeatures
    from mpnet_jax.config.specs import data_spec
    from mpnet_jax.methods import settings
    from mpnet_jax.models.efficientnet import FEATURES
    from mpnet_jax.pretrained import imagenet

    config: Any = size_config("quickstart")
    data, spec = data_spec(config), settings.feature_spec(config, imagenet.efficientnet_lite0().variables)
    side = config.frames.crop_px // 32 + config.frames.crop_px % 32 // 16  # of the trunk's maps
    with tempfile.TemporaryDirectory() as folder:
        store: Any = Solos(config, Path(folder))
        store.features = KeptFeatures(store, spec, Path(folder))
        for piece in store.features.missing:
            shape = (len(store.features.frames_of(piece)), spec.views, side, side, FEATURES)
            store.features.write(piece, np.random.default_rng(piece).random(shape, np.float32))
        batches = training_batches(
            store, audio=data.audio, frames=data.frames, mixing=data.mixing, batch_size=config.batch_size, seed=0
        )
        for _ in range(WARM_UP_STEPS):
            next(batches)
        started = time.process_time()
        for _ in range(LOADER_STEPS):
            next(batches)
        seconds = (time.process_time() - started) / LOADER_STEPS
    return {"mixtures_a_step": config.batch_size, "cpu_seconds_a_step": seconds}


if __name__ == "__main__":
    command.define_path("json", "runs/benchmarks/features.json", "File of the results.")
    flags.DEFINE_integer("threads", None, "Threads of the steps; all usable cores by default.", lower_bound=1)
    flags.DEFINE_integer("repeats", 9, "Rounds of turns.", lower_bound=1)
    flags.DEFINE_float("patience_seconds", 120.0, "Longest total wait for an idle machine.", lower_bound=0)
    command.run(main)
