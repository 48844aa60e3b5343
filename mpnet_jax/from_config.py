"""Builds what a config describes: model, optimiser, matrices, state. Below the commands nothing sees a config."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import optax

from mpnet_jax import optim
from mpnet_jax.config import Config, audio_spec
from mpnet_jax.models.mpnet import MPNet
from mpnet_jax.parallel import DEVICE_AXIS
from mpnet_jax.spectrogram.frequency import unwarp_matrix, warp_matrix
from mpnet_jax.train_state import TrainState, create_train_state
from mpnet_jax.train_step import make_separate_step, make_train_step


def model(config: Config, *, train: bool) -> MPNet:
    """The networks, in training form (batch statistics over all devices) or evaluation form."""
    fields = config.model
    return MPNet(
        visual_channels=fields.visual_channels,
        unet_depth=fields.unet_depth,
        unet_features=fields.unet_features,
        resnet_features=fields.resnet_features,
        resnet_dilated=fields.resnet_dilated,
        stop_gradient_input=fields.stop_gradient_input,
        visual_pooling=fields.visual_pooling,
        visual_activation=fields.visual_activation,
        statistics_decay=fields.statistics_decay,
        train=train,
        axis_name=DEVICE_AXIS if train else None,
    )


def optimiser(config: Config) -> optax.GradientTransformation:
    """The optimiser with its learning rate."""
    fields = config.optimiser
    schedule = optim.learning_rate(
        fields.schedule,
        peak=fields.learning_rate,
        steps=config.steps,
        warmup_steps=fields.warmup_steps,
        boundaries=fields.boundaries,
    )
    return optim.optimiser(fields.name, schedule, momentum=fields.momentum, weight_decay=fields.weight_decay)


def initial_state(config: Config) -> TrainState:
    """The state at step 0, a pure function of the config."""
    side = config.frames.crop_px
    return create_train_state(
        # XLA's own generator: JAX's default one, unrolled for every parameter, takes far longer to compile.
        jax.random.key(config.seed, impl="rbg"),
        model(config, train=False),
        optimiser(config),
        frames_shape=(1, 1, 1, side, side, 3),
        spectrogram_shape=(1, config.audio.frequency_rows, audio_spec(config).time_frames),
        statistics_sets=config.mixing.sources if config.model.statistics_per_step else 1,
    )


def train_step(config: Config) -> Callable[..., Any]:
    """The training step of one device."""
    unroll = {"auto": jax.default_backend() == "cpu", "yes": True, "no": False}[config.recursion.unroll]
    return make_train_step(
        model(config, train=True),
        optimiser(config),
        warp=_matrices(config)[0],
        remaining_weight=config.loss.remaining_weight,
        predicted_order=config.recursion.training_order == "predicted",
        unroll=unroll,
    )


def separate_step(config: Config) -> Callable[..., Any]:
    """The evaluation pass of one device."""
    warp, unwarp = _matrices(config)
    return make_separate_step(model(config, train=False), warp=warp, unwarp=unwarp, audio=audio_spec(config))


def _matrices(config: Config) -> tuple[np.ndarray, np.ndarray]:
    rows, bins = config.audio.frequency_rows, audio_spec(config).freq_bins
    return warp_matrix(rows, bins), unwarp_matrix(bins, rows)
