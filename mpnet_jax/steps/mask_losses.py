"""Targets of masks and losses between a mask and its target, bin by bin. Source: Sec. 3.4 and 4.2."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mpnet_jax.recursion.rules import EPSILON

# Shares are kept this far from 0 and 1, so that their logarithms are finite.
_SHARE_MARGIN = 1e-6


def magnitude_weight(mixture: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Returns the weight of each bin, in [1e-3, 10]; loud bins count more. Source: released code."""
    return jnp.clip(jnp.log1p(mixture), 1e-3, 10.0)


def binary_cross_entropy(logits: Float[Array, "*shape"], targets: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Returns the cross entropy of sigmoid(logits) against targets in [0, 1], in nats."""
    # The usual form max(x, 0) + log1p(exp(-|x|)) has a wrong derivative at exactly zero.
    return jax.nn.softplus(logits) - logits * targets


def binary_target(source: Float[Array, "*#shape"], reference: Float[Array, "*#shape"]) -> Float[Array, "*#shape"]:
    """Returns 1 where a source is more than half of the spectrogram that its mask acts on, else 0. Source: Sec. 3.1."""
    return (source > 0.5 * reference).astype(source.dtype)


def ratio_target(source: Float[Array, "*#shape"], reference: Float[Array, "*#shape"]) -> Float[Array, "*#shape"]:
    """Returns the source's share, in [0, 1], of the spectrogram that its mask acts on. Source: Sec. 4.1."""
    return jnp.clip(source / jnp.maximum(reference, EPSILON), 0.0, 1.0)


TARGETS = {"binary": binary_target, "ratio": ratio_target}


def mask_loss(
    logits: Float[Array, "*shape"], targets: Float[Array, "*shape"], *, distance: str
) -> Float[Array, "*shape"]:
    """Returns the loss of the mask sigmoid(logits), bin by bin.

    Args:
        logits: Logits of the mask.
        targets: Targets in [0, 1].
        distance: "cross_entropy", which is least at the mean of the targets and steep for a wrong mask, or "absolute",
            which is least at their median and flat where the sigmoid saturates.
    """
    if distance == "cross_entropy":
        return binary_cross_entropy(logits, targets)
    return jnp.abs(jax.nn.sigmoid(logits) - targets)


def clipped(share: Float[Array, "*shape"], *, margin: float = 0.0) -> Float[Array, "*shape"]:
    """Returns shares limited to [margin, 1 - margin] in value but not in gradient, so that they can come back."""
    return share + jax.lax.stop_gradient(jnp.clip(share, margin, 1.0 - margin) - share)


def share_loss(
    share: Float[Array, "*shape"], targets: Float[Array, "*shape"], *, distance: str
) -> Float[Array, "*shape"]:
    """Returns the loss of a mask that is not the output of a sigmoid, bin by bin.

    The mask may leave [0, 1]. It is clipped in value but not in gradient, so that it can come back.

    Args:
        share: The mask.
        targets: Targets in [0, 1].
        distance: See `mask_loss`.
    """
    share = clipped(share, margin=_SHARE_MARGIN if distance == "cross_entropy" else 0.0)
    if distance == "cross_entropy":
        return -(targets * jnp.log(share) + (1.0 - targets) * jnp.log1p(-share))
    return jnp.abs(share - targets)
