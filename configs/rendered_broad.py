"""The quickstart's recipe, trained longer on sounds and pictures of many kinds: the networks that ship.

Command: python -m mpnet_jax.train --config=configs/rendered_broad.py
(after `make broad-data`)

All choices are guesses: there was one run, with one seed, and no other config was trained for as long.
"""

from typing import Any

import ml_collections

from mpnet_jax.configs import quickstart


def get_config() -> ml_collections.ConfigDict:
    """Returns the fields."""
    config: Any = quickstart.get_config()
    config.name = "rendered_broad"
    config.rounds.minus, config.rounds.plus, config.rounds.both = 10_000, 1200, 0
    config.optimiser.learning_rate = 6e-3
    config.optimiser.average_decay = 0.995

    # A guess: clean solos beside those of many rooms, noises and scenes.
    config.data.name = "rendered_broad,rendered_compare,rendered_solos"
    config.frames.count = 3  # a frame may mislead, and kept features cost no time

    # Levels up to 20 dB apart. Networks that learnt from two sounds separate three and more, too.
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
