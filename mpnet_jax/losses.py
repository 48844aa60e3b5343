"""Losses of a separation, all on the network's frequency axis."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mpnet_jax.minus_plus import Separation


def magnitude_weight(mixture: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Weight of each bin, in [1e-3, 10]: loud bins count more. Source: released code."""
    return jnp.clip(jnp.log1p(mixture), 1e-3, 10.0)


def binary_cross_entropy(logits: Float[Array, "*shape"], targets: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Cross entropy of sigmoid(logits) against targets in [0, 1], in nats."""
    # The usual max(x, 0) + log1p(exp(-|x|)) has a wrong derivative where x is exactly zero.
    return jax.nn.softplus(logits) - logits * targets


def binary_target(source: Float[Array, "*#shape"], reference: Float[Array, "*#shape"]) -> Float[Array, "*#shape"]:
    """1 where a source dominates what its mask acts on, else 0; shapes broadcast. Source: Sec. 3.1."""
    return (source > 0.5 * reference).astype(source.dtype)


def minus_loss(
    separation: Separation,
    mixture: Float[Array, "batch freq time"],
    sources: Float[Array, "batch source freq time"],
    *,
    remaining_weight: float,
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    """Loss of the M-Net on binary masks, and of what remains.

    Args:
        separation: steps taken in a given order, one a source.
        mixture: S_0.
        sources: the truth, as linear magnitudes.
        remaining_weight: weight of the remaining mixture's mean, whose gradient flows through all steps.

    Returns:
        The loss (mean over the batch) and its two parts, unweighted. Source: Sec. 3.4 and 4.2.
    """
    truth = jnp.take_along_axis(sources, separation.chosen.T[:, :, None, None], axis=1).swapaxes(0, 1)
    weight = magnitude_weight(mixture)
    # A comparison has no gradient, so the target is a constant although it depends on earlier steps' masks.
    target = jax.lax.stop_gradient(binary_target(truth, separation.before))
    mask = jnp.mean(weight * binary_cross_entropy(separation.mask_logits, target))
    remaining = jnp.mean(weight * separation.remaining)
    return mask + remaining_weight * remaining, {"loss_mask": mask, "loss_remaining": remaining}
