"""Small networks on rendered solos, which train in minutes on one CPU.

The frame network is an EfficientNet-Lite0 that knows ImageNet; only a linear layer behind it learns. docs/RECIPE.md
says what was tried for the other choices.

Command: make quickstart
(or, with prepared data: python -m mpnet_jax.train --config=configs/quickstart.py)
"""

from typing import Any

import ml_collections

from mpnet_jax.configs import small_resnet


def get_config() -> ml_collections.ConfigDict:
    """Returns the fields."""
    config: Any = small_resnet.get_config()
    config.name = "quickstart"
    config.mask = "ratio"
    config.rounds.minus, config.rounds.plus, config.rounds.both = 1700, 700, 0

    config.data.directory = "data"
    config.data.frame_px = 256
    config.frames.crop_px = 240
    config.data.feature_seconds = 2.0
    config.data.feature_views = 2

    config.model.frame_net = "efficientnet_lite0"
    config.model.frame_net_trained = "head"
    config.model.resnet_dilated = False  # 8 x 8 places in a crop
    config.model.visual_pooling = "logmeanexp"  # between the mean and the paper's maximum; chosen by two seeds
    config.recursion.remainder = "rms"  # counts better than the mean; chosen by two seeds
    # The wall behind the players has vectors of zeros, whose masks are one half. A guess: 12 validation scenes of two
    # players, with one seed, changed little.
    config.recursion.blank_last = True
    config.recursion.place_side = 1  # single places resemble vectors that few places decide
    config.model.feature_dropout = 0.5
    config.model.visual_activation = "sigmoid"  # vectors of a class then resemble each other more
    # The Plus-Net begins as the Minus-Net, asked for the step's source in everything else, and moves what it finds.
    # Then it completes all sounds once more. A guess from two seeds, before most variants were tried: docs/PLUS_NET.md.
    config.model.plus_looks = True
    config.model.plus_start = "minus_net"
    config.model.plus_inputs = "remix,sound,remaining,mixture"
    config.recursion.plus_source = "others"
    config.recursion.plus_conserves = True
    config.recursion.plus_passes = 2
    config.loss.ratio_plus = config.loss.binary_plus = "missed"
    config.loss.class_weight = 0.3  # the visual vectors learn the classes, too
    config.loss.ratio = "cross_entropy"
    config.model.initial_weights = "he"

    config.optimiser.name = "muon"
    config.optimiser.learning_rate = 1e-2
    config.optimiser.weight_decay = 0.0
    config.optimiser.average_decay = 0.99

    # The players for localisation are small; enlarged, they are about as large as those of the training frames.
    config.evaluation.places.frame_px = 384
    return config
