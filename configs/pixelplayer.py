"""PixelPlayer on mixtures of two solos of MUSIC, with the settings of its released code and weights.

First prepare the solos with its sizes, from one folder per class:
    python -m data_pipeline.prepare --source=folder --videos=VIDEOS --data_dir=data --name=music_11k \
        --rate_hz=11025 --frame_px=246
Command: python -m mpnet_jax.train --config=configs/pixelplayer.py
"""

from typing import Any

import ml_collections

from mpnet_jax.configs import released


def get_config() -> ml_collections.ConfigDict:
    """Returns the fields."""
    config: Any = released.get_config()
    config.name = "pixelplayer"
    config.method = "pixelplayer"
    config.rounds.minus, config.rounds.plus = 0, 0

    config.data.name = "music_11k"
    config.audio.rate_hz = 11_025
    config.audio.clip_samples = 65_535
    config.audio.fft_samples = 1022
    config.audio.hop_samples = 256

    config.model.visual_channels = 32
    return config
