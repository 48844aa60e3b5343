"""Losses of a separation, on the frequency axis of the networks. Source: Sec. 3.4 and 4.2."""

import dataclasses

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from mpnet_jax.recursion.rules import Rules
from mpnet_jax.recursion.separation import Separation
from mpnet_jax.steps.mask_losses import TARGETS, magnitude_weight, mask_loss
from mpnet_jax.steps.plus_losses import InPhase, completion_loss

_REMAINING_FLOOR = 0.01  # linear magnitude of the remaining mixture that the released code does not penalise


@dataclasses.dataclass(frozen=True)
class Objective:
    """The loss that a training step minimises.

    Attributes:
        mask: Kind of the masks' targets, "binary" or "ratio".
        distance: Distance between a mask and its target, "cross_entropy" or "absolute"; see `mask_loss`.
        plus_distance: Distance between a sound completed by the Plus-Net and its source; see `completion_loss`.
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
    in_phase: InPhase | None = None,
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
        in_phase: True sources as the SI-SDR of the completed sounds needs them; None for every other distance.

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
        parts["loss_plus"] = completion_loss(
            separation,
            truth,
            mixture,
            mask=objective.mask,
            distance=objective.plus_distance,
            of_sum=objective.plus == "sum",
            rules=rules,
            in_phase=in_phase,
        )
        loss += parts["loss_plus"]
    return loss, parts
