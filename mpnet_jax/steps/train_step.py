"""One training step, as run on each device."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from mpnet_jax.models.frame_net import NOISE
from mpnet_jax.models.mpnet import MPNet
from mpnet_jax.parallel import mean_over_devices
from mpnet_jax.recursion.candidates import Candidates, EnergyFn, mean_magnitude
from mpnet_jax.recursion.minus_plus import Loop, energy_order, minus_plus
from mpnet_jax.recursion.networks import Batch, WrittenEnergy, apply_net, bind, of_mixture, seen_in
from mpnet_jax.recursion.rules import Rules
from mpnet_jax.spectrogram.frequency import FrequencyAxis
from mpnet_jax.steps.learnt import merge, networks, select
from mpnet_jax.steps.losses import Objective, class_loss, separation_loss
from mpnet_jax.steps.plus_losses import InPhase
from mpnet_jax.steps.train_state import TrainState


def merge_statistics(statistics: Any, sets: int) -> Any:
    """Undoes `networks.statistics_for_steps`: returns one set per step, or the mean over steps for a single set."""
    return jax.tree.map(lambda x: x if x.shape[0] == sets else jnp.mean(x, axis=0, keepdims=True), statistics)


def training_order(
    how: str, sources: Float[Array, "batch source freq time"], energy: EnergyFn
) -> Int[Array, "batch source"] | None:
    """Returns the source that each step takes, or None where the predicted energy decides; see `Objective.order`."""
    if how == "predicted":
        return None
    if how == "drawn":
        return jnp.broadcast_to(jnp.arange(sources.shape[1]), sources.shape[:2])
    return energy_order(sources, energy)


def in_phase_of(batch: Batch, axis: FrequencyAxis) -> InPhase | None:
    """Returns the true sources as the SI-SDR needs them, where a batch holds their parts in phase with the mixture."""
    if "source_in_phase" not in batch:
        return None
    return InPhase(batch["mixture_magnitude"], batch["source_magnitude"], batch["source_in_phase"], axis)


def noise_keys(step: Array, axis_name: str | None) -> dict[str, Array]:
    """Returns the keys of the noise in a training step, another one on each device; a function of the step alone."""
    key = jax.random.fold_in(jax.random.key(0), step)
    return {NOISE: key if axis_name is None else jax.random.fold_in(key, jax.lax.axis_index(axis_name))}


# (parameters that learn, state, batch) -> (loss, (running statistics of all networks, parts of the loss))
LossFn = Callable[[Any, TrainState, Batch], tuple[Array, tuple[Any, dict[str, Array]]]]


@dataclasses.dataclass(frozen=True)
class Learning:
    """How the networks of a round learn.

    Attributes:
        optimiser: Optimiser of what learns, as in the state.
        trained: What learns; see `learnt.select`. All else runs with its running statistics, which stay as they are.
        average_decay: Greatest decay of the running mean of the weights (see `averaged`); 0 keeps none.
        first_step: Step before the round's first one.
    """

    optimiser: optax.GradientTransformation
    trained: Sequence[str]
    average_decay: float = 0.0
    first_step: int = 0


def averaged(mean: Any, new: Any, *, decay: float, steps: Array) -> Any:
    """Returns the exponential running mean of weights and statistics (Polyak and Juditsky 1992).

    Args:
        mean: The mean before this step.
        new: The values after this step.
        decay: Greatest weight of the old mean. It rises to that from 0.1, so that the random start is soon forgotten.
        steps: Steps of the round before this one.
    """
    keep = jnp.minimum(decay, (1.0 + steps) / (10.0 + steps))
    return jax.tree.map(lambda old, value: keep * old + (1.0 - keep) * value, mean, new)


def gradient_step(
    loss_fn: LossFn, learning: Learning
) -> Callable[[TrainState, Batch], tuple[TrainState, dict[str, Array]]]:
    """Builds a training step for a loss.

    Args:
        loss_fn: The loss of one device's share of the batch; what it is given first are the parameters that learn.
        learning: How they learn.

    Returns:
        `(state, batch) -> (state, metrics)`, in which gradients and metrics are means over all devices.
    """

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, dict[str, Array]]:
        learnt = select(state.params, learning.trained)
        gradients, (batch_stats, metrics) = jax.grad(loss_fn, has_aux=True)(learnt, state, batch)
        gradients, metrics = mean_over_devices((gradients, metrics))
        updates, opt_state = learning.optimiser.update(gradients, state.opt_state, learnt)
        learnt: Any = optax.apply_updates(learnt, updates)
        average = state.average
        if learning.average_decay:
            average = averaged(
                average,
                {"params": learnt, "batch_stats": select(batch_stats, learning.trained)},
                decay=learning.average_decay,
                steps=state.step - learning.first_step,
            )
        metrics["gradient_norm"] = optax.tree.norm(gradients)
        return TrainState(state.step + 1, merge(state.params, learnt), batch_stats, opt_state, average), metrics

    return step


def make_train_step(
    model: MPNet,
    learning: Learning,
    *,
    axis_name: str | None,
    axis: FrequencyAxis,
    rules: Rules,
    objective: Objective,
    loop: Loop,
) -> Callable[[TrainState, Batch], tuple[TrainState, dict[str, Array]]]:
    """Builds the training step of MP-Net, which `parallel.parallel_step` runs. Source: Sec. 3.4.

    Args:
        model: The model in evaluation form.
        learning: What learns, and how.
        axis_name: Name of the device axis.
        axis: Frequency axis of the networks.
        rules: Rules of the recursion.
        objective: Loss to minimise.
        loop: How the steps of the recursion are run.

    Returns:
        `(state, batch) -> (state, metrics)`; metrics are means over all devices.
    """
    assert not model.train
    trained = networks(learning.trained)
    with_plus = "plus_net" in trained
    in_training = model.clone(train=True, axis_name=axis_name)
    # The energy of the released code needs a predicted mask, which a true source does not have.
    true_energy = mean_magnitude if isinstance(rules.energy, WrittenEnergy) else rules.energy
    models = {net: in_training if net in trained else model for net in ("frame_net", "minus_net", "plus_net")}

    def loss_fn(learnt: Any, state: TrainState, batch: Batch) -> tuple[Array, tuple[Any, dict[str, Array]]]:
        params = merge(state.params, learnt)
        linear = batch["mixture_magnitude"] + rules.floor  # (batch, freq_linear, time)
        mixture = axis.warp(linear)  # (batch, freq, time)
        sources = axis.warp(batch["source_magnitude"])  # (batch, source, freq, time)
        # The clips of a mixture are the candidates: `vectors` is (batch, source, k).
        vectors, frame_statistics = apply_net(
            models["frame_net"],
            "frame_net",
            params["frame_net"],
            state.batch_stats["frame_net"],
            seen_in(batch),
            method="look",
            rngs=noise_keys(state.step, axis_name),
        )
        steps = sources.shape[1]
        variables = {"params": params, "batch_stats": state.batch_stats}
        separation = minus_plus(
            mixture,
            Candidates(vectors),
            bind(models, variables, steps=steps, with_plus=with_plus, passes=rules.plus_passes),
            steps=steps,
            rules=of_mixture(rules, linear),
            order=training_order(objective.order, sources, true_energy),
            loop=loop,
        )
        loss, parts = separation_loss(
            separation,
            mixture,
            sources,
            rules=rules,
            objective=objective,
            minus_weight=float("minus_net" in trained),
            with_plus=with_plus,
            in_phase=in_phase_of(batch, axis),
        )
        new_statistics = {"frame_net": frame_statistics}
        for name, by_step in separation.statistics.items():
            net = f"{name}_net"
            sets = jax.tree.leaves(state.batch_stats[net])[0].shape[0]
            new_statistics[net] = merge_statistics(by_step, sets)
        batch_stats = state.batch_stats | {net: new for net, new in new_statistics.items() if net in trained}
        if objective.class_weight and "frame_net" in trained:
            logits: Any = model.apply({"params": params}, vectors, method="classify")
            parts["loss_class"] = class_loss(logits, batch["source_label"])
            loss += objective.class_weight * parts["loss_class"]
        return loss, (batch_stats, {"loss": loss, **parts})

    return gradient_step(loss_fn, learning)
