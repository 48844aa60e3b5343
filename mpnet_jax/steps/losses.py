"""Losses of a separation, on the frequency axis of the networks. Source: Sec. 3.4 and 4.2."""

import dataclasses

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from mpnet_jax.recursion.minus_plus import EPSILON, Rules, Separation

# Shares are kept this far from 0 and 1, so that their logarithms are finite.
_SHARE_MARGIN = 1e-6
_REMAINING_FLOOR = 0.01  # linear magnitude of the remaining mixture that the released code does not penalise


@dataclasses.dataclass(frozen=True)
class Objective:
    """The loss that a training step minimises.

    Attributes:
        mask: Kind of the masks' targets, "binary" or "ratio".
        distance: Distance between a mask and its target, "cross_entropy" or "absolute"; see `mask_loss`.
        plus_distance: Distance between a sound completed by the Plus-Net and its source; see `share_loss`.
        plus: Estimate that the loss of the Plus-Net compares with the source's share of S_0: "effective" for the share
            of the completed sound (Eqs. 9 and 10), or "sum" for M + M_r (the paper's words).
        remaining: Remaining mixture that is penalised: "after" the last step, with a gradient through all steps, or
            "before" the last step, above 0.01 and without a gradient (released code).
        remaining_weight: Weight of that penalty.
        index_ratio: Whether to weight the loss of source n of N, counted from 0, by 2^n / N (released code).
        order: Order in which the sources are separated: by true energy ("ground_truth"), by "predicted" energy, or as
            they were "drawn" (at random, except that a silent source is never the first).
        class_weight: Weight of the auxiliary classification of the visual vectors, `class_loss`.
    """

    mask: str = "binary"
    distance: str = "cross_entropy"
    plus_distance: str = "cross_entropy"
    plus: str = "effective"
    remaining: str = "after"
    remaining_weight: float = 0.1
    index_ratio: bool = False
    order: str = "ground_truth"
    class_weight: float = 0.0


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
    margin = _SHARE_MARGIN if distance == "cross_entropy" else 0.0
    clipped = jnp.clip(share, margin, 1.0 - margin)
    share = share + jax.lax.stop_gradient(clipped - share)  # a straight-through gradient
    if distance == "cross_entropy":
        return -(targets * jnp.log(share) + (1.0 - targets) * jnp.log1p(-share))
    return jnp.abs(share - targets)


def class_loss(logits: Float[Array, "batch source class"], labels: Int[Array, "batch source"]) -> Float[Array, ""]:
    """Returns the mean cross entropy of the sources' classes, in nats."""
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, labels))


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
    """Returns the loss of the Minus-Net's masks, of the completed sounds, and of the remaining mixture.

    Args:
        separation: Results of the recursion, one step per source.
        mixture: Whole mixture, S_0.
        sources: True sources as linear magnitudes.
        rules: Rules of the recursion.
        objective: Loss to minimise.
        minus_weight: Weight of the loss of the Minus-Net's masks.
        with_plus: Whether to add the loss of the sounds completed by the Plus-Net.

    Returns:
        The loss (mean over steps and batch) and its unweighted parts `loss_minus`, `loss_plus` (with a Plus-Net only)
        and `loss_remaining`. Source: Sec. 3.4 and 4.2.
    """
    # The true source of each step's candidate: (batch, source, freq, time) to (step, batch, freq, time).
    truth = jnp.take_along_axis(sources, separation.chosen.T[:, :, None, None], axis=1).swapaxes(0, 1)
    weight = magnitude_weight(mixture)
    source_weight = weight
    if objective.index_ratio:
        source_weight = weight * (2.0**separation.chosen / sources.shape[1])[:, :, None, None]
    reference = rules.reference(separation.before, mixture)
    # The remaining mixture depends on the masks of earlier steps, but the target of a mask must not train those.
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
