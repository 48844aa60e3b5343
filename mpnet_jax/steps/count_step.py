"""The pass that measures the remaining mixture after each sound, from which sounds are counted for any epsilon."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Shaped

from mpnet_jax.models.mpnet import MPNet
from mpnet_jax.recursion.candidates import Candidates
from mpnet_jax.recursion.minus_plus import minus_plus
from mpnet_jax.recursion.networks import Batch, apply_net, bind, of_mixture
from mpnet_jax.recursion.places import places
from mpnet_jax.recursion.rules import Rules
from mpnet_jax.spectrogram.frequency import FrequencyAxis

# Candidates of the recursion: the clips, or the places of one picture that shows all clips side by side.
MODES = ("clips", "pixels")
_TINY = 1e-9  # an epsilon that ends no recursion by what remains


def make_count_step(
    model: MPNet,
    *,
    axis: FrequencyAxis,
    rules: Rules,
    with_plus: bool,
    neighbourhood: float | None,
    blank_last: bool = False,
) -> Callable[[dict[str, Any], Batch], dict[str, Array]]:
    """Builds a pass that separates as many sounds as there are clips and does not end by how much remains.

    The remaining mixture falls from step to step. The number of sounds for any epsilon is therefore the number of steps
    before which more than epsilon remained, and one pass serves to choose epsilon and to count with it.

    Args:
        model: The model in evaluation form.
        axis: Frequency axis of the networks.
        rules: Rules of the recursion, without epsilon.
        with_plus: Whether to run the Plus-Net.
        neighbourhood: Part of the picture that a taken place closes (see `places.neighbours`), where the candidates are
            the places of one picture that shows all clips; None where the candidates are the clips.
        blank_last: See `Search`; the recursion of places then ends once only blank ones are open.

    Returns:
        `(variables, batch) -> dict`. The batch holds `mixture_magnitude` (batch, freq_linear, time) and `frames`
        (batch, clip, frame, height, width, 3) uint8. The result `left` (batch, clip + 1) is the amount of the
        remaining mixture before each step and after the last (see `Rules.amount`), 0 before a step that no open
        candidate is left for. Source: Sec. 3.2.
    """
    assert not model.train
    assert rules.epsilon_relative is None
    if blank_last:
        rules = dataclasses.replace(rules, epsilon_relative=_TINY)

    def run(variables: dict[str, Any], batch: Batch) -> dict[str, Array]:
        linear, frames = batch["mixture_magnitude"], batch["frames"]
        params, statistics = variables["params"]["frame_net"], variables["batch_stats"]["frame_net"]
        if neighbourhood is None:
            candidates = Candidates(apply_net(model, "frame_net", params, statistics, frames, method="look")[0])
        else:
            scene = side_by_side(frames)
            vectors, _ = apply_net(model, "frame_net", params, statistics, scene, method="look_at_places")
            candidates = places(vectors, neighbourhood, blank_last=blank_last)
        steps = frames.shape[1]
        separation = minus_plus(
            axis.warp(linear + rules.floor),
            candidates,
            bind(
                {"minus_net": model, "plus_net": model},
                variables,
                steps=steps,
                with_plus=with_plus,
                passes=rules.plus_passes,
            ),
            steps=steps,
            rules=of_mixture(rules, linear),
        )
        before = jnp.where(separation.active, rules.amount(separation.before), 0.0)
        return {"left": jnp.concatenate([before, rules.amount(separation.remaining)[None]]).T}

    return run


def side_by_side(
    frames: Shaped[Array, "batch clip frame height width 3"],
) -> Shaped[Array, "batch frame high wide 3"]:
    """Returns one picture that shows all clips, in two rows for more than three; an empty place is black."""
    batch, clips, count, height, width, _ = frames.shape
    rows = 1 if clips <= 3 else 2
    columns = -(-clips // rows)
    full = jnp.pad(frames, [(0, 0), (0, rows * columns - clips), *[(0, 0)] * 4])
    grid = full.reshape(batch, rows, columns, count, height, width, 3)
    # To (batch, frame, rows, height, columns, width, 3), whose neighbouring axes are joined.
    return grid.transpose(0, 3, 1, 4, 2, 5, 6).reshape(batch, count, rows * height, columns * width, 3)
