"""What several methods build from a config in the same way."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax

from data_pipeline.command import InputError
from data_pipeline.spec import FeatureSpec
from mpnet_jax.config.rounds import Round
from mpnet_jax.config.specs import Config, audio_spec
from mpnet_jax.models.efficientnet import FEATURES, EfficientNetLite0, normalise_pictures
from mpnet_jax.models.frame_net import FrameNetSpec
from mpnet_jax.pretrained import imagenet
from mpnet_jax.run import features
from mpnet_jax.spectrogram.frequency import FrequencyAxis, frequency_axis
from mpnet_jax.steps import optim
from mpnet_jax.steps.learnt import FRAME_HEAD
from mpnet_jax.steps.train_step import Learning


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


def learning(config: Config, each: Round) -> Learning:
    """Returns what a round trains, and how."""
    decay = config.optimiser.average_decay
    return Learning(optimiser(config, each), each.trained, average_decay=decay, first_step=each.first_step)


def frame_spec(config: Config) -> FrameNetSpec:
    """Returns the kind and size of the frame network."""
    fields = config.model
    return FrameNetSpec(
        kind=fields.frame_net,
        resnet_features=fields.resnet_features,
        dilated=fields.resnet_dilated,
        trained=fields.frame_net_trained,
        noise=fields.feature_noise,
        dropout=fields.feature_dropout,
    )


def has_fixed_features(config: Config) -> bool:
    """Returns whether the frame network is a pretrained trunk that never learns, with a head."""
    return config.model.frame_net != "resnet18" and config.model.frame_net_trained != "all"


def check_frame_net(config: Config) -> None:
    """Raises InputError where fields of the frame network do not go together."""
    fields, data = config.model, config.data
    pretrained = fields.frame_net != "resnet18"
    if not pretrained and (fields.feature_noise or fields.feature_dropout):
        raise InputError(
            "config.model.feature_noise and .feature_dropout need pretrained features; set them to 0, or set "
            "config.model.frame_net to efficientnet_lite0"
        )
    if data.feature_seconds and not has_fixed_features(config):
        raise InputError(
            f"config.data.feature_seconds={data.feature_seconds:g} keeps features of a frozen trunk, and the trunk of "
            f"config.model.frame_net={fields.frame_net} with frame_net_trained={fields.frame_net_trained} learns; set "
            "it to 0, or set frame_net to efficientnet_lite0 and frame_net_trained to head"
        )
    if config.mixing.classifier_share and not data.feature_seconds:
        raise InputError(
            f"config.mixing.classifier_share={config.mixing.classifier_share:g} needs kept features; set it to 0, or "
            "give config.data.feature_seconds a distance, such as 2"
        )
    if config.loss.class_weight and fields.frame_net_trained == "nothing":
        raise InputError(
            "config.loss.class_weight trains the frame network's head, and config.model.frame_net_trained=nothing "
            "keeps it as it is; set one of them otherwise"
        )


def check_class_count(config: Config, classes: Sequence[str], folder: Path) -> None:
    """Raises InputError where the config has another number of classes than the data set."""
    if len(classes) != config.miml.classes:
        raise InputError(
            f"config.miml.classes={config.miml.classes} must be the data set's number of classes; {folder} "
            f"has {len(classes)}"
        )


def trained(config: Config, networks: Sequence[str]) -> tuple[str, ...]:
    """Returns what a round trains, with the part of the frame network that the config lets learn."""
    how = config.model.frame_net_trained
    if "frame_net" not in networks:
        return tuple(networks)
    others = [net for net in networks if net != "frame_net"]
    if how == "nothing":
        return tuple(others)
    classes = ["class_head"] if config.loss.class_weight else []
    return ("frame_net" if how == "all" else FRAME_HEAD, *others, *classes)


def with_pretrained_trunk(config: Config, variables: dict[str, Any]) -> dict[str, Any]:
    """Returns variables whose EfficientNet has the weights that were trained on ImageNet."""
    if config.model.frame_net == "resnet18" or "frame_net" not in variables["params"]:
        return variables
    trunk = imagenet.efficientnet_lite0().variables
    return {part: nets | {"frame_net": nets["frame_net"] | {"trunk": trunk[part]}} for part, nets in variables.items()}


def feature_spec(config: Config, trunk: dict[str, Any]) -> FeatureSpec:
    """Returns which features of frames are kept; `trunk` holds the variables that make them."""
    return FeatureSpec(
        seconds=config.data.feature_seconds,
        views=config.data.feature_views,
        crop_px=config.frames.crop_px,
        trunk=features.hash_of(trunk),
        dilated=config.model.resnet_dilated,
        pooled=config.model.visual_pooling == "mean",
    )


def keep_features(config: Config, trunk: dict[str, Any], stores: Mapping[str, Any]) -> None:
    """Makes the missing features of the splits' frames, and lets batches hold them; see `features.attach`."""
    folder = config.data.feature_directory
    net = EfficientNetLite0(config.model.resnet_dilated)
    features.attach(stores, net, trunk, feature_spec(config, trunk), Path(folder) if folder else None)
    if config.mixing.classifier_share and "train" in stores:
        from data_pipeline.records.class_features import ClassFeatures

        kept = stores["train"].features
        kept.of_classes = ClassFeatures(kept.mean(), imagenet.class_weights(stores["train"].classes))


def distance(config: Config) -> str:
    """Returns the loss between masks and targets; a binary target is a probability, so cross entropy alone fits it."""
    return "cross_entropy" if config.mask == "binary" else config.loss.ratio


def compute_dtype(config: Config) -> jnp.dtype[Any] | None:
    """Returns the type in which the networks compute; None for that of the parameters, float32."""
    return None if config.model.compute == "float32" else jnp.dtype(config.model.compute)


def features_step(config: Config) -> Callable[..., Any]:
    """Builds the pass from `frames` to the `features` of a trunk that never learns, for one device.

    Its variables are those of the trunk, and `features` is float32 (batch, clip, frame, h, w, channel).
    """
    net = EfficientNetLite0(config.model.resnet_dilated, compute_dtype=compute_dtype(config))

    def run(variables: dict[str, Any], batch: dict[str, Any]) -> dict[str, Any]:
        frames = batch["frames"]
        maps: Any = net.apply(variables, normalise_pictures(frames.reshape(-1, *frames.shape[-3:])))
        return {"features": maps.astype(jnp.float32).reshape(*frames.shape[:3], *maps.shape[1:])}

    return run


def visual_fields(config: Config) -> dict[str, Any]:
    """Returns the attributes that `MPNet` and `PixelPlayer` share."""
    fields = config.model
    return {
        "visual_channels": fields.visual_channels,
        "unet_depth": fields.unet_depth,
        "unet_features": fields.unet_features,
        "frame_spec": frame_spec(config),
        "classes": config.miml.classes if config.loss.class_weight else 0,
        "initial_weights": fields.initial_weights,
        "compute_dtype": compute_dtype(config),
        "log_epsilon": fields.log_epsilon,
        "visual_pooling": fields.visual_pooling,
        "visual_activation": fields.visual_activation,
        "statistics_decay": fields.statistics_decay,
    }


def start(config: Config) -> str:
    """Returns what the networks start from where the config names no other run, in one line."""
    if config.model.frame_net == "efficientnet_lite0":
        return "the frame network's trunk starts from ImageNet's weights, all else from random weights"
    return (
        "all networks start from random weights, the frame network too; for one that knows ImageNet set "
        "config.model.frame_net to efficientnet_lite0, or see python -m mpnet_jax.convert"
    )


def seen_shape(config: Config) -> jax.ShapeDtypeStruct:
    """Returns the shape of one clip's frame; for a pretrained trunk, which is not initialised, that of its features."""
    if config.model.frame_net == "efficientnet_lite0":
        return jax.ShapeDtypeStruct((1, 1, 1, 1, 1, FEATURES), jnp.float16)
    side = config.frames.crop_px
    return jax.ShapeDtypeStruct((1, 1, 1, side, side, 3), jnp.uint8)


def visual_inputs(config: Config) -> tuple[jax.ShapeDtypeStruct, ...]:
    """Returns the shapes of one clip's frame and one mixture, which `MPNet` and `PixelPlayer` take."""
    audio = audio_spec(config)
    return (
        seen_shape(config),
        jax.ShapeDtypeStruct((1, config.audio.frequency_rows, audio.time_frames), jnp.float32),
    )
