"""Runs the recursion with the networks of an MP-Net model, their parameters and running statistics."""

import dataclasses
from collections.abc import Mapping
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from mpnet_jax.models.mpnet import MPNet
from mpnet_jax.recursion.candidates import Candidates
from mpnet_jax.recursion.minus_plus import Networks, Rules, Separation, minus_plus
from mpnet_jax.spectrogram.frequency import FrequencyAxis

Batch = dict[str, Array]


@dataclasses.dataclass(frozen=True, eq=False)
class WrittenEnergy:
    """An energy as the released code means it: the mean of what would be written out, from the original mixture.

    Attributes:
        axis: the network's.
        linear: the original mixture on the transform's bins; `of_mixture` fills it in.
    """

    axis: FrequencyAxis
    linear: Float[Array, "batch freq time"] | None = None

    def __call__(
        self, masks: Float[Array, "batch candidate rows time"], _: Float[Array, "batch rows time"]
    ) -> Float[Array, "batch candidate"]:
        """Binary masks on the linear axis, of the original mixture instead of the remaining one."""
        assert self.linear is not None
        return jnp.mean((self.axis.unwarp(masks) > 0.5) * self.linear[:, None], (2, 3))


def of_mixture(rules: Rules, linear: Float[Array, "batch freq time"]) -> Rules:
    """Rules that need the linear mixture, with it; others as they are."""
    if not isinstance(rules.energy, WrittenEnergy):
        return rules
    return dataclasses.replace(rules, energy=dataclasses.replace(rules.energy, linear=linear))


def statistics_for_steps(statistics: Any, steps: int) -> Any:
    """One set of running statistics a step; steps beyond the last set use the last one."""
    return jax.tree.map(lambda x: x[np.minimum(np.arange(steps), x.shape[0] - 1)], statistics)


def apply_net(model: MPNet, net: str, params: Any, statistics: Any, *inputs: Array, method: str) -> tuple[Array, Any]:
    """Runs one network of a model with its parameters and running statistics.

    Args:
        model: in training form (batch statistics) or evaluation form (running statistics).
        net: "frame_net", "minus_net" or "plus_net".
        params: of that network.
        statistics: its running statistics.
        inputs: of the method.
        method: of `MPNet`.

    Returns:
        The output, and the statistics to keep: updated in training form, else those that were given.
    """
    variables = {"params": {net: params}, "batch_stats": {net: statistics}}
    if not model.train:
        return cast(Array, model.apply(variables, *inputs, method=method)), statistics
    output, updated = model.apply(variables, *inputs, method=method, mutable=["batch_stats"])
    return output, updated["batch_stats"][net]


def bind(models: Mapping[str, MPNet], variables: dict[str, Any], *, steps: int, with_plus: bool) -> Networks:
    """Returns the functions that the recursion calls, with their parameters and running statistics bound.

    Args:
        models: The model by the network's name, "minus_net" and "plus_net": each in the form that the network runs in,
            training or evaluation.
        variables: Parameters and running statistics.
        steps: Steps of the recursion.
        with_plus: Whether to run the Plus-Net.
    """
    params, sets = variables["params"], variables["batch_stats"]

    def minus(remaining: Array, statistics: Any) -> tuple[Array, Any]:
        return apply_net(models["minus_net"], "minus_net", params["minus_net"], statistics, remaining, method="listen")

    def plus(remix: Array, sound: Array, statistics: Any) -> tuple[Array, Any]:
        return apply_net(
            models["plus_net"], "plus_net", params["plus_net"], statistics, remix, sound, method="give_back"
        )

    statistics = {"minus": statistics_for_steps(sets["minus_net"], steps)}
    if with_plus:
        statistics["plus"] = statistics_for_steps(sets["plus_net"], steps - 1)
    return Networks(minus, plus if with_plus else None, statistics)


def separate_clips(
    model: MPNet,
    variables: dict[str, Any],
    batch: Batch,
    mixture: Float[Array, "batch freq time"],
    *,
    rules: Rules,
    with_plus: bool,
) -> Separation:
    """The recursion over a batch's clips, each of which is a candidate; a step a clip.

    Args:
        model: in evaluation form.
        variables: parameters and running statistics.
        batch: with its pictures and the linear mixture.
        mixture: on the network's axis.
        rules: of the recursion.
        with_plus: run the P-Net.
    """
    params, statistics = variables["params"]["frame_net"], variables["batch_stats"]["frame_net"]
    vectors, _ = apply_net(model, "frame_net", params, statistics, batch["frames"], method="look")
    steps = vectors.shape[1]
    return minus_plus(
        mixture,
        Candidates(vectors),
        bind({"minus_net": model, "plus_net": model}, variables, steps=steps, with_plus=with_plus),
        steps=steps,
        rules=of_mixture(rules, batch["mixture_magnitude"]),
    )
