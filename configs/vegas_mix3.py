"""MP-Net on mixtures of three videos of VEGAS, as in the paper (Sec. 4.1 and 4.2).

Prepare the data as for `configs/vegas_mix2.py`.
Command: python -m mpnet_jax.train --config=configs/vegas_mix3.py
"""

from typing import Any

import ml_collections

from mpnet_jax.configs import vegas_mix2


def get_config() -> ml_collections.ConfigDict:
    """Returns the fields."""
    config: Any = vegas_mix2.get_config()
    config.name = "vegas_mix3"
    config.mixing.sources = 3
    return config
