"""Random variables of a network made with NumPy, because compiling an initialiser takes longer than most tests."""

from typing import Any

import jax
import numpy as np


def random_variables(model: Any, *inputs: Any, seed: int = 0, method: str | None = None) -> dict[str, Any]:
    """Returns random variables with the shapes of `model.init`, with which every layer affects the output.

    Kernels keep the variance of their inputs; scales and variances lie around one, biases and means around zero.
    """
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(lambda key: model.init(key, *inputs, method=method), jax.random.key(0))

    def fill(path: Any, leaf: jax.ShapeDtypeStruct) -> np.ndarray:
        name = path[-1].key
        if name == "kernel":
            values = rng.standard_normal(leaf.shape) * np.sqrt(2 / np.prod(leaf.shape[:-1]))
        elif name in ("scale", "var"):
            values = rng.uniform(0.5, 1.5, leaf.shape)
        else:
            values = 0.1 * rng.standard_normal(leaf.shape)
        return values.astype(np.float32)

    return jax.tree_util.tree_map_with_path(fill, shapes)
