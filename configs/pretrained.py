"""The model in `mpnet_jax/pretrained/`: the networks of `small_resnet`, trained longer, on more timbres and styles.

Commands and results: mpnet_jax/pretrained/README.md
"""

from typing import Any

import ml_collections

from mpnet_jax.configs import small_resnet


def get_config() -> ml_collections.ConfigDict:
    """Returns the fields."""
    config: Any = small_resnet.get_config()
    config.name = "pretrained"
    # From random weights, the validation score had not improved after 1,500 steps on these data.
    config.start_from = "runs/small_resnet"
    config.rounds.minus, config.rounds.plus, config.rounds.both = 6500, 500, 700

    config.data.name = "rendered_pretrained"
    config.data.picture_cache_gib = 5.0  # holds all training frames
    config.mixing.gain_scale = "decibels"
    config.mixing.gain_low, config.mixing.gain_high = 10**-0.25, 10**0.25  # a range of 10 dB

    config.summary_every = config.validate_every = config.checkpoint_every = 500

    config.evaluation.level_difference_db = 10.0
    config.evaluation.level_distribution = "triangular"
    config.evaluation.validation_mixtures = 110  # each of the 55 pairs of classes twice
    return config
