"""What several methods build from a config in the same way."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from mpnet_jax.config.rounds import Round
from mpnet_jax.config.specs import Config, audio_spec
from mpnet_jax.spectrogram.frequency import FrequencyAxis, frequency_axis
from mpnet_jax.steps import optim


def axis(config: Config) -> FrequencyAxis:
    """Returns the frequency axis of the networks."""
    return frequency_axis(config.audio.frequency_axis, config.audio.frequency_rows, audio_spec(config))


def optimiser(config: Config, each: Round) -> optax.GradientTransformation:
    """Returns the optimiser of a round; its learning rate schedule begins with the round."""
    fields = config.optimiser
    schedule = optim.learning_rate(
        fields.schedule,
        peak=fields.learning_rate * fields.round_scale[each.name],
        steps=each.steps,
        warmup_steps=fields.warmup_steps,
        boundaries=[round(share * each.steps) for share in fields.boundaries],
        decay=fields.decay,
        decay_steps=fields.decay_steps,
    )
    return optim.by_part(
        fields.name,
        schedule,
        scales=fields.scale.to_dict(),
        momentum=fields.momentum,
        weight_decay=fields.weight_decay,
    )


def distance(config: Config, field: str = "ratio") -> str:
    """Returns the loss between masks and targets; a binary target is a probability, so cross entropy alone fits it."""
    return "cross_entropy" if config.mask == "binary" else config.loss[field]


def visual_fields(config: Config) -> dict[str, Any]:
    """Returns the attributes that `MPNet` and `PixelPlayer` share."""
    fields = config.model
    return {
        "visual_channels": fields.visual_channels,
        "unet_depth": fields.unet_depth,
        "unet_features": fields.unet_features,
        "resnet_features": fields.resnet_features,
        "resnet_dilated": fields.resnet_dilated,
        "compute_dtype": None if fields.compute == "float32" else jnp.dtype(fields.compute),
        "log_epsilon": fields.log_epsilon,
        "visual_pooling": fields.visual_pooling,
        "visual_activation": fields.visual_activation,
        "statistics_decay": fields.statistics_decay,
    }


def visual_inputs(config: Config) -> tuple[jax.ShapeDtypeStruct, ...]:
    """Returns the shapes of one clip's frame and one mixture, which `MPNet` and `PixelPlayer` take."""
    side, audio = config.frames.crop_px, audio_spec(config)
    return (
        jax.ShapeDtypeStruct((1, 1, 1, side, side, 3), jnp.uint8),
        jax.ShapeDtypeStruct((1, config.audio.frequency_rows, audio.time_frames), jnp.float32),
    )
