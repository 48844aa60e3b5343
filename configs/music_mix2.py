"""MP-Net on mixtures of two solos of MUSIC, as in the paper (Sec. 4.1 and 4.2).

Prepare the solos with the paper's sizes first; the list is from github.com/roudimit/MUSIC_dataset:
    python -m data_pipeline.prepare --source=music --list=MUSIC_solo_videos.json --videos=VIDEOS --protocol=music \
        --data_dir=data --name=music --rate_hz=16000 --frame_px=246

Decoded pictures of 16:9 take 8.7 GiB an hour of video: about 175 GiB for 20 hours. They are kept on the disk of
`config.data.directory` while training runs (`config.data.picture_cache_dir`), without which loading takes about twice
as many cores. Where the disk has less room, as many as fit are kept, and 10 GiB of it stay free.

Command: python -m mpnet_jax.train --config=configs/music_mix2.py
"""

from typing import Any

import ml_collections

from configs import base


def get_config() -> ml_collections.ConfigDict:
    """Returns the fields."""
    config: Any = base.get_config()
    config.name = "music_mix2"
    config.data.name = "music"
    config.data.picture_cache_gib = 256.0
    config.data.picture_cache_dir = config.data.get_oneway_ref("directory")
    return config
