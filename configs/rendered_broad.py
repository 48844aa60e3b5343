"""The quickstart's recipe, trained longer on sounds and pictures of many kinds, with one to three sounds in a mixture.

Command: python -m mpnet_jax.train --config=configs/rendered_broad.py
(after `make broad-data`)

The numbers of steps, channels, frames and sounds and the share of the classifier are guesses: no run of this config was
compared with another.
"""

from typing import Any

import ml_collections

from mpnet_jax.configs import quickstart


def get_config() -> ml_collections.ConfigDict:
    """Returns the fields."""
    config: Any = quickstart.get_config()
    config.name = "rendered_broad"
    config.rounds.minus, config.rounds.plus, config.rounds.both = 30_000, 0, 0
    config.optimiser.learning_rate = 3e-3  # on rendered_broad, 1e-2 was worse (one seed)

    # A guess: a network of wide solos alone did better on clean solos, and one of broad solos on rendered_held_out.
    config.data.name = "rendered_broad,rendered_compare,rendered_solos"
    config.frames.count = 3  # a frame may mislead, and kept features cost no time

    # One set of weights for one to three sounds among three clips, with levels up to 20 dB apart.
    config.mixing.sources = 3
    config.mixing.silent_probability = 0.3
    config.mixing.gain_scale = "decibels"
    config.mixing.gain_low, config.mixing.gain_high = 10**-0.5, 10**0.5
    config.mixing.classifier_share = 0.15

    config.model.unet_features = config.model.plus_features = 24
    config.summary_every = config.validate_every = config.checkpoint_every = 500

    config.evaluation.level_difference_db = 10.0
    config.evaluation.level_distribution = "triangular"
    config.evaluation.mixtures = config.evaluation.other_mixtures = 220  # each of the 55 pairs of classes four times
    config.evaluation.validation_mixtures = 110
    return config
