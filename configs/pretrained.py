"""The model that ships in `mpnet_jax/pretrained/`: the quickstart's networks, longer, on many timbres and drawings.

Commands and figures: mpnet_jax/pretrained/README.md
"""

from typing import Any

import ml_collections

from configs import quickstart


def get_config() -> ml_collections.ConfigDict:
    """Returns the fields."""
    config: Any = quickstart.get_config()
    config.name = "pretrained"
    # From random weights these data are slow to begin with: after 1,500 steps nothing was gained on validation.
    config.start_from = "runs/quickstart"
    config.rounds.minus, config.rounds.plus, config.rounds.both = 6500, 500, 700

    config.data.name = "rendered_pretrained"
    config.data.picture_cache_gib = 5.0  # holds every training picture
    config.mixing.gain_scale = "decibels"
    config.mixing.gain_low, config.mixing.gain_high = 10**-0.25, 10**0.25  # levels over a range of 10 dB

    config.summary_every = config.validate_every = config.checkpoint_every = 500

    config.evaluation.level_difference_db = 10.0
    config.evaluation.level_distribution = "triangular"
    config.evaluation.validation_mixtures = 110  # two rounds of all 55 pairs of classes
    return config
