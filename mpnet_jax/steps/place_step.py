"""The evaluation pass for real videos: places of one picture are the candidates, and the rules end the recursion."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from data_pipeline.spec import AudioSpec
from mpnet_jax.models.mpnet import MPNet
from mpnet_jax.recursion.minus_plus import minus_plus
from mpnet_jax.recursion.networks import Batch, apply_net, bind, of_mixture, seen_in
from mpnet_jax.recursion.places import places, row_and_column
from mpnet_jax.recursion.rules import Rules
from mpnet_jax.spectrogram.frequency import FrequencyAxis
from mpnet_jax.steps.separate_step import waveforms, written_shares


@dataclasses.dataclass(frozen=True)
class Search:
    """How sounds are searched in a picture.

    Attributes:
        steps: Greatest number of sounds.
        neighbourhood: Part of the picture that a taken place closes; see `places.neighbours`.
        blank_last: Whether places that show nothing that sounds come after all others; see `places.blank_places`.
    """

    steps: int
    neighbourhood: float
    blank_last: bool = False


def make_place_step(
    model: MPNet,
    *,
    axis: FrequencyAxis,
    audio: AudioSpec,
    rules: Rules,
    mask: str,
    with_plus: bool,
    search: Search,
    with_features: bool = False,
) -> Callable[[dict[str, Any], Batch], dict[str, Array]]:
    """Builds the pass that `parallel.parallel_map` runs; each sample is a window of a video with its own picture.

    A sample ends when its rules end it or when every place is closed. Once all samples have ended, no network runs.

    Args:
        model: The model in evaluation form.
        axis: Frequency axis of the networks.
        audio: Window and transform.
        rules: Rules of the recursion, with its epsilon.
        mask: "binary" or "ratio".
        with_plus: Whether to run the Plus-Net.
        search: How many sounds to search, and how far apart.
        with_features: Whether to return what the mask of every place is computed from; it takes one more pass of the
            Minus-Net.

    Returns:
        `(variables, batch) -> dict`. The batch holds `mixture_magnitude` (batch, freq_linear, time), `frames` (batch,
        frame, height, width, 3) uint8, or in their place a frozen trunk's `features` of them (batch, frame, h, w,
        channel), and, where waveforms are wanted, `mixture_phase`. An inactive step is silent in the results:
        `active` (batch, step);
        `place` (batch, step, 2), row and column of the chosen place in the map of places, -1 where inactive;
        `vector` (batch, step, k), its visual vector;
        `energy` (batch, step, height, width), the map of energies that it was chosen from;
        `share` (batch, step, freq_linear, time), the sound's share of the mixture, in [0, 1];
        `magnitude` and `waveform` (batch, step, samples), the sound itself;
        `mask` and `before` (batch, step, rows, time), the mask and the spectrogram that it acted on;
        `remaining` (batch, rows, time), the mixture that remains. Source: Sec. 3.2.
        With `with_features` also `vectors` (batch, height, width, k), the visual vector of each place; `features`
        (batch, rows, time, k), the Minus-Net's feature maps of the whole mixture, in the first step; `remainders`
        (batch, step + 1, rows, time), the mixture before each step and after the last one.
    """
    assert not model.train

    def run(variables: dict[str, Any], batch: Batch) -> dict[str, Array]:
        linear = batch["mixture_magnitude"]
        mixture = axis.warp(linear + rules.floor)
        params, statistics = variables["params"]["frame_net"], variables["batch_stats"]["frame_net"]
        # (batch, height, width, k): one visual vector per place of the picture.
        vectors, _ = apply_net(model, "frame_net", params, statistics, seen_in(batch), method="look_at_places")
        height, width = vectors.shape[1:3]
        networks = bind(
            {"minus_net": model, "plus_net": model},
            variables,
            steps=search.steps,
            with_plus=with_plus,
            passes=rules.plus_passes,
        )
        separation = minus_plus(
            mixture,
            places(vectors, search.neighbourhood, blank_last=search.blank_last),
            networks,
            steps=search.steps,
            rules=of_mixture(rules, linear),
            skip_finished=True,
        )
        shares = written_shares(separation, mixture, rules=rules, mask=mask, axis=axis)
        by_step = {
            "active": separation.active,
            "place": row_and_column(separation.chosen, width),
            "vector": _vectors_at(vectors, separation.chosen),
            "energy": separation.energies.reshape(search.steps, -1, height, width),
            "share": shares,
            "magnitude": shares * linear,
            "mask": separation.masks,
            "before": rules.reference(separation.before, mixture),
        }
        # The recursion stacks its steps first; results have the batch first.
        out = {name: jnp.swapaxes(value, 0, 1) for name, value in by_step.items()}
        if "mixture_phase" in batch:
            out["waveform"] = waveforms(out["magnitude"], batch["mixture_phase"], audio)
        out |= {"remaining": separation.remaining}
        if with_features:
            of_first_step = jax.tree.map(lambda x: x[0], networks.statistics["minus"])
            out["vectors"] = vectors
            out["features"], _ = networks.minus(mixture, of_first_step)
            remainders = jnp.concatenate([separation.before, separation.remaining[None]])
            out["remainders"] = jnp.swapaxes(remainders, 0, 1)
        return out

    return run


def _vectors_at(
    vectors: Float[Array, "batch height width k"], chosen: Int[Array, "step batch"]
) -> Float[Array, "step batch k"]:
    """Returns the vector of the place that each step took; zero where a step is inactive."""
    flat = vectors.reshape(vectors.shape[0], -1, vectors.shape[-1])
    taken = jnp.take_along_axis(flat, jnp.maximum(chosen, 0).T[..., None], axis=1).swapaxes(0, 1)
    return jnp.where(chosen[..., None] < 0, 0.0, taken)
