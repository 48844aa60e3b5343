"""One training step and one evaluation pass, for one device of many."""

from collections.abc import Callable
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from data_pipeline.spec import AudioSpec
from mpnet_jax.losses import binary_target, minus_loss
from mpnet_jax.minus_plus import Separation, by_candidate, energy_order, minus_plus
from mpnet_jax.models.mpnet import MPNet
from mpnet_jax.parallel import mean_over_devices
from mpnet_jax.spectrogram.inverse import inverse_stft
from mpnet_jax.train_state import TrainState

Batch = dict[str, Array]
EPSILON = 1e-6


def to_rows(matrix: np.ndarray, magnitude: Float[Array, "*batch freq time"]) -> Float[Array, "*batch rows time"]:
    """Changes the frequency axis by a constant matrix (rows, freq)."""
    return jnp.einsum("rf,...ft->...rt", jnp.asarray(matrix), magnitude)


def statistics_for_steps(statistics: Any, steps: int) -> Any:
    """One set of running statistics a step; steps beyond the last set use the last one."""
    return jax.tree.map(lambda x: x[np.minimum(np.arange(steps), x.shape[0] - 1)], statistics)


def merge_statistics(statistics: Any, sets: int) -> Any:
    """Undoes `statistics_for_steps` after a training step: the sets themselves, or the steps' mean for one set."""
    return jax.tree.map(lambda x: x if x.shape[0] == sets else jnp.mean(x, axis=0, keepdims=True), statistics)


def separate(
    model: MPNet,
    variables: dict[str, Any],
    mixture: Float[Array, "batch freq time"],
    vectors: Float[Array, "batch candidate k"],
    *,
    steps: int,
    order: Array | None = None,
    unroll: bool = False,
) -> Separation:
    """The recursion with a model's M-Net; in training form the steps' new statistics are in the result."""

    def listen(remaining: Array, statistics: Any) -> tuple[Array, Any]:
        step_variables = {
            "params": {"minus_net": variables["params"]["minus_net"]},
            "batch_stats": {"minus_net": statistics},
        }
        if not model.train:
            return cast(Array, model.apply(step_variables, remaining, method="listen")), statistics
        features, updated = model.apply(step_variables, remaining, method="listen", mutable=["batch_stats"])
        return features, updated["batch_stats"]["minus_net"]

    return minus_plus(
        mixture,
        vectors,
        listen,
        statistics=statistics_for_steps(variables["batch_stats"]["minus_net"], steps),
        steps=steps,
        order=order,
        unroll=unroll,
    )


def make_train_step(
    model: MPNet,
    optimiser: optax.GradientTransformation,
    *,
    warp: np.ndarray,
    remaining_weight: float,
    predicted_order: bool,
    unroll: bool,
) -> Callable[[TrainState, Batch], tuple[TrainState, dict[str, Array]]]:
    """Builds the step that `parallel.parallel_step` runs.

    Args:
        model: in training form, with the device axis.
        optimiser: as in the state.
        warp: matrix to the network's frequency axis, (rows, freq_linear).
        remaining_weight: see `losses.minus_loss`.
        predicted_order: take the sources by predicted instead of true energy.
        unroll: see `minus_plus`.

    Returns:
        `(state, batch) -> (state, metrics)`; metrics are means over all devices.
    """
    assert model.train

    def loss_fn(params: Any, state: TrainState, batch: Batch) -> tuple[Array, tuple[Any, dict[str, Array]]]:
        mixture = to_rows(warp, batch["mixture_magnitude"])
        sources = to_rows(warp, batch["source_magnitude"])
        frame_variables = {
            "params": {"frame_net": params["frame_net"]},
            "batch_stats": {"frame_net": state.batch_stats["frame_net"]},
        }
        vectors, looked = model.apply(frame_variables, batch["frames"], method="look", mutable=["batch_stats"])
        separation = separate(
            model,
            {"params": params, "batch_stats": state.batch_stats},
            mixture,
            vectors,
            steps=sources.shape[1],
            order=None if predicted_order else energy_order(sources),
            unroll=unroll,
        )
        loss, parts = minus_loss(separation, mixture, sources, remaining_weight=remaining_weight)
        sets = jax.tree.leaves(state.batch_stats["minus_net"])[0].shape[0]
        batch_stats = {
            "frame_net": looked["batch_stats"]["frame_net"],
            "minus_net": merge_statistics(separation.statistics, sets),
        }
        return loss, (batch_stats, {"loss": loss, **parts})

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, dict[str, Array]]:
        gradients, (batch_stats, metrics) = jax.grad(loss_fn, has_aux=True)(state.params, state, batch)
        gradients, metrics = mean_over_devices((gradients, metrics))
        updates, opt_state = optimiser.update(gradients, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        metrics["gradient_norm"] = optax.tree.norm(gradients)
        return TrainState(state.step + 1, params, batch_stats, opt_state), metrics

    return step


def make_separate_step(
    model: MPNet, *, warp: np.ndarray, unwarp: np.ndarray, audio: AudioSpec
) -> Callable[[dict[str, Any], Batch], dict[str, Array]]:
    """Builds the evaluation pass that `parallel.parallel_map` runs: visible clips are the candidates.

    Args:
        model: in evaluation form: running statistics, so that a result does not depend on its batch.
        warp: matrix to the network's frequency axis, (rows, freq_linear).
        unwarp: matrix back, (freq_linear, rows).
        audio: window and transform, for the way back to waveforms.

    Returns:
        `(variables, batch) -> dict` with, sorted as the batch's sources: `magnitude` (batch, source, freq_linear,
        time), what is written out (thresholded masks on the softly subtracted mixture), and `waveform` (batch,
        source, samples), the same with the mixture's phase; `oracle_magnitude` and `oracle_waveform`, by the true
        binary masks; `mask`, `before` (what the mask acted on) and `true_mask` (batch, source, rows, time); `step`
        (batch, source), when each was taken. Source: Sec. 3.2.
    """
    assert not model.train

    def run(variables: dict[str, Any], batch: Batch) -> dict[str, Array]:
        linear = batch["mixture_magnitude"]
        mixture = to_rows(warp, linear)
        sources = to_rows(warp, batch["source_magnitude"])
        count = sources.shape[1]
        vectors = cast(Array, model.apply(variables, batch["frames"], method="look"))
        separation = separate(model, variables, mixture, vectors, steps=count)
        masks = by_candidate(separation.masks, separation.chosen, count)
        before = by_candidate(separation.before, separation.chosen, count)
        # The recursion is soft throughout; masks are thresholded only here, for the sounds that are written out.
        share_left = jnp.minimum(before / jnp.maximum(mixture, EPSILON)[:, None], 1.0)
        magnitude = (to_rows(unwarp, masks) > 0.5) * to_rows(unwarp, share_left) * linear[:, None]
        true_mask = binary_target(sources, mixture[:, None])
        oracle_magnitude = (to_rows(unwarp, true_mask) > 0.5) * linear[:, None]
        phase = jnp.exp(1j * batch["mixture_phase"])[:, None]
        waveform, oracle_waveform = (
            inverse_stft(
                spectrum * phase,
                fft_samples=audio.fft_samples,
                hop_samples=audio.hop_samples,
                clip_samples=audio.clip_samples,
            )
            for spectrum in (magnitude, oracle_magnitude)
        )
        return {
            "magnitude": magnitude,
            "waveform": waveform,
            "oracle_magnitude": oracle_magnitude,
            "oracle_waveform": oracle_waveform,
            "mask": masks,
            "before": before,
            "true_mask": true_mask,
            "step": jnp.argsort(separation.chosen, axis=0).T,
        }

    return run
