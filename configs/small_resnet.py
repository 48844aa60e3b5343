"""Small networks on rendered solos, with a ResNet-18 that learns from random weights by Adam.

The quickstart changes the frame network and the optimiser.

Command: python -m mpnet_jax.train --config=configs/small_resnet.py
(after `make small-resnet-data`)
"""

from typing import Any

import ml_collections

from mpnet_jax.configs import base


def get_config() -> ml_collections.ConfigDict:
    """Returns the fields."""
    config: Any = base.get_config()
    config.name = "small_resnet"
    config.rounds.minus, config.rounds.plus, config.rounds.both = 1500, 150, 200
    config.batch_size = 16

    config.data.directory = "data/px106"  # frames of this size, beside those of the quickstart
    config.data.frame_px = 106

    config.audio.rate_hz = 11_025
    config.audio.clip_samples = 127 * 256  # 128 columns
    config.audio.fft_samples = 1024  # a transform of 1022 = 2 x 7 x 73 samples takes more than twice as long
    config.audio.hop_samples = 256
    config.audio.frequency_rows = 128

    config.frames.count = 1
    config.frames.crop_px = 96

    # With more silent sources the recursion learns to separate a single sound completely, and counts sounds among
    # silent clips better. Whether NSDR suffers is undecided (`no_silent_sounds` in results/rendered).
    config.mixing.silent_probability = 0.2
    config.mixing.level_of = "window"  # as in evaluation
    config.mixing.gain_low, config.mixing.gain_high = 0.7, 1.4

    # With random initial weights of the frame network, a sigmoid after the maximum saturates at once; and the mean
    # trains all places of a frame, the maximum only one.
    config.model.visual_pooling = "mean"
    config.model.visual_activation = "none"
    # A training frame has 6 x 6 places. On the validation split, scenes of two players gain 2 dB.
    config.recursion.place_side = 7
    config.loss.remaining_weight = 0.0  # better on the validation split than the paper's 0.1 (one seed)
    config.model.unet_depth = 5
    config.model.unet_features = 16
    config.model.plus_features = 16
    config.model.resnet_features = 16
    config.model.statistics_decay = 0.97

    config.optimiser.name = "adam"
    config.optimiser.round_scale.both = 0.3  # the networks are trained already
    config.optimiser.scale.frame_trunk = 1.0  # random initial weights, as in all other parts
    config.optimiser.schedule = "cosine"
    config.optimiser.warmup_steps = 50

    config.summary_every = 250
    config.validate_every = 250
    config.checkpoint_every = 250

    config.evaluation.mixtures = 220  # each of the 55 pairs of classes four times
    config.evaluation.other_mixtures = 110
    config.evaluation.validation_mixtures = 64
    return config
