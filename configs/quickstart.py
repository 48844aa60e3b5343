"""Small networks on rendered solos: one CPU, minutes.

Command: make quickstart
(or, with the data there: python -m mpnet_jax.train --config=configs/quickstart.py)
"""

from typing import Any

import ml_collections

from configs import base


def get_config() -> ml_collections.ConfigDict:
    """Returns the quickstart's fields."""
    config: Any = base.get_config()
    config.name = "quickstart"
    config.rounds.minus, config.rounds.plus, config.rounds.both = 1500, 150, 200
    config.batch_size = 16

    config.data.frame_px = 106

    config.audio.rate_hz = 11_025
    config.audio.clip_samples = 127 * 256  # 128 columns
    config.audio.fft_samples = 1022
    config.audio.hop_samples = 256
    config.audio.frequency_rows = 128

    config.frames.count = 1
    config.frames.crop_px = 96

    # So that the recursion learns to take all of a single sound, and ends in time: sounds among silent clips are
    # counted right more often. Whether it costs NSDR is undecided (`no_silent_sounds` in results/rendered).
    config.mixing.silent_probability = 0.2
    config.mixing.level_of = "window"  # levels as in evaluation, which sets them window by window
    config.mixing.gain_low, config.mixing.gain_high = 0.7, 1.4

    # A sigmoid after the maximum saturates at once when the frame network starts from random weights, and the mean
    # trains every place of the picture, not one.
    config.model.visual_pooling = "mean"
    config.model.visual_activation = "none"
    # As many places as a picture has in training. On the validation split, scenes of two players gain 2 dB by it.
    config.recursion.place_side = 7
    config.loss.remaining_weight = 0.0  # better on the validation split than the paper's 0.1 (one seed)
    config.model.unet_depth = 5
    config.model.unet_features = 16
    config.model.plus_features = 16
    config.model.resnet_features = 16
    config.model.statistics_decay = 0.97

    config.optimiser.name = "adam"
    config.optimiser.round_scale.both = 0.3  # goes on from networks that are trained already
    config.optimiser.scale.frame_trunk = 1.0  # random weights at the start, like all others
    config.optimiser.schedule = "cosine"
    config.optimiser.warmup_steps = 50

    config.summary_every = 250
    config.validate_every = 250
    config.checkpoint_every = 250

    config.evaluation.mixtures = 220  # four rounds of all 55 pairs of classes
    config.evaluation.other_mixtures = 110
    config.evaluation.validation_mixtures = 64
    return config
