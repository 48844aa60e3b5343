"""MP-Net on mixtures of three solos of MUSIC, as in the paper (Sec. 4.1 and 4.2).

Prepare the data as for `configs/music_mix2.py`.
Command: python -m mpnet_jax.train --config=configs/music_mix3.py
"""

from typing import Any

import ml_collections

from mpnet_jax.configs import music_mix2


def get_config() -> ml_collections.ConfigDict:
    """Returns the fields."""
    config: Any = music_mix2.get_config()
    config.name = "music_mix3"
    config.mixing.sources = 3
    return config
