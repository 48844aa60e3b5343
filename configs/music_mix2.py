"""MP-Net on mixtures of two solos of MUSIC, as in the paper (Sec. 4.1 and 4.2).

First prepare the solos with the paper's sizes; the list comes from github.com/roudimit/MUSIC_dataset:
    python -m data_pipeline.prepare --source=music --list=MUSIC_solo_videos.json --videos=VIDEOS --protocol=music \
        --data_dir=data --name=music --rate_hz=16000 --frame_px=246

While training runs, decoded frames are cached on the disk of `config.data.directory`
(`config.data.picture_cache_dir`); without this cache, loading needs about twice as many cores. Videos in 16:9 need
8.7 GiB per hour, about 175 GiB for 20 hours. If the disk has less space, the cache holds as many frames as fit and
leaves 10 GiB free.

Command: python -m mpnet_jax.train --config=configs/music_mix2.py
"""

from typing import Any

import ml_collections

from mpnet_jax.configs import base


def get_config() -> ml_collections.ConfigDict:
    """Returns the fields."""
    config: Any = base.get_config()
    config.name = "music_mix2"
    config.data.name = "music"
    config.data.picture_cache_gib = 256.0
    config.data.picture_cache_dir = config.data.get_oneway_ref("directory")
    return config
