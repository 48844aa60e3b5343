"""Configs of the benchmark sizes, and random batches for them."""

import re
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from data_pipeline.command import InputError
from mpnet_jax.config.specs import Config, audio_spec
from mpnet_jax.configs import base, quickstart, small_resnet
from mpnet_jax.models.efficientnet import FEATURES, EfficientNetLite0

FULL_BATCH = 4
NAMES = ("full", "small_resnet")
SMALL = {"small_resnet": small_resnet, "quickstart": quickstart}


def size_config(name: str) -> ml_collections.ConfigDict:
    """Returns the config of a size.

    Args:
        name: "full" (the paper's sizes, two sounds, one picture per sound, batch 4), "full_t<pictures>",
            "full_b<batch>", "small_resnet", or, without a peer, "quickstart", "full_s<sounds>" (batch 1) or
            "full_s<sounds>r", whose gradients compute the steps of the recursion again.

    Raises:
        InputError: The name is unknown.
    """
    kind, _, variant = name.partition("_")
    if name in SMALL:
        small: Any = SMALL[name].get_config()
        small.rounds.plus = small.rounds.both = 0
        return small
    found = re.fullmatch(r"([tb]\d+|s\d+r?|)", variant)
    if kind != "full" or found is None:
        raise InputError(
            f"--sizes: {name!r} is unknown; use {', '.join(NAMES)}, full_t<pictures>, full_b<batch>, full_s<sounds> or "
            "full_s<sounds>r"
        )
    config: Any = base.get_config()
    config.rounds.plus = config.rounds.both = 0
    config.batch_size = int(variant[1:]) if variant.startswith("b") else FULL_BATCH
    config.frames.count = int(variant[1:]) if variant.startswith("t") else 1
    if variant.startswith("s"):
        config.mixing.sources, config.batch_size = int(variant[1:].rstrip("r")), 1
        config.recursion.recompute = variant.endswith("r")
    return config


def has_peer(name: str) -> bool:
    """Returns whether PyTorch has a program of the same size to compare with."""
    return name != "quickstart" and not name.startswith("full_s")


def synthetic_batch(config: Config, *, seed: int = 0) -> dict[str, np.ndarray]:
    """Returns a random training batch; the mixture is the sum of its sources, as with real sounds.

    Args:
        config: Config of the run.
        seed: Seed of the random numbers.

    Returns:
        `mixture_magnitude` (batch, freq, time) and `source_magnitude` (batch, source, freq, time) float32, `frames`
        (batch, source, frame, height, width, 3) uint8; with kept features instead `features` (batch, source, frame, h,
        w, 1280) float16; and `source_label` (batch, source) int32.
    """
    rng = np.random.default_rng(seed)
    audio, side = audio_spec(config), config.frames.crop_px
    shape = (config.batch_size, config.mixing.sources, audio.freq_bins, audio.time_frames)
    spectra = rng.standard_normal(shape, np.float32) + 1j * rng.standard_normal(shape, np.float32)
    loudness = rng.gamma(0.5, 2.0, shape).astype(np.float32)  # a few loud bins, many quiet ones
    spectra *= loudness
    clips = (*shape[:2], config.frames.count)
    batch = {
        "mixture_magnitude": np.abs(spectra.sum(1)),
        "source_magnitude": np.abs(spectra),
        "source_label": rng.integers(0, config.miml.classes, shape[:2], dtype=np.int32),
    }
    if config.data.feature_seconds:
        return batch | {"features": rng.random((*clips, *_places(config), FEATURES), np.float32).astype(np.float16)}
    return batch | {
        "frames": rng.integers(0, 256, (*clips, side, side, 3), dtype=np.uint8),
    }


def _places(config: Config) -> tuple[int, ...]:
    """Returns the rows and columns of the kept features of a crop; pooled ones have one place."""
    if config.model.visual_pooling == "mean":
        return 1, 1
    picture = jax.ShapeDtypeStruct((1, config.frames.crop_px, config.frames.crop_px, 3), jnp.float32)
    trunk = EfficientNetLite0(config.model.resnet_dilated)
    maps, _ = jax.eval_shape(trunk.init_with_output, jax.random.key(0), picture)
    return maps.shape[1:3]
