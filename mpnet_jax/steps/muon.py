"""Muon: momentum whose matrices are made orthogonal, with a Newton-Schulz iteration on small square matrices.

`optax.contrib.muon` repeats its iteration on the gradient's whole matrix. A kernel of a U-Net is a tall matrix, such as
2,048 x 128, and its iteration takes a tenth of a training step. Here the iteration runs on the 128 x 128 products of
the columns instead, and the tall matrix is multiplied twice in all. The result is the same up to rounding.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

MOMENTUM = 0.95
# Muon's updates are scaled to the root mean square of Adam's, so that one learning rate serves both.
_ADAM_RMS = 0.2
# Coefficients of x, x^3 and x^5 in one iteration, and the number of iterations; after these, all singular values lie
# roughly between 0.7 and 1.2. Source: Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks".
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5
_SMALLEST_NORM = 1e-8


def muon(
    schedule: optax.Schedule, *, weight_decay: float, is_matrix: Callable[[Any], Any]
) -> optax.GradientTransformation:
    """Returns Muon for matrices, and AdamW with Nesterov's momentum for all other parameters.

    Args:
        schedule: Learning rate of both.
        weight_decay: Decoupled weight decay of both.
        is_matrix: Maps the parameters to a tree of their structure that is True for those that Muon trains. The last
            axis of such a parameter are its outputs, and all other axes together its inputs.

    Returns:
        An optax transformation. Source: Liu et al. 2025, "Muon is scalable for LLM training", Eq. 4 (the scale).
    """
    orthogonal = optax.chain(
        optax.trace(MOMENTUM, nesterov=True),
        optax.stateless(lambda updates, _: jax.tree.map(_update, updates)),
        optax.add_decayed_weights(weight_decay),
        optax.scale_by_learning_rate(schedule),
    )
    others = optax.adamw(schedule, weight_decay=weight_decay, nesterov=True)
    return optax.partition(
        {"muon": orthogonal, "adam": others},
        lambda params: jax.tree.map(lambda matrix: "muon" if matrix else "adam", is_matrix(params)),
    )


def _update(momentum: Float[Array, "*inputs output"]) -> Float[Array, "*inputs output"]:
    matrix = momentum.reshape(-1, momentum.shape[-1])
    return _ADAM_RMS * max(matrix.shape) ** 0.5 * orthogonalised(matrix).reshape(momentum.shape)


def orthogonalised(matrix: Float[Array, "row column"]) -> Float[Array, "row column"]:
    """Returns a matrix with the same singular vectors and singular values near 1.

    Each iteration maps X to X p(G), where G = X^T X and p(G) = a + b G + c G^2. All factors p(G) commute with G, so
    their product is formed first, and G itself becomes G p(G)^2.

    Args:
        matrix: Any matrix, in float32.
    """
    if matrix.shape[0] < matrix.shape[1]:
        return orthogonalised(matrix.T).T
    matrix = matrix / (jnp.linalg.norm(matrix) + _SMALLEST_NORM)
    gram = matrix.T @ matrix  # (column, column)
    a, b, c = _COEFFICIENTS
    unit = jnp.eye(len(gram), dtype=gram.dtype)
    product = unit
    for _ in range(_ITERATIONS):
        factor = a * unit + b * gram + c * gram @ gram
        product = product @ factor
        gram = factor @ gram @ factor
    return matrix @ product
