"""Tests of the compiled memory size of the search for places: spectrogram 256 x 256, 16 feature maps."""

import pytest

from benchmarks.pixel_memory import SIDES, compiled_bytes, network, search
from mpnet_jax.configs import base

BATCH = 4
MEGABYTE = 1e6


def config_of(unet_depth, unet_features):
    config = base.get_config()
    config.model.unet_depth, config.model.unet_features = unet_depth, unet_features
    return config


@pytest.mark.parametrize("masks_kept", [True, pytest.param(False, marks=pytest.mark.slow)])
@pytest.mark.parametrize("sizes", [(2, 4), pytest.param((7, 64), marks=pytest.mark.slow)])
def test_memory_does_not_grow_with_the_number_of_places(sizes, masks_kept):
    # A small U-Net compiles fast and frees little memory for the search to reuse.
    config = config_of(*sizes)
    alone = compiled_bytes(network(config, BATCH))
    small, large = (
        (compiled_bytes(search(config, side, batch_size=BATCH, masks_kept=masks_kept)) - alone) / BATCH / MEGABYTE
        for side in SIDES
    )
    assert small <= 16
    assert large <= 1.1 * small


def test_memory_grows_without_chunks():
    # 784 masks of 256 x 256 in float32 are 205 MB.
    at_once = compiled_bytes(search(config_of(2, 4), 28, chunk_bytes=None, masks_kept=True))
    assert at_once > 205 * MEGABYTE
