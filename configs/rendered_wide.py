"""The quickstart's networks and recipe on wide solos: many timbres, rooms and drawing styles, levels up to 20 dB apart.

Command: python -m mpnet_jax.train --config=configs/rendered_wide.py
(after `make wide-data`)
"""

from typing import Any

import ml_collections

from mpnet_jax.configs import quickstart


def get_config() -> ml_collections.ConfigDict:
    """Returns the fields."""
    config: Any = quickstart.get_config()
    config.name = "rendered_wide"
    config.rounds.minus, config.rounds.plus, config.rounds.both = 1500, 0, 0

    config.frames.count = 3  # a frame may mislead, and kept features cost no time
    config.data.name = "rendered_wide"
    config.mixing.gain_scale = "decibels"
    config.mixing.gain_low, config.mixing.gain_high = 10**-0.5, 10**0.5  # a range of 20 dB

    config.evaluation.level_difference_db = 20.0
    config.evaluation.level_distribution = "triangular"
    config.evaluation.validation_mixtures = 110  # each of the 55 pairs of classes twice
    config.evaluation.far.name = "rendered_far"
    config.evaluation.examples = 3
    return config
