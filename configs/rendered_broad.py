"""The quickstart's recipe, trained longer on sounds and pictures of many kinds: the networks that ship.

Command: python -m mpnet_jax.train --config=configs/rendered_broad.py
(after `make broad-data`)

All choices are guesses from one run each. A run with mixtures of three clips, 0.3 of them silent, and a learning rate
of 3e-3 took three times as long for a step, and was better on broad and wide solos after 18,000 steps than this M-Net
after 10,000 (by 0.6 dB of SI-SDR), and worse on rendered_held_out (by 0.4 dB).
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

    # A guess: a network of wide solos alone did better on clean solos, and one of broad solos on rendered_held_out.
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
