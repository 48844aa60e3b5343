"""The settings of the authors' released code where it differs from the paper, on mixtures of two solos of MUSIC.

For a comparison with their weights (`python -m mpnet_jax.convert`) or their training. `docs/FIDELITY.md` lists the
differences that remain.
Prepare the data as for `configs/music_mix2.py`.
Command: python -m mpnet_jax.train --config=configs/released.py
"""

from typing import Any

import ml_collections

from mpnet_jax.configs import music_mix2


def get_config() -> ml_collections.ConfigDict:
    """Returns the fields."""
    config: Any = music_mix2.get_config()
    config.name = "released"

    config.audio.frequency_axis = "released"  # without aligned corners, so it also resamples time
    config.frames.count = 3
    config.frames.stride_seconds = 3.0  # 24 frames at 8 frames per second

    config.mixing.same_class = True
    config.mixing.gain_low = config.mixing.gain_high = 1.0
    config.mixing.level_of = "window"

    config.model.log_epsilon = 0.0
    config.recursion.floor = 1e-10
    config.model.statistics_per_step = False

    config.recursion.mask_on = "original"
    config.recursion.subtraction = "product"
    config.recursion.energy = "written"
    config.recursion.training_order = "predicted"

    config.loss.plus = "sum"
    config.loss.remaining = "before"
    config.loss.remaining_weight = 1.0
    config.loss.index_ratio = True
    return config
