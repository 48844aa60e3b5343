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
from mpnet_jax.recursion.completion import PlusInputs
from mpnet_jax.recursion.minus_plus import minus_plus
from mpnet_jax.recursion.rules import Rules
from mpnet_jax.recursion.separation import Networks, Separation
from mpnet_jax.spectrogram.frequency import FrequencyAxis

Batch = dict[str, Array]


@dataclasses.dataclass(frozen=True, eq=False)
class WrittenEnergy:
    """The energy of the released code: the mean of the sound that would be written out, masked from the whole mixture.

    Attributes:
        axis: Frequency axis of the networks.
        linear: Magnitudes of the whole mixture on the bins of the transform; set by `of_mixture`.
    """

    axis: FrequencyAxis
    linear: Float[Array, "batch freq time"] | None = None

    def __call__(
        self, masks: Float[Array, "batch candidate rows time"], _: Float[Array, "batch rows time"]
    ) -> Float[Array, "batch candidate"]:
        """Returns the mean of the whole mixture under each mask, thresholded on the linear axis."""
        assert self.linear is not None
        return jnp.mean((self.axis.unwarp(masks) > 0.5) * self.linear[:, None], (2, 3))


def of_mixture(rules: Rules, linear: Float[Array, "batch freq time"]) -> Rules:
    """Returns the rules with the linear mixture where their energy needs it, else unchanged."""
    if not isinstance(rules.energy, WrittenEnergy):
        return rules
    return dataclasses.replace(rules, energy=dataclasses.replace(rules.energy, linear=linear))


def statistics_for_steps(statistics: Any, steps: int) -> Any:
    """Returns one set of running statistics per step; steps beyond the last set use the last set."""
    return jax.tree.map(lambda x: x[np.minimum(np.arange(steps), x.shape[0] - 1)], statistics)


def plus_sets(steps: int, passes: int) -> int:
    """Returns how many sets of running statistics a Plus-Net has, one for each of its calls."""
    return max(steps - 1 + (passes - 1) * steps, 1)


def statistics_for_calls(statistics: Any, steps: int, passes: int) -> Any:
    """Returns one set of running statistics per call of the Plus-Net; see `Networks.statistics`.

    Args:
        statistics: Those of training, perhaps with another number of steps, or a single set for all calls.
        steps: Steps of the recursion. Those beyond the last one of training use its sets.
        passes: See `Rules.plus_passes`.
    """
    calls = steps - 1 + (passes - 1) * steps

    def for_calls(x: Array) -> Array:
        trained = (x.shape[0] + 1) // passes  # steps in training
        if trained < 2:
            return x[np.zeros(calls, int)]
        of_steps = np.minimum(np.arange(steps - 1), trained - 2)
        of_sweeps = [sweep * trained - 1 + np.minimum(np.arange(steps), trained - 1) for sweep in range(1, passes)]
        return x[np.concatenate([of_steps, *of_sweeps])]

    return jax.tree.map(for_calls, statistics)


def seen_in(batch: Batch) -> Array:
    """Returns what a batch shows of its clips: kept features of their frames where it has them, else the frames."""
    return batch["features"] if "features" in batch else batch["frames"]


def apply_net(
    model: MPNet, net: str, params: Any, statistics: Any, *inputs: Array, method: str, rngs: Any = None, **named: Any
) -> tuple[Array, Any]:
    """Runs one network of a model with its parameters and running statistics.

    Args:
        model: The model in training form (batch statistics) or evaluation form (running statistics).
        net: "frame_net", "minus_net" or "plus_net".
        params: Parameters of that network.
        statistics: Running statistics of that network.
        inputs: Positional arguments of the method.
        method: Name of a method of `MPNet`.
        rngs: Random keys by name, for a frame network with noise in training.
        named: Keyword arguments of the method.

    Returns:
        The output, and the running statistics: updated in training form, else unchanged.
    """
    variables = {"params": {net: params}, "batch_stats": {net: statistics}}
    # In training form `mutable` returns the collection, with statistics that a frozen part leaves as they are.
    if not model.train:
        return cast(Array, model.apply(variables, *inputs, method=method, **named)), statistics
    output, updated = model.apply(variables, *inputs, method=method, mutable=["batch_stats"], rngs=rngs, **named)
    return output, updated["batch_stats"][net]


def bind(
    models: Mapping[str, MPNet], variables: dict[str, Any], *, steps: int, with_plus: bool, passes: int = 1
) -> Networks:
    """Returns the functions that the recursion calls, with their parameters and running statistics bound.

    Args:
        models: The model by the network's name, "minus_net" and "plus_net": each in the form that the network runs in,
            training or evaluation.
        variables: Parameters and running statistics.
        steps: Steps of the recursion.
        with_plus: Whether to run the Plus-Net.
        passes: See `Rules.plus_passes`.
    """
    params, sets = variables["params"], variables["batch_stats"]

    def minus(remaining: Array, statistics: Any) -> tuple[Array, Any]:
        return apply_net(models["minus_net"], "minus_net", params["minus_net"], statistics, remaining, method="listen")

    def mask(remaining: Array, vectors: Array, statistics: Any) -> tuple[Array, Any]:
        own = params["minus_net"]
        return apply_net(models["minus_net"], "minus_net", own, statistics, remaining, vectors, method="mask_logits")

    def plus(given: PlusInputs, statistics: Any) -> tuple[Array, Any]:
        model = models["plus_net"]
        spectra = [getattr(given, name) for name in model.plus_inputs]
        seen = {"vectors": given.vectors} if model.plus_looks else {}
        return apply_net(model, "plus_net", params["plus_net"], statistics, *spectra, method="give_back", **seen)

    statistics = {"minus": statistics_for_steps(sets["minus_net"], steps)}
    if with_plus:
        statistics["plus"] = statistics_for_calls(sets["plus_net"], steps, passes)
    return Networks(minus, plus if with_plus else None, statistics, mask)


def separate_clips(
    model: MPNet,
    variables: dict[str, Any],
    batch: Batch,
    mixture: Float[Array, "batch freq time"],
    *,
    rules: Rules,
    with_plus: bool,
) -> Separation:
    """Runs the recursion with the clips of each mixture as candidates, one step per clip.

    Args:
        model: The model in evaluation form.
        variables: Parameters and running statistics.
        batch: Holds `frames` and `mixture_magnitude`; see `docs/DATA.md`.
        mixture: Mixture on the networks' frequency axis.
        rules: Rules of the recursion.
        with_plus: Whether to run the Plus-Net.
    """
    params, statistics = variables["params"]["frame_net"], variables["batch_stats"]["frame_net"]
    vectors, _ = apply_net(model, "frame_net", params, statistics, seen_in(batch), method="look")
    steps = vectors.shape[1]  # of (batch, clip, k)
    return minus_plus(
        mixture,
        Candidates(vectors),
        bind(
            {"minus_net": model, "plus_net": model},
            variables,
            steps=steps,
            with_plus=with_plus,
            passes=rules.plus_passes,
        ),
        steps=steps,
        rules=of_mixture(rules, batch["mixture_magnitude"]),
    )
