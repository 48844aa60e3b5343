"""The evaluation pass from mixtures to waveforms, for one device of many."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from data_pipeline.spec import AudioSpec
from mpnet_jax.models.mpnet import MPNet
from mpnet_jax.recursion.minus_plus import EPSILON, Rules, Separation, by_candidate
from mpnet_jax.recursion.networks import Batch, separate_clips
from mpnet_jax.spectrogram.frequency import FrequencyAxis
from mpnet_jax.spectrogram.inverse import inverse_stft
from mpnet_jax.steps.losses import TARGETS


def written_shares(
    separation: Separation,
    mixture: Float[Array, "batch rows time"],
    *,
    rules: Rules,
    mask: str,
    axis: FrequencyAxis,
) -> Float[Array, "step batch freq time"]:
    """What share of the linear mixture each step's sound is, as it is written out.

    The recursion is soft throughout. A ratio mask stays so; binary masks are thresholded here and nowhere else, on the
    linear axis: the thresholded M keeps or drops what it acts on, the thresholded M_r gives back or does not what it
    acts on. Source: Sec. 3.1, 3.3 and 4.1.

    Args:
        separation: all steps.
        mixture: S_0 on the network's axis.
        rules: of the separation.
        mask: "binary" or "ratio".
        axis: the network's.

    Returns:
        Shares in [0, 1].
    """

    def linear_share(part: Array) -> Array:
        return axis.unwarp(jnp.clip(part / jnp.maximum(mixture, EPSILON), 0.0, 1.0))

    if mask == "ratio":
        return linear_share(separation.sounds)
    kept = axis.unwarp(separation.masks) > 0.5
    given_back = axis.unwarp(jax.nn.sigmoid(separation.plus_logits)) > 0.5
    shares = kept * linear_share(rules.reference(separation.before, mixture))
    return jnp.minimum(shares + given_back * linear_share(separation.remixes), 1.0)


def waveforms(
    magnitude: Float[Array, "batch sound freq time"], phase: Float[Array, "batch freq time"], audio: AudioSpec
) -> Float[Array, "batch sound samples"]:
    """Sounds of these linear magnitudes, with the mixture's phase in radians."""
    return inverse_stft(
        magnitude * jnp.exp(1j * phase)[:, None],
        fft_samples=audio.fft_samples,
        hop_samples=audio.hop_samples,
        clip_samples=audio.clip_samples,
    )


class Written(NamedTuple):
    """What a method makes of a batch of mixtures, sorted as the visible clips.

    Attributes:
        share: of the linear mixture, in [0, 1]: what is written out.
        mask: on the network's axis.
        before: what the mask acted on.
        step: when each clip's sound was taken.
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
    """Builds the evaluation pass of a method that `parallel.parallel_map` runs: visible clips are the candidates.

    Args:
        separated: (variables, batch, mixture on the network's axis) to what is written out.
        axis: the network's.
        audio: window and transform, for the way back to waveforms.
        floor: see `Rules`.
        mask: "binary" or "ratio".

    Returns:
        `(variables, batch) -> dict` with, sorted as the batch's sources: `magnitude` (batch, source, freq_linear,
        time), what is written out, and `waveform` (batch, source, samples), the same with the mixture's phase;
        `oracle_magnitude` and `oracle_waveform`, by the true masks; `mask`, `before` (what the mask acted on) and
        `true_mask` (batch, source, rows, time); `step` (batch, source), when each was taken.
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
    """Builds the evaluation pass of MP-Net; see `evaluation_step`.

    Args:
        model: in evaluation form: running statistics, so that a result does not depend on its batch.
        axis: the network's.
        audio: window and transform.
        rules: of the recursion.
        mask: "binary" or "ratio".
        with_plus: run the P-Net. Source: Sec. 3.2.
    """
    assert not model.train

    def separated(variables: dict[str, Any], batch: Batch, mixture: Array) -> Written:
        separation = separate_clips(model, variables, batch, mixture, rules=rules, with_plus=with_plus)
        count = batch["frames"].shape[1]
        shares = written_shares(separation, mixture, rules=rules, mask=mask, axis=axis)
        reference = rules.reference(separation.before, mixture)
        return Written(
            share=by_candidate(shares, separation.chosen, count),
            mask=by_candidate(separation.masks, separation.chosen, count),
            before=by_candidate(reference, separation.chosen, count),
            step=jnp.argsort(separation.chosen, axis=0).T,
        )

    return evaluation_step(separated, axis=axis, audio=audio, floor=rules.floor, mask=mask)
