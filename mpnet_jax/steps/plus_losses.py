"""Losses of the sounds that the Plus-Net completed. Source: Sec. 3.4; all but the shares are this project's own."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from mpnet_jax.recursion.completion import replayed
from mpnet_jax.recursion.rules import EPSILON, Rules
from mpnet_jax.recursion.separation import Separation
from mpnet_jax.spectrogram.frequency import FrequencyAxis
from mpnet_jax.steps.mask_losses import (
    TARGETS,
    binary_cross_entropy,
    clipped,
    magnitude_weight,
    share_loss,
)

# Greatest weight of a bin that M_r should move, relative to one that it should leave: such bins are rare.
_MOST_WEIGHT = 10.0
_LEAST_RATIO = 1e-3  # ratios of energies above 30 dB or below -30 dB change the loss no further


class InPhase(NamedTuple):
    """Linear-frequency magnitudes that the SI-SDR of sounds with the mixture's phase is computed from.

    Attributes:
        mixture: Magnitudes of the mixture.
        sources: Magnitudes of the true sources.
        in_phase: Their parts in phase with the mixture, |S| cos(angle between S and X), which may be negative.
        axis: Frequency axis of the networks.
    """

    mixture: Float[Array, "batch bins time"]
    sources: Float[Array, "batch source bins time"]
    in_phase: Float[Array, "batch source bins time"]
    axis: FrequencyAxis


def completion_loss(
    separation: Separation,
    truth: Float[Array, "step batch freq time"],
    mixture: Float[Array, "batch freq time"],
    *,
    mask: str,
    distance: str,
    of_sum: bool,
    rules: Rules,
    in_phase: InPhase | None,
) -> Float[Array, ""]:
    """Returns the loss of the sounds after the Plus-Net, as a mean over steps and batch.

    Args:
        separation: Results of the recursion.
        truth: True source of each step.
        mixture: Whole mixture, S_0.
        mask: Kind of the masks' targets, "binary" or "ratio".
        distance: "cross_entropy" or "absolute" between the sound's share of the mixture and the target, "magnitude",
            "log_magnitude", "si_sdr" or "missed"; see the functions of these names.
        of_sum: Whether the share is M + M_r, as the paper says, instead of that of the completed sound.
        rules: Rules of the recursion.
        in_phase: The true sources for "si_sdr".
    """
    if distance in ("magnitude", "log_magnitude"):
        return jnp.mean(magnitude(separation.sounds, truth, mixture, logarithmic=distance == "log_magnitude"))
    if distance == "missed":
        return jnp.mean(missed(separation, truth, mixture, mask=mask, rules=rules))
    whole = separation.sounds / jnp.maximum(mixture, EPSILON)
    if distance == "si_sdr":
        assert in_phase is not None
        return jnp.mean(si_sdr(whole, separation.chosen, in_phase))
    if of_sum:
        whole = jax.nn.sigmoid(separation.mask_logits) + jax.nn.sigmoid(separation.plus_logits)
    of_whole = share_loss(whole, TARGETS[mask](truth, mixture), distance=distance)
    return jnp.mean(magnitude_weight(mixture) * of_whole)


def magnitude(
    sounds: Float[Array, "step batch freq time"],
    truth: Float[Array, "step batch freq time"],
    mixture: Float[Array, "batch freq time"],
    *,
    logarithmic: bool,
) -> Float[Array, "step batch freq time"]:
    """Returns the absolute difference of the sounds' magnitudes, bin by bin, for mixtures of any level.

    Linear magnitudes are relative to the mean of the mixture, so loud bins dominate as they do in a ratio of
    energies. Logarithmic ones are log(1 + magnitude), the scale of the other losses' weights.
    """
    if logarithmic:
        return jnp.abs(jnp.log1p(sounds) - jnp.log1p(truth))
    level = jnp.maximum(jnp.mean(mixture, (-2, -1), keepdims=True), EPSILON)
    return jnp.abs(sounds - truth) / level


def missed(
    separation: Separation,
    truth: Float[Array, "step batch freq time"],
    mixture: Float[Array, "batch freq time"],
    *,
    mask: str,
    rules: Rules,
) -> Float[Array, "call batch freq time"]:
    """Returns the cross entropy of M_r with what the sound lacks, bin by bin, for each call but the first.

    The target of M_r is related to what it acts on as the targets of M are: for ratio masks it is the share of that
    which the sound lacks, for binary masks 1 where the sound lacks more than half of it, which is where moving it
    brings the sound nearer. A bin weighs as much as M_r could move there.

    The gradient with respect to the logits of M_r is M_r minus its target. That of a loss of the complete sound has the
    factor M_r (1 - M_r) instead, so it vanishes where M_r is near 0, and M_r then stays there.

    Binary masks are written out thresholded, so the target follows from what the thresholded sound lacks. Bins that
    should move are rare then. They weigh as much as all others together, but each at most `_MOST_WEIGHT` times as much.
    """
    steps, calls = len(truth), len(separation.plus_logits)
    # The first call never runs: no sound comes before the first step.
    logits = separation.plus_logits[1:]
    if mask == "binary":
        kept = (separation.masks > 0.5) * rules.reference(separation.before, mixture)
        moved = (jax.nn.sigmoid(separation.plus_logits) > 0.5).astype(kept.dtype)
        written = replayed(kept, moved, separation.remixes, mixture, rules=rules)
        incomplete, sources = written.incomplete[1:], written.sources[1:]
    else:
        incomplete, sources = separation.incomplete[1:], separation.remixes[1:]
    incomplete, sources = jax.lax.stop_gradient((incomplete, sources))
    lacking = jnp.concatenate([truth] * (calls // steps))[1:] - incomplete
    target = TARGETS[mask](lacking, sources)
    stake = magnitude_weight(mixture) * jnp.minimum(sources / jnp.maximum(mixture, EPSILON), 1.0)
    if mask == "binary":
        # Of each call and sample, so that no sample depends on its batch.
        positive, negative = (jnp.sum(stake * part, (-2, -1), keepdims=True) for part in (target, 1.0 - target))
        balance = jnp.clip(negative / jnp.maximum(positive, EPSILON), 1.0, _MOST_WEIGHT)
        stake = stake * jnp.where(target > 0, balance, 1.0)
    return stake * binary_cross_entropy(logits, target)


def si_sdr(
    share: Float[Array, "step batch freq time"], chosen: Int[Array, "step batch"], truth: InPhase
) -> Float[Array, "step batch"]:
    """Returns the negative SI-SDR of each sound with the mixture's phase, in bels (decibels / 10), within 30 dB.

    It is computed from complex spectrograms and runs no inverse transform. By Parseval's theorem, products of
    spectrograms are nearly those of the waveforms: the windows overlap evenly except at the ends, and the inverse
    transform removes only what no waveform has. Since the estimate has the mixture's phase, its product with a source
    is that of its magnitude with the source's part in phase. For a silent source, the result is the level
    of the estimate above that of the mixture less 30 dB, at least 0.

    Args:
        share: Share of the mixture that each sound has, on the networks' axis.
        chosen: Source of each step.
        truth: Mixture and true sources. Source: Le Roux et al. 2019, "SDR - half-baked or well done?"; the bound as in
            Wisdom et al. 2020, "Unsupervised sound separation using mixture invariant training".
    """

    def of_steps(values: Array) -> Array:
        return values[jnp.arange(len(values)), chosen]  # (batch, source, ...) to (step, batch, ...)

    def product(one: Array, other: Array) -> Array:
        # All bins but the first and the last stand for two, of positive and negative frequency.
        return 2 * jnp.sum(one * other, (-2, -1)) - jnp.sum((one * other)[..., (0, -1), :], (-2, -1))

    estimate = truth.axis.unwarp(clipped(share)) * truth.mixture
    energy, mixture_energy = product(estimate, estimate), product(truth.mixture, truth.mixture)
    source_energy = of_steps(product(truth.sources, truth.sources))
    least = _LEAST_RATIO**2 * mixture_energy + EPSILON**2
    silent = source_energy <= least
    along = jnp.maximum(product(estimate, of_steps(truth.in_phase)), 0.0)
    # Share of the estimate's energy that lies along the source, and the ratio of that to the rest.
    like = along**2 / (jnp.maximum(energy, least) * jnp.where(silent, 1.0, source_energy))
    ratio = (like + _LEAST_RATIO) / (jnp.maximum(1.0 - like, 0.0) + _LEAST_RATIO)
    level = energy / jnp.maximum(mixture_energy, least)
    return jnp.where(silent, jnp.log10((level + _LEAST_RATIO) / _LEAST_RATIO), -jnp.log10(ratio))
