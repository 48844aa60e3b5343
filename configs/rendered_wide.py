"""The quickstart's networks and recipe on wide solos: many timbres, rooms and drawing styles, levels up to 20 dB apart.

Command: python -m mpnet_jax.train --config=configs/rendered_wide.py
(after `make wide-data`)
"""

from typing import Any

import ml_collections

from mpnet_jax.configs import compare_rendered, quickstart


def get_config() -> ml_collections.ConfigDict:
    """Returns the fields."""
    config: Any = quickstart.get_config()
    config.name = "rendered_wide"
    config.rounds.minus, config.rounds.plus, config.rounds.both = 1500, 0, 0

    config.frames.count = 3  # a frame may mislead, and kept features cost no time
    compared = compare_rendered.get_config()
    config.data.name = "rendered_wide"
    config.mixing = compared.mixing
    config.evaluation = compared.evaluation
    return config
