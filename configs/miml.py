"""MIML with its paper's settings, on the data of another config: `music_mix2`, or the one named after a colon.

Command: python -m mpnet_jax.train --config=configs/miml.py:quickstart
"""

import importlib
from typing import Any

import ml_collections

_OF = ("music_mix2", "music_mix3", "vegas_mix2", "vegas_mix3", "quickstart")

# A batch holds the bases of 256 clips; 1,024 mixtures are 2,048 solos, so an epoch has 8 steps.
FIELDS: dict[str, Any] = {
    "method": "miml",
    "mask": "ratio",  # Wiener masks without a threshold
    "rounds.minus": 0,
    "rounds.plus": 0,
    "rounds.both": 200,
    "batch_size": 256,
    "mixing.truth": "magnitude",  # MIML learns the spectra of sounds, which do not depend on a mixture's phase
    "optimiser.name": "adam_l2",
    "optimiser.learning_rate": 1e-3,
    "optimiser.weight_decay": 1e-5,
    "optimiser.schedule": "exponential",
    "optimiser.decay": 0.94,
    "optimiser.decay_steps": 5 * 8,
    "optimiser.warmup_steps": 0,
    "optimiser.round_scale.both": 1.0,
    "optimiser.average_decay": 0.0,
    "validate_every": 50,
    "summary_every": 50,
    "checkpoint_every": 50,
}


def get_config(of: str = "music_mix2") -> ml_collections.ConfigDict:
    """Returns the fields.

    Args:
        of: Name of the config whose data, audio settings and evaluation are used.

    Raises:
        ValueError: The name is not in `_OF`.
    """
    if of not in _OF:
        raise ValueError(f"--config=configs/miml.py:{of} is unknown; use one of {', '.join(_OF)} behind the colon")
    config: Any = importlib.import_module(f"configs.{of}").get_config()
    config.name = f"miml_{config.name}"
    config.update_from_flattened_dict(FIELDS)
    return config
