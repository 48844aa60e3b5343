"""A run that is small enough to be trained in a test, for the tests of the commands."""

import os
import subprocess
import sys
from pathlib import Path

import ml_collections

from mpnet_jax.configs import base
from tests.conftest import TINY, XLA_FLAGS
from tests.support import forked
from tests.support.ports import free_port
from tests.support.repository import ROOT


def tiny_config(data_dir: Path) -> ml_collections.ConfigDict:
    """Returns a config for the tiny data set."""
    config = base.get_config()
    fields = {
        "name": "tiny",
        "rounds.minus": 6,
        "rounds.plus": 0,
        "rounds.both": 0,
        "batch_size": 4,
        "data.directory": str(data_dir),
        "data.name": "tiny",
        "data.fps": TINY["fps"],
        "data.frame_px": TINY["frame_px"],
        "audio.rate_hz": TINY["rate_hz"],
        "audio.clip_samples": 31 * 64,
        "audio.fft_samples": 254,
        "audio.hop_samples": 64,
        "audio.frequency_rows": 32,
        "frames.count": 1,
        "frames.crop_px": 32,
        "mixing.silent_probability": 0.0,
        "model.visual_channels": 4,
        "model.unet_depth": 3,
        "model.unet_features": 4,
        "model.plus_features": 4,
        "model.resnet_features": 4,
        "optimiser.name": "adam",
        "optimiser.schedule": "constant",
        "log_every": 1,
        "summary_every": 4,
        "validate_every": 2,
        "checkpoint_every": 2,
        "evaluation.mixtures": 6,
        "evaluation.validation_mixtures": 4,
        "evaluation.batch_size": 4,
        "evaluation.examples": 3,
    }
    config.update_from_flattened_dict(fields)
    return config


SHORTENED = """from mpnet_jax.models import frame_net
from tests.support.short_frame_net import ShortFrameNet
frame_net.ResNet18 = ShortFrameNet
"""


def config_file(folder: Path, data_dir: Path, *, short: bool = False) -> Path:
    """Writes a config file for `--config`; with `short`, a `ShortFrameNet` replaces the ResNet of the command."""
    path = folder / "tiny.py"
    path.write_text(
        "from pathlib import Path\n"
        "from tests.support.tiny_run import tiny_config\n"
        f"{SHORTENED if short else ''}"
        f"def get_config():\n    return tiny_config(Path({str(data_dir)!r}))\n"
    )
    return path


def start(module: str, *arguments: str, devices: int = 2, **variables: str) -> subprocess.Popen[str]:
    """Starts a command in a process of its own with a number of CPU devices and further environment variables."""
    environment = os.environ | {"XLA_FLAGS": XLA_FLAGS.format(devices=devices)} | variables
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def start_several(module: str, *arguments: str, count: int = 2) -> list[subprocess.Popen[str]]:
    """Starts a command as several processes with one device each; returns them in the order of their indices."""
    group = ("--distributed", f"--coordinator=127.0.0.1:{free_port()}", f"--process_count={count}")
    return [start(module, *arguments, *group, f"--process_index={index}", devices=1) for index in range(count)]


def run(module: str, *arguments: str, devices: int = 2, **variables: str) -> tuple[int, str]:
    """Runs a command to its end and returns its exit status and output.

    With further environment variables it is a process of its own, because libraries read them when they are imported;
    else see `forked.run`.
    """
    if not variables:
        return forked.run(module, arguments, {"XLA_FLAGS": XLA_FLAGS.format(devices=devices)})
    process = start(module, *arguments, devices=devices, **variables)
    output, _ = process.communicate(timeout=forked.TIMEOUT_SECONDS)
    return process.returncode, output
