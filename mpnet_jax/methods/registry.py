"""Builds what a config describes: model, optimiser, matrices, state. Below the commands nothing sees a config."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from absl import logging

from data_pipeline.command import InputError
from mpnet_jax.config.rounds import Round, plan_rounds, round_of
from mpnet_jax.config.specs import Config, audio_spec
from mpnet_jax.methods.miml import nmf
from mpnet_jax.methods.miml.class_net import ClassNet
from mpnet_jax.methods.miml.network import MIML
from mpnet_jax.methods.miml.steps import (
    CLASS_TRUNK,
    make_class_step,
    make_factorise_step,
    make_miml_separate_step,
    make_miml_train_step,
    make_relate_step,
)
from mpnet_jax.methods.pixelplayer import make_pixelplayer_separate_step, make_pixelplayer_train_step
from mpnet_jax.models.mpnet import MPNet
from mpnet_jax.models.pixelplayer import PixelPlayer
from mpnet_jax.models.transfer import has_learnt, plus_of_minus
from mpnet_jax.parallel import DEVICE_AXIS
from mpnet_jax.recursion.candidates import ENERGIES
from mpnet_jax.recursion.minus_plus import Rules
from mpnet_jax.recursion.networks import WrittenEnergy
from mpnet_jax.spectrogram.frequency import FrequencyAxis, frequency_axis
from mpnet_jax.steps import optim
from mpnet_jax.steps.count_step import make_count_step
from mpnet_jax.steps.losses import Objective
from mpnet_jax.steps.place_step import Search, make_place_step
from mpnet_jax.steps.separate_step import make_separate_step
from mpnet_jax.steps.train_state import TrainState, create_train_state
from mpnet_jax.steps.train_step import make_train_step


def rounds(config: Config) -> tuple[Round, ...]:
    """The rounds of training, in their order."""
    return plan_rounds(config.rounds.to_dict(), trained_before=bool(config.start_from), method=config.method)


def model(config: Config) -> MPNet | PixelPlayer | MIML:
    """The networks, in evaluation form; MP-Net's with a P-Net where a round trains one."""
    fields = config.model
    if config.method == "miml":
        own = config.miml
        return MIML(own.classes, own.concepts, own.features, statistics_decay=fields.statistics_decay)
    shared = {
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
    if config.method == "pixelplayer":
        return PixelPlayer(**shared)
    with_plus = any(r.with_plus for r in rounds(config))
    return MPNet(
        **shared,
        plus_features=fields.plus_features if with_plus else 0,
        plus_bias=fields.plus_bias,
        stop_gradient_input=fields.stop_gradient_input,
    )


def rules(config: Config, *, epsilon_relative: float | None = None, epsilon_absolute: float = 0.0) -> Rules:
    """The recursion's rules; unless epsilon is given every step runs, as all methods know the number (Sec. 4.2)."""
    fields = config.recursion
    energy = WrittenEnergy(axis(config)) if fields.energy == "written" else ENERGIES[fields.energy]
    return Rules(
        mask_on=fields.mask_on,
        subtraction=fields.subtraction,
        subtracted=fields.subtracted,
        energy=energy,
        floor=fields.floor,
        epsilon_relative=epsilon_relative,
        epsilon_absolute=epsilon_absolute,
    )


def axis(config: Config) -> FrequencyAxis:
    """The frequency axis that the networks see."""
    return frequency_axis(config.audio.frequency_axis, config.audio.frequency_rows, audio_spec(config))


def optimiser(config: Config, of: Round) -> optax.GradientTransformation:
    """The optimiser of a round, whose learning rate starts anew."""
    fields = config.optimiser
    schedule = optim.learning_rate(
        fields.schedule,
        peak=fields.learning_rate * fields.round_scale[of.name],
        steps=of.steps,
        warmup_steps=fields.warmup_steps,
        boundaries=[round(share * of.steps) for share in fields.boundaries],
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


def initial_state(config: Config) -> TrainState:
    """The state at step 0, a pure function of the config; `state_in` adds an optimiser's."""
    audio, side, networks = audio_spec(config), config.frames.crop_px, model(config)
    if isinstance(networks, MIML):
        inputs = (jax.ShapeDtypeStruct((1, config.miml.bases, audio.freq_bins), jnp.float32),)
    else:
        frames = jax.ShapeDtypeStruct((1, 1, 1, side, side, 3), jnp.uint8)
        inputs = (frames, jax.ShapeDtypeStruct((1, config.audio.frequency_rows, audio.time_frames), jnp.float32))
    return create_train_state(
        # XLA's own generator: JAX's default one, unrolled for every parameter, takes far longer to compile.
        jax.random.key(config.seed, impl="rbg"),
        networks,
        inputs=inputs,
        statistics_sets=config.mixing.sources if config.model.statistics_per_step else 1,
    )


def state_at(config: Config, step: int) -> TrainState:
    """The initial state with an optimiser's of the round that step number `step` belonged to: a checkpoint's shape."""
    return state_in(config, initial_state(config), round_of(rounds(config), step))


def state_in(config: Config, state: TrainState, of: Round) -> TrainState:
    """A state at the start of a round: its optimiser knows nothing yet."""
    return state.with_optimiser(optimiser(config, of), of.trained)


def begin(config: Config, state: TrainState, of: Round) -> TrainState:
    """The (host) state that a round begins with, of the one that the round before it left."""
    if of.with_plus and config.model.plus_start == "minus_net":
        statistics = state.batch_stats
        if has_learnt(statistics["minus_net"]) and not has_learnt(statistics["plus_net"]):
            logging.info("the P-Net begins as the M-Net's U-Net")
            state = state.replace(**plus_of_minus(state.variables))
    return state_in(config, state, of)


def train_step(config: Config, of: Round) -> Callable[..., Any]:
    """The training step of a round, for one device."""
    networks = model(config)
    if isinstance(networks, PixelPlayer):
        return make_pixelplayer_train_step(
            networks,
            optimiser(config, of),
            axis_name=DEVICE_AXIS,
            axis=axis(config),
            floor=config.recursion.floor,
            mask=config.mask,
            distance=_distance(config),
        )
    if isinstance(networks, MIML):
        return make_miml_train_step(networks, optimiser(config, of), axis_name=DEVICE_AXIS)
    unroll = {"auto": jax.default_backend() == "cpu", "yes": True, "no": False}[config.recursion.unroll]
    return make_train_step(
        networks,
        optimiser(config, of),
        axis_name=DEVICE_AXIS,
        round_name=of.name,
        axis=axis(config),
        rules=rules(config),
        objective=Objective(
            mask=config.mask,
            distance=_distance(config),
            plus_distance=_distance(config, "ratio_plus"),
            plus=config.loss.plus,
            remaining=config.loss.remaining,
            remaining_weight=config.loss.remaining_weight,
            index_ratio=config.loss.index_ratio,
            order=config.recursion.training_order,
        ),
        unroll=unroll,
    )


def _distance(config: Config, field: str = "ratio") -> str:
    """What is minimised between masks and their targets; a binary target has a probability alone."""
    return "cross_entropy" if config.mask == "binary" else config.loss[field]


def separate_step(config: Config, *, with_plus: bool, told_classes: bool = False) -> Callable[..., Any]:
    """The evaluation pass of one device: MP-Net, the M-Net alone, PixelPlayer or MIML, which may be told classes."""
    networks = model(config)
    shared = {"axis": axis(config), "audio": audio_spec(config), "mask": config.mask}
    if isinstance(networks, PixelPlayer):
        return make_pixelplayer_separate_step(networks, floor=config.recursion.floor, **shared)
    if isinstance(networks, MIML):
        return make_miml_separate_step(
            None if told_classes else class_net(config),
            floor=config.recursion.floor,
            beta=nmf.BETAS[config.miml.divergence],
            iterations=config.miml.separation_iterations,
            **shared,
        )
    return make_separate_step(networks, rules=rules(config), with_plus=with_plus, **shared)


def class_net(config: Config) -> ClassNet:
    """MIML's class network, in evaluation form."""
    fields = config.model
    return ClassNet(
        config.miml.classes,
        fields.resnet_features,
        fields.resnet_dilated,
        statistics_decay=fields.statistics_decay,
    )


def class_state(config: Config) -> TrainState:
    """The class network's state at step 0; that of the seed."""
    side = config.frames.crop_px
    frames = jnp.zeros((1, 1, 1, side, side, 3), jnp.uint8)
    variables = jax.jit(class_net(config).init)(jax.random.key(config.seed, impl="rbg"), frames)
    state = TrainState(jnp.zeros((), jnp.int32), dict(variables["params"]), dict(variables["batch_stats"]), ())
    return state.with_optimiser(_class_optimiser(config), (CLASS_TRUNK,))


def class_step(config: Config) -> Callable[..., Any]:
    """The training step of the class network, for one device."""
    return make_class_step(class_net(config), _class_optimiser(config), axis_name=DEVICE_AXIS)


def _class_optimiser(config: Config) -> optax.GradientTransformation:
    steps = config.miml.class_steps
    return optax.adam(
        optim.learning_rate("cosine", peak=config.miml.class_rate, steps=steps, warmup_steps=steps // 20, boundaries=())
    )


def factorise_step(config: Config) -> Callable[..., Any]:
    """MIML's pass of one device from clips to their bases."""
    return make_factorise_step(
        bases=config.miml.bases,
        beta=nmf.BETAS[config.miml.divergence],
        iterations=config.miml.iterations,
        seed=config.seed,
    )


def relate_step(config: Config) -> Callable[..., Any]:
    """MIML's pass of one device from bases to their relations to the classes."""
    networks = model(config)
    assert isinstance(networks, MIML)
    return make_relate_step(networks)


def place_step(
    config: Config,
    *,
    with_plus: bool,
    steps: int,
    place_side: int = 1,
    mask: str | None = None,
    epsilon_relative: float | None = None,
    epsilon_absolute: float = 0.0,
) -> Callable[..., Any]:
    """The pass of one device for real videos, whose places are the candidates.

    Args:
        config: the run's.
        with_plus: run the P-Net.
        steps: greatest number of sounds.
        place_side: see `visual.place_vectors`.
        mask: what is written out, "binary" or "ratio"; None takes what the networks learnt.
        epsilon_relative: see `Rules`; None takes out that many sounds.
        epsilon_absolute: see `Rules`.
    """
    return make_place_step(
        _recursive(config, place_side),
        axis=axis(config),
        audio=audio_spec(config),
        rules=rules(config, epsilon_relative=epsilon_relative, epsilon_absolute=epsilon_absolute),
        mask=mask or config.mask,
        with_plus=with_plus,
        search=Search(steps, config.recursion.neighbourhood),
    )


def count_step(config: Config, *, with_plus: bool, mode: str) -> Callable[..., Any]:
    """The pass of one device that tells what is left after each sound, with clips or places as candidates.

    Args:
        config: the run's.
        with_plus: run the P-Net.
        mode: one of `count_step.MODES`.
    """
    return make_count_step(
        _recursive(config, config.recursion.place_side),
        axis=axis(config),
        rules=rules(config),
        with_plus=with_plus,
        neighbourhood=config.recursion.neighbourhood if mode == "pixels" else None,
    )


def _recursive(config: Config, place_side: int) -> MPNet:
    networks = model(config)
    if not isinstance(networks, MPNet):
        raise InputError(f"config.method={config.method} has no recursion; take a run of config.method=mpnet")
    return networks.clone(place_side=place_side)
