"""Times kept features and the training step that reads them: `python -m benchmarks.features --json=FILE`.

* `pictures_per_second`: crops of the quickstart's size through decoding, cropping and the trunk, from a data set of
  random pictures, with the memory before and after.
* `step`, with its `ratio`: a training step of the quickstart from kept features over one of `configs/small_resnet.py`,
  whose ResNet-18 looks at pictures in every step. Each runs in its own process; they take turns.
"""

import contextlib
import functools
import time
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
    results = {"threads": threads, "features": feature_pass(), "step": steps(threads)}
    record.write(path, results)
    logging.info("%s; numbers: %s", summary(results), path)


def summary(results: dict[str, Any]) -> str:
    """Returns the figures in one line."""
    features, step = results["features"], results["step"]
    return (
        f"{features['pictures_per_second_and_core']:.1f} pictures a second and core, "
        f"{features['grown_bytes'] / 2**20:.0f} MiB more memory at the end; "
        f"step {1e3 * step['seconds']['quickstart']:.0f} ms, {step['ratio']:.2f} of the ResNet's"
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


if __name__ == "__main__":
    command.define_path("json", "runs/benchmarks/features.json", "File of the results.")
    flags.DEFINE_integer("threads", None, "Threads of the steps; all usable cores by default.", lower_bound=1)
    flags.DEFINE_integer("repeats", 9, "Rounds of turns.", lower_bound=1)
    flags.DEFINE_float("patience_seconds", 120.0, "Longest total wait for an idle machine.", lower_bound=0)
    command.run(main)
