"""PixelPlayer, which separates all sounds in one pass. Source: "The Sound of Pixels" (ECCV 2018)."""

from collections.abc import Callable
from typing import Any, ClassVar, cast

import jax
import jax.numpy as jnp
from jaxtyping import Array

from data_pipeline.spec import AudioSpec
from mpnet_jax.config.rounds import Round, RoundKind
from mpnet_jax.methods import registry, settings
from mpnet_jax.models.pixelplayer import PixelPlayer
from mpnet_jax.parallel import DEVICE_AXIS
from mpnet_jax.recursion.networks import Batch, seen_in
from mpnet_jax.spectrogram.frequency import FrequencyAxis
from mpnet_jax.steps.learnt import merge
from mpnet_jax.steps.losses import class_loss
from mpnet_jax.steps.mask_losses import TARGETS, magnitude_weight, mask_loss
from mpnet_jax.steps.separate_step import Written, evaluation_step
from mpnet_jax.steps.train_state import TrainState
from mpnet_jax.steps.train_step import Learning, gradient_step, noise_keys

NETWORKS = ("frame_net", "sound_net", "synthesizer")


@registry.register
class SoundOfPixels(registry.Method):
    """PixelPlayer with one round, "both", in which all its networks learn."""

    name = "pixelplayer"
    kinds: ClassVar = {"both": RoundKind(NETWORKS, "pixelplayer")}

    def model(self) -> PixelPlayer:
        """Builds the networks, in evaluation form."""
        return PixelPlayer(**settings.visual_fields(self.config))

    def model_inputs(self) -> tuple[jax.ShapeDtypeStruct, ...]:
        """Returns the shapes that the networks are initialised with."""
        return settings.visual_inputs(self.config)

    def train_step(self, each: Round) -> Callable[..., Any]:
        """Builds the training step, for one device."""
        return make_pixelplayer_train_step(
            self.model(),
            settings.learning(self.config, each),
            axis_name=DEVICE_AXIS,
            axis=self.axis,
            floor=self.config.recursion.floor,
            mask=self.config.mask,
            distance=settings.distance(self.config),
            class_weight=self.config.loss.class_weight,
        )

    def separate_step(self, result: str) -> Callable[..., Any]:
        """Builds the evaluation pass, for one device."""
        del result
        return make_pixelplayer_separate_step(
            self.model(), axis=self.axis, audio=self.audio, floor=self.config.recursion.floor, mask=self.config.mask
        )


def make_pixelplayer_train_step(
    model: PixelPlayer,
    learning: Learning,
    *,
    axis_name: str | None,
    axis: FrequencyAxis,
    floor: float,
    mask: str,
    distance: str = "cross_entropy",
    class_weight: float = 0.0,
) -> Callable[[TrainState, Batch], tuple[TrainState, dict[str, Array]]]:
    """Builds the training step, for `parallel.parallel_step`.

    Args:
        model: Networks in evaluation form.
        learning: What learns, and how.
        axis_name: Mapped axis of the devices.
        axis: Frequency axis of the networks.
        floor: Linear magnitude added to the mixture.
        mask: "binary" or "ratio"; the target of a source is its share of the mixture.
        distance: Loss between masks and targets, see `losses.mask_loss`; it is averaged with the magnitude weights.
        class_weight: Weight of the auxiliary classification of the visual vectors.

    Returns:
        `(state, batch) -> (state, metrics)`; metrics are means over all devices.
    """
    in_training = model.clone(train=True, axis_name=axis_name)

    def loss_fn(learnt: Any, state: TrainState, batch: Batch) -> tuple[Array, tuple[Any, dict[str, Array]]]:
        mixture = axis.warp(batch["mixture_magnitude"] + floor)
        targets = TARGETS[mask](axis.warp(batch["source_magnitude"]), mixture[:, None])
        variables = {"params": merge(state.params, learnt), "batch_stats": state.batch_stats}
        (logits, classes), updated = in_training.apply(
            variables, seen_in(batch), mixture, mutable=["batch_stats"], rngs=noise_keys(state.step, axis_name)
        )
        loss = jnp.mean(magnitude_weight(mixture)[:, None] * mask_loss(logits, targets, distance=distance))
        parts: dict[str, Array] = {}
        if class_weight:
            parts["loss_class"] = class_loss(classes, batch["source_label"])
            loss += class_weight * parts["loss_class"]
        return loss, (updated["batch_stats"], {"loss": loss, **parts})

    return gradient_step(loss_fn, learning)


def make_pixelplayer_separate_step(
    model: PixelPlayer, *, axis: FrequencyAxis, audio: AudioSpec, floor: float, mask: str
) -> Callable[[dict[str, Any], Batch], dict[str, Array]]:
    """Builds the evaluation pass; see `separate_step.evaluation_step`.

    Args:
        model: Networks in evaluation form.
        axis: Frequency axis of the networks.
        audio: Length of a window and its transform.
        floor: Linear magnitude added to the mixture.
        mask: "binary" (thresholded at 0.5 on the linear axis) or "ratio".
    """
    assert not model.train

    def separated(variables: dict[str, Any], batch: Batch, mixture: Array) -> Written:
        masks = jax.nn.sigmoid(cast(Any, model.apply(variables, seen_in(batch), mixture))[0])
        share = axis.unwarp(masks)
        return Written(
            share=(share > 0.5).astype(share.dtype) if mask == "binary" else share,
            mask=masks,
            before=jnp.broadcast_to(mixture[:, None], masks.shape),
            step=jnp.zeros(masks.shape[:2], jnp.int32),  # all sources in one step
        )

    return evaluation_step(separated, axis=axis, audio=audio, floor=floor, mask=mask)
