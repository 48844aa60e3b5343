"""The comparison of all methods on rendered solos: the paper's tables and curves on data that everyone can render.

`make compare-data` renders and prepares 704 solos of many timbres, rooms and drawing styles (132 of them in the test
split), the far set, and scenes for localisation. Two sounds differ by up to 20 dB in level (triangular distribution,
6.7 dB on average). All methods have the frozen frame network and the recipe of `configs/rendered_wide.py`.

Command: python -m mpnet_jax.compare --config=configs/compare_rendered.py --processes=2
About 28 hours of one core (estimated, at 0.3 seconds for a step of two sounds), 11 of them for the evaluation. The
ablations take 5 more; `--only='cells/*'` leaves them out.
"""

from typing import Any

import ml_collections

from mpnet_jax.configs import rendered_wide


def get_config() -> ml_collections.ConfigDict:
    """Returns the fields."""
    config: Any = rendered_wide.get_config()
    config.name = "compare_rendered"
    config.rounds.minus, config.rounds.plus, config.rounds.both = 6000, 1500, 1000
    config.data.name = "rendered_compare"
    config.validate_every = config.summary_every = 1000
    config.checkpoint_every = 500

    config.evaluation.mixtures = 660  # each of the 55 pairs of classes twelve times
    config.evaluation.validation_mixtures = config.evaluation.other_mixtures = config.evaluation.far.mixtures = 220

    # "mpnet" has the quickstart's Plus-Net, "mpnet_paper" that of Eqs. 9 and 10.
    config.compare.methods = ("mnet", "mnet_longer", "mpnet", "mpnet_paper", "pixelplayer", "miml")
    config.compare.changes = (
        (
            "mpnet_paper: model.plus_looks=False model.plus_start=random model.plus_inputs=remix,sound"
            " recursion.plus_source=remix recursion.plus_conserves=False recursion.plus_passes=1"
            " loss.ratio_plus=absolute loss.binary_plus=share"
        ),
    )

    # Whether the recipe's learning rate suits each method, and choices that the paper leaves open.
    config.compare.ablations.changes = (
        "mnet half_rate: optimiser.learning_rate=5e-3",
        "mnet double_rate: optimiser.learning_rate=2e-2",
        "pixelplayer half_rate: optimiser.learning_rate=5e-3",
        "pixelplayer double_rate: optimiser.learning_rate=2e-2",
        "mnet mask_on_original: recursion.mask_on=original",
        "mnet predicted_order: recursion.training_order=predicted",
        "mnet no_classes: loss.class_weight=0.0",
        "pixelplayer no_classes: loss.class_weight=0.0",
    )
    return config
