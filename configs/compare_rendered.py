"""The comparison of all methods on rendered solos: the paper's tables and curves on data that everyone can make.

Command: python -m mpnet_jax.compare --config=configs/compare_rendered.py
"""

from typing import Any

import ml_collections

from configs import quickstart


def get_config() -> ml_collections.ConfigDict:
    """Returns the fields."""
    config: Any = quickstart.get_config()
    config.name = "compare_rendered"
    config.data.name = "rendered_compare"
    config.evaluation.far.name = "rendered_far"
    config.evaluation.examples = 3  # in each cell's own report
    config.compare.keep_runs = False
    return config
