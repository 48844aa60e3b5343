"""The evaluation pass from mixtures to waveforms, as run on each device."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from data_pipeline.spec import AudioSpec
from mpnet_jax.models.mpnet import MPNet
from mpnet_jax.recursion.completion import replayed
from mpnet_jax.recursion.minus_plus import by_candidate
from mpnet_jax.recursion.networks import Batch, seen_in, separate_clips
from mpnet_jax.recursion.rules import EPSILON, Rules
from mpnet_jax.recursion.separation import Separation
from mpnet_jax.spectrogram.frequency import FrequencyAxis
from mpnet_jax.spectrogram.inverse import inverse_stft
from mpnet_jax.steps.mask_losses import TARGETS


def written_shares(
    separation: Separation,
    mixture: Float[Array, "batch rows time"],
    *,
    rules: Rules,
    mask: str,
    axis: FrequencyAxis,
) -> Float[Array, "step batch freq time"]:
    """Returns the share of the linear mixture that each step's sound has when it is written out.

    The recursion itself always uses soft masks. Binary masks are thresholded here and nowhere else, on the linear axis:
    each bin of the thresholded M keeps or drops what M acts on, and each bin of the thresholded M_r adds or does not
    add what M_r acts on. Ratio masks stay soft, but M_r adds nothing up to `Rules.plus_threshold`. Source: Sec. 3.1,
    3.3 and 4.1.

    Args:
        separation: Results of all steps.
        mixture: Whole mixture on the networks' axis, S_0.
        rules: Rules of the recursion.
        mask: "binary" or "ratio".
        axis: Frequency axis of the networks.

    Returns:
        Shares in [0, 1].
    """

    def linear_share(part: Array) -> Array:
        return axis.unwarp(jnp.clip(part / jnp.maximum(mixture, EPSILON), 0.0, 1.0))

    if mask == "ratio" and not rules.plus_threshold:
        return linear_share(separation.sounds)
    reference = rules.reference(separation.before, mixture)
    moved = axis.unwarp(jax.nn.sigmoid(separation.plus_logits))
    if mask == "ratio":
        parts, moved = linear_share(separation.masks * reference), jnp.where(moved > rules.plus_threshold, moved, 0.0)
    else:
        parts = (axis.unwarp(separation.masks) > 0.5) * linear_share(reference)
        moved = (moved > (rules.plus_threshold or 0.5)).astype(parts.dtype)
    written = replayed(parts, moved, linear_share(separation.remixes), jnp.ones((1, 1, 1)), rules=rules)
    return jnp.minimum(written.sounds, 1.0)


def waveforms(
    magnitude: Float[Array, "batch sound freq time"], phase: Float[Array, "batch freq time"], audio: AudioSpec
) -> Float[Array, "batch sound samples"]:
    """Returns the waveforms of linear magnitudes with the phase of the mixture, in radians."""
    return inverse_stft(
        magnitude * jnp.exp(1j * phase)[:, None],
        fft_samples=audio.fft_samples,
        hop_samples=audio.hop_samples,
        clip_samples=audio.clip_samples,
    )


class Written(NamedTuple):
    """The separated sounds of a batch of mixtures, in the order of the clips.

    Attributes:
        share: Share of the linear mixture that is written out, in [0, 1].
        mask: Mask on the networks' axis.
        before: Spectrogram that the mask acted on.
        step: Step of the recursion in which each clip's sound was separated.
    """

    share: Float[Array, "batch source freq time"]
    mask: Float[Array, "batch source rows time"]
    before: Float[Array, "batch source rows time"]
    step: Int[Array, "batch source"]


def evaluation_step(
    separated: Callable[[dict[str, Any], Batch, Array], Written],
    *,
    axis: FrequencyAxis,
    audio: AudioSpec,
    floor: float,
    mask: str,
) -> Callable[[dict[str, Any], Batch], dict[str, Array]]:
    """Builds the evaluation pass of a method, which `parallel.parallel_map` runs.

    Args:
        separated: Function from variables, batch and mixture on the networks' axis to the separated sounds.
        axis: Frequency axis of the networks.
        audio: Window and transform.
        floor: See `Rules`.
        mask: "binary" or "ratio".

    Returns:
        `(variables, batch) -> dict`, all in the order of the batch's sources. `magnitude` (batch, source, freq_linear,
        time) and `waveform` (batch, source, samples) are the separated sounds, `oracle_magnitude` and
        `oracle_waveform` those of the true masks. `mask`, `before` (the spectrogram that the mask acted on) and
        `true_mask` are (batch, source, rows, time). `step` is (batch, source); see `Written`.
    """

    def run(variables: dict[str, Any], batch: Batch) -> dict[str, Array]:
        linear = batch["mixture_magnitude"]
        mixture = axis.warp(linear + floor)
        written = separated(variables, batch, mixture)
        magnitude = written.share * linear[:, None]
        true_mask = TARGETS[mask](axis.warp(batch["source_magnitude"]), mixture[:, None])
        oracle_share = axis.unwarp(true_mask)
        if mask == "binary":
            oracle_share = oracle_share > 0.5
        oracle_magnitude = oracle_share * linear[:, None]
        waveform, oracle_waveform = (
            waveforms(spectrum, batch["mixture_phase"], audio) for spectrum in (magnitude, oracle_magnitude)
        )
        return {
            "magnitude": magnitude,
            "waveform": waveform,
            "oracle_magnitude": oracle_magnitude,
            "oracle_waveform": oracle_waveform,
            "mask": written.mask,
            "before": written.before,
            "true_mask": true_mask,
            "step": written.step,
        }

    return run


def make_separate_step(
    model: MPNet,
    *,
    axis: FrequencyAxis,
    audio: AudioSpec,
    rules: Rules,
    mask: str,
    with_plus: bool,
) -> Callable[[dict[str, Any], Batch], dict[str, Array]]:
    """Builds the evaluation pass of MP-Net; see `evaluation_step`. Source: Sec. 3.2.

    Args:
        model: The model in evaluation form; its running statistics make a result independent of its batch.
        axis: Frequency axis of the networks.
        audio: Window and transform.
        rules: Rules of the recursion.
        mask: "binary" or "ratio".
        with_plus: Whether to run the Plus-Net.
    """
    assert not model.train

    def separated(variables: dict[str, Any], batch: Batch, mixture: Array) -> Written:
        separation = separate_clips(model, variables, batch, mixture, rules=rules, with_plus=with_plus)
        count = seen_in(batch).shape[1]
        shares = written_shares(separation, mixture, rules=rules, mask=mask, axis=axis)
        reference = rules.reference(separation.before, mixture)
        return Written(
            share=by_candidate(shares, separation.chosen, count),
            mask=by_candidate(separation.masks, separation.chosen, count),
            before=by_candidate(reference, separation.chosen, count),
            step=jnp.argsort(separation.chosen, axis=0).T,
        )

    return evaluation_step(separated, axis=axis, audio=audio, floor=rules.floor, mask=mask)
