"""MIML's factorisation of clips, its training steps and its evaluation pass, for one device."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from data_pipeline.spec import AudioSpec
from mpnet_jax.methods.miml import nmf
from mpnet_jax.methods.miml.class_net import ClassNet
from mpnet_jax.methods.miml.network import MIML
from mpnet_jax.recursion.networks import Batch, seen_in
from mpnet_jax.recursion.rules import EPSILON
from mpnet_jax.spectrogram.frequency import FrequencyAxis
from mpnet_jax.steps.learnt import merge
from mpnet_jax.steps.separate_step import Written, evaluation_step
from mpnet_jax.steps.train_state import TrainState
from mpnet_jax.steps.train_step import Learning, gradient_step, noise_keys

RELATION_NET = "relation_net"


def make_factorise_step(*, bases: int, beta: float, iterations: int, seed: int) -> Callable[[Any, Batch], Batch]:
    """Builds the pass that factorises clips into bases.

    Args:
        bases: Number of bases for each clip.
        beta: Beta of the divergence; see `nmf.BETAS`.
        iterations: Number of updates.
        seed: Seed of the initial factors.

    Returns:
        `(unused, batch) -> batch`: from `magnitude` (batch, freq, time) and `number` (batch,) to `bases` (batch, basis,
        freq) with a maximum of 1. The initial factors depend on the number of the clip, not on its batch.
    """

    def run(_: Any, batch: Batch) -> Batch:
        key = jax.random.key(seed)

        def start(number: Array, magnitude: Array) -> nmf.Factors:
            return nmf.random_start(jax.random.fold_in(key, number), magnitude, bases)

        starts = jax.vmap(start)(batch["number"], batch["magnitude"])
        found = nmf.factorise(batch["magnitude"], starts, beta=beta, iterations=iterations).bases.mT
        return {"bases": found / jnp.maximum(jnp.max(found, -1, keepdims=True), nmf.EPSILON)}

    return run


def make_relate_step(model: MIML) -> Callable[[dict[str, Any], Batch], dict[str, Array]]:
    """Builds the pass from `bases` (batch, basis, freq) to `relations` (batch, basis, class) that sum to 1."""
    assert not model.train

    def run(variables: dict[str, Any], batch: Batch) -> dict[str, Array]:
        relations: Any = model.apply(variables, batch["bases"], method="relate")
        return {"relations": jax.nn.softmax(relations)}

    return run


def make_miml_train_step(
    model: MIML, learning: Learning, *, axis_name: str | None
) -> Callable[[TrainState, Batch], tuple[TrainState, dict[str, Array]]]:
    """Builds the training step of the network that relates bases to classes, for `parallel.parallel_step`.

    Args:
        model: Network in evaluation form.
        learning: What learns, and how.
        axis_name: Mapped axis of the devices.

    Returns:
        `(state, batch) -> (state, metrics)` for batches of `basis_bank.training_batches`. The metrics are means over
        all devices: the loss, and how often the class with the highest score occurs in the clip.
    """
    in_training = model.clone(train=True, axis_name=axis_name)

    def loss_fn(params: Any, state: TrainState, batch: Batch) -> tuple[Array, tuple[Any, dict[str, Array]]]:
        variables = {"params": params, "batch_stats": state.batch_stats}
        scores, updated = in_training.apply(variables, batch["bases"], mutable=["batch_stats"])
        loss = jnp.mean(multi_label_margin(scores, batch["present"]))
        first = jnp.take_along_axis(batch["present"], jnp.argmax(scores, -1, keepdims=True), -1)
        return loss, (updated["batch_stats"], {"loss": loss, "first_is_there": jnp.mean(first)})

    return gradient_step(loss_fn, learning)


def make_class_step(
    model: ClassNet, learning: Learning, *, axis_name: str | None
) -> Callable[[TrainState, Batch], tuple[TrainState, dict[str, Array]]]:
    """Builds the training step of the class network, for `parallel.parallel_step`.

    Args:
        model: Network in evaluation form.
        learning: What learns, and how.
        axis_name: Mapped axis of the devices.

    Returns:
        `(state, batch) -> (state, metrics)` for batches with `frames` and `source_label`. The metrics are the cross
        entropy and the accuracy.
    """
    in_training = model.clone(train=True, axis_name=axis_name)

    def loss_fn(learnt: Any, state: TrainState, batch: Batch) -> tuple[Array, tuple[Any, dict[str, Array]]]:
        variables = {"params": merge(state.params, learnt), "batch_stats": state.batch_stats}
        scores, updated = in_training.apply(
            variables, seen_in(batch), mutable=["batch_stats"], rngs=noise_keys(state.step, axis_name)
        )
        labels = batch["source_label"]
        loss = jnp.mean(optax.softmax_cross_entropy_with_integer_labels(scores, labels))
        right = jnp.mean(jnp.argmax(scores, -1) == labels)
        return loss, (updated["batch_stats"], {"loss": loss, "right": right})

    return gradient_step(loss_fn, learning)


def make_miml_separate_step(
    class_net: ClassNet | None,
    *,
    axis: FrequencyAxis,
    audio: AudioSpec,
    floor: float,
    mask: str,
    beta: float,
    iterations: int,
) -> Callable[[dict[str, Any], Batch], dict[str, Array]]:
    """Builds the evaluation pass; see `separate_step.evaluation_step`.

    The gains of the bases of all visible classes are fitted to the mixture, and each source gets its share of the sum
    of the estimates. Two sources of one class have the same bases, and so the same share.

    Args:
        class_net: Network in evaluation form that classifies the clips; None takes the classes in `source_label`.
        axis: Frequency axis of the masks that are shown.
        audio: Length of a window and its transform.
        floor: Linear magnitude added to the mixture.
        mask: "ratio" (the shares) or "binary" (the shares thresholded at 0.5).
        beta: Beta of the divergence; see `nmf.BETAS`.
        iterations: Number of updates of the gains.

    Returns:
        The pass, whose variables hold a `dictionary` (class, basis, freq) of `basis_bank.dictionary` and, with a
        `class_net`, the variables of that network.
    """

    def separated(variables: dict[str, Any], batch: Batch, mixture: Float[Array, "batch rows time"]) -> Written:
        linear = batch["mixture_magnitude"] + floor
        if class_net is None:
            labels = batch["source_label"]
        else:
            scores: Any = class_net.apply(variables["class_net"], seen_in(batch))
            labels = jnp.argmax(scores, -1)
        of_sources = variables["dictionary"][labels]
        batch_size, sources, count, freq = of_sources.shape
        bases = of_sources.reshape(batch_size, sources * count, freq).mT
        gains = nmf.fit_gains(linear, bases, beta=beta, iterations=iterations)
        share = nmf.wiener_shares(bases, gains, sources=sources)
        if mask == "binary":
            share = (share > 0.5).astype(share.dtype)
        shown = axis.warp(share * linear[:, None]) / jnp.maximum(mixture[:, None], EPSILON)
        return Written(
            share=share,
            mask=jnp.clip(shown, 0.0, 1.0),
            before=jnp.broadcast_to(mixture[:, None], shown.shape),
            step=jnp.zeros((batch_size, sources), jnp.int32),  # all sources in one step
        )

    return evaluation_step(separated, axis=axis, audio=audio, floor=floor, mask=mask)


def multi_label_margin(
    scores: Float[Array, "*batch class"], present: Float[Array, "*batch class"]
) -> Float[Array, "*batch"]:
    """Returns the multi-label margin loss with margin 1, as PyTorch's `MultiLabelMarginLoss`.

    Args:
        scores: Score of each class.
        present: 1 for the classes that occur, else 0.

    Returns:
        The sum of the hinge losses over all pairs of a present and an absent class, divided by the number of classes.
    """
    hinge = jax.nn.relu(1.0 - (scores[..., :, None] - scores[..., None, :]))
    pairs = present[..., :, None] * (1.0 - present[..., None, :])
    return jnp.sum(hinge * pairs, (-2, -1)) / scores.shape[-1]
