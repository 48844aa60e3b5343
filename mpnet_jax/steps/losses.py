"""Losses of a separation, all on the network's frequency axis."""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mpnet_jax.recursion.minus_plus import EPSILON, Rules, Separation

# A share this close to 0 or 1 has a finite logarithm; inside the bounds nothing changes.
_SHARE_MARGIN = 1e-6
_REMAINING_FLOOR = 0.01  # linear magnitude that the released code lets remain


@dataclasses.dataclass(frozen=True)
class Objective:
    """What a training step minimises.

    Attributes:
        mask: what the masks are to be: "binary" or "ratio".
        distance: of a mask from its target: "cross_entropy" or "absolute", see `mask_loss`.
        plus_distance: the same of the sounds after the P-Net, see `share_loss`.
        plus: of the sounds after the P-Net: "effective", the whole sound's share of S_0 against the source's (Eqs. 9
            and 10), or "sum", M + M_r against the same (the paper's words).
        remaining: what is meant by what remains: "after", what the last step leaves, whose gradient flows through all
            steps, or "before", what the last step was given, above 0.01 and without a gradient (released code).
        remaining_weight: of the weighted mean of that.
        index_ratio: weigh the sources' losses by 2^n / N, n a source's place in the mixture from 0 on (released code).
        order: of the sources: by true energy ("ground_truth"), by "predicted" energy, or as they were "drawn": at
            random, but that a silent one is never first.
    """

    mask: str = "binary"
    distance: str = "cross_entropy"
    plus_distance: str = "cross_entropy"
    plus: str = "effective"
    remaining: str = "after"
    remaining_weight: float = 0.1
    index_ratio: bool = False
    order: str = "ground_truth"


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


def ratio_target(source: Float[Array, "*#shape"], reference: Float[Array, "*#shape"]) -> Float[Array, "*#shape"]:
    """The source's share of what its mask acts on, in [0, 1]; shapes broadcast. Source: Sec. 4.1."""
    return jnp.clip(source / jnp.maximum(reference, EPSILON), 0.0, 1.0)


TARGETS = {"binary": binary_target, "ratio": ratio_target}


def mask_loss(
    logits: Float[Array, "*shape"], targets: Float[Array, "*shape"], *, distance: str
) -> Float[Array, "*shape"]:
    """Loss of the mask sigmoid(logits).

    Args:
        logits: of the mask.
        targets: in [0, 1].
        distance: "cross_entropy", least at the targets' mean and steep where a mask is wrong, or "absolute", least at
            their median and flat where the sigmoid is.
    """
    if distance == "cross_entropy":
        return binary_cross_entropy(logits, targets)
    return jnp.abs(jax.nn.sigmoid(logits) - targets)


def share_loss(
    share: Float[Array, "*shape"], targets: Float[Array, "*shape"], *, distance: str
) -> Float[Array, "*shape"]:
    """Loss of a mask that is no sigmoid's output: it may leave [0, 1], and its gradient does not end there.

    Args:
        share: the mask.
        targets: in [0, 1].
        distance: see `mask_loss`.
    """
    margin = _SHARE_MARGIN if distance == "cross_entropy" else 0.0
    clipped = jnp.clip(share, margin, 1.0 - margin)
    share = share + jax.lax.stop_gradient(clipped - share)
    if distance == "cross_entropy":
        return -(targets * jnp.log(share) + (1.0 - targets) * jnp.log1p(-share))
    return jnp.abs(share - targets)


def separation_loss(
    separation: Separation,
    mixture: Float[Array, "batch freq time"],
    sources: Float[Array, "batch source freq time"],
    *,
    rules: Rules,
    objective: Objective,
    minus_weight: float,
    with_plus: bool,
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    """Loss of the M-Net's masks, of the sounds after the P-Net, and of what remains.

    Args:
        separation: steps taken in a given order, one a source.
        mixture: S_0.
        sources: the truth, as linear magnitudes.
        rules: of the separation.
        objective: see there.
        minus_weight: of M against its target, the source's share of what M acts on.
        with_plus: add the loss of the sounds after the P-Net.

    Returns:
        The loss (mean over steps and batch) and its parts, unweighted: `loss_minus`, `loss_plus` (only with a P-Net)
        and `loss_remaining`. Source: Sec. 3.4 and 4.2.
    """
    truth = jnp.take_along_axis(sources, separation.chosen.T[:, :, None, None], axis=1).swapaxes(0, 1)
    weight = magnitude_weight(mixture)
    source_weight = weight
    if objective.index_ratio:
        source_weight = weight * (2.0**separation.chosen / sources.shape[1])[:, :, None, None]
    reference = rules.reference(separation.before, mixture)
    # What a mask acts on depends on earlier steps' masks; its target is a constant all the same.
    target = jax.lax.stop_gradient(TARGETS[objective.mask](truth, reference))
    minus = mask_loss(separation.mask_logits, target, distance=objective.distance)
    left = separation.remaining
    if objective.remaining == "before":
        left = jax.nn.relu(jax.lax.stop_gradient(separation.before[-1]) - _REMAINING_FLOOR)
    parts = {"loss_minus": jnp.mean(source_weight * minus), "loss_remaining": jnp.mean(weight * left)}
    loss = minus_weight * parts["loss_minus"] + objective.remaining_weight * parts["loss_remaining"]
    if with_plus:
        whole = separation.sounds / jnp.maximum(mixture, EPSILON)
        if objective.plus == "sum":
            whole = jax.nn.sigmoid(separation.mask_logits) + jax.nn.sigmoid(separation.plus_logits)
        of_whole = share_loss(whole, TARGETS[objective.mask](truth, mixture), distance=objective.plus_distance)
        parts["loss_plus"] = jnp.mean(weight * of_whole)
        loss += parts["loss_plus"]
    return loss, parts
