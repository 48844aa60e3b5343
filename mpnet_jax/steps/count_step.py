"""How much is left after each sound: what the end of the recursion is decided by, for every end at once."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Shaped

from mpnet_jax.models.mpnet import MPNet
from mpnet_jax.recursion.candidates import Candidates
from mpnet_jax.recursion.minus_plus import Rules, minus_plus
from mpnet_jax.recursion.networks import Batch, apply_net, bind, of_mixture
from mpnet_jax.recursion.places import places
from mpnet_jax.spectrogram.frequency import FrequencyAxis

# What the recursion chooses among: the clips, or the places of one picture that shows them side by side.
MODES = ("clips", "pixels")


def make_count_step(
    model: MPNet, *, axis: FrequencyAxis, rules: Rules, with_plus: bool, neighbourhood: float | None
) -> Callable[[dict[str, Any], Batch], dict[str, Array]]:
    """Builds a pass that takes as many sounds as there are clips, without an end.

    What is left falls from step to step, so the number of sounds under any end is the number of steps before which
    more than its epsilon is left: one pass serves to choose epsilon and to count with it.

    Args:
        model: in evaluation form.
        axis: the network's.
        rules: of the recursion, without its end.
        with_plus: run the P-Net.
        neighbourhood: of a place that was taken (`localise.neighbours`), where the candidates are the places of one
            picture that shows all clips; None where they are the clips.

    Returns:
        `(variables, batch) -> dict`. Of the batch: `mixture_magnitude` (batch, freq_linear, time) and `frames` (batch,
        clip, frame, height, width, 3) uint8. Given back: `left` (batch, clip + 1), mean linear magnitude of the
        mixture before each step and after the last. Source: Sec. 3.2.
    """
    assert not model.train
    assert rules.epsilon_relative is None

    def run(variables: dict[str, Any], batch: Batch) -> dict[str, Array]:
        linear, frames = batch["mixture_magnitude"], batch["frames"]
        params, statistics = variables["params"]["frame_net"], variables["batch_stats"]["frame_net"]
        if neighbourhood is None:
            candidates = Candidates(apply_net(model, "frame_net", params, statistics, frames, method="look")[0])
        else:
            scene = side_by_side(frames)
            vectors, _ = apply_net(model, "frame_net", params, statistics, scene, method="look_at_places")
            candidates = places(vectors, neighbourhood)
        steps = frames.shape[1]
        separation = minus_plus(
            axis.warp(linear + rules.floor),
            candidates,
            bind({"minus_net": model, "plus_net": model}, variables, steps=steps, with_plus=with_plus),
            steps=steps,
            rules=of_mixture(rules, linear),
        )
        mixtures = jnp.concatenate([separation.before, separation.remaining[None]])
        return {"left": jnp.mean(mixtures, (2, 3)).T}

    return run


def side_by_side(
    frames: Shaped[Array, "batch clip frame height width 3"],
) -> Shaped[Array, "batch frame high wide 3"]:
    """One picture that shows every clip, in two rows where there are more than three; a missing one is black."""
    batch, clips, count, height, width, _ = frames.shape
    rows = 1 if clips <= 3 else 2
    columns = -(-clips // rows)
    full = jnp.pad(frames, [(0, 0), (0, rows * columns - clips), *[(0, 0)] * 4])
    grid = full.reshape(batch, rows, columns, count, height, width, 3)
    return grid.transpose(0, 3, 1, 4, 2, 5, 6).reshape(batch, count, rows * height, columns * width, 3)
