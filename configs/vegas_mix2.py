"""MP-Net on mixtures of two videos of VEGAS, as in the paper (Sec. 4.1 and 4.2).

First prepare the videos with the paper's sizes:
    python -m data_pipeline.prepare --source=vegas --videos=VIDEOS --protocol=vegas --data_dir=data --name=vegas \
        --rate_hz=16000 --frame_px=246

Decoded frames are cached on a disk as in `configs/music_mix2.py`: about 430 GiB for 50 hours of videos in 16:9.

Command: python -m mpnet_jax.train --config=configs/vegas_mix2.py
"""

from typing import Any

import ml_collections

from mpnet_jax.configs import base

TRAINING_VIDEOS = 26_000  # about 28,000 without the 2,000 of the test split
EPOCHS = 100
REPEATS = 20  # times that each video occurs in an epoch


def get_config() -> ml_collections.ConfigDict:
    """Returns the fields."""
    config: Any = base.get_config()
    config.name = "vegas_mix2"
    config.data.name = "vegas"
    config.data.picture_cache_gib = 512.0
    config.data.picture_cache_dir = config.data.get_oneway_ref("directory")
    config.rounds.minus = EPOCHS * REPEATS * TRAINING_VIDEOS // config.batch_size
    config.rounds.plus = config.rounds.both = config.rounds.minus
    config.evaluation.mixtures = 2000
    return config
