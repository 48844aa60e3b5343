"""Builds the recursion with full-size networks and synthetic weights, so that the candidates decide when it ends."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mpnet_jax.config.specs import Config, audio_spec
from mpnet_jax.methods.registry import method_of
from mpnet_jax.recursion.candidates import Candidates
from mpnet_jax.recursion.minus_plus import Loop, minus_plus
from mpnet_jax.recursion.networks import bind
from mpnet_jax.recursion.rules import Rules
from mpnet_jax.recursion.separation import Separation

# Constant outputs of the networks' last layers, so that only the visual vector decides the mask.
_FEATURE, _GIVEN_BACK = 1.0, -100.0
TAKES_ALL, TAKES_NOTHING = 100.0, -100.0  # values for the visual vectors


def variable_shapes(config: Config) -> dict[str, Any]:
    """Returns the shapes of parameters and running statistics, with both sound networks."""
    config = config.copy_and_resolve_references()
    config.rounds.plus = max(1, config.rounds.plus)
    state = jax.eval_shape(lambda: method_of(config).initial_state())
    return {"params": dict(state.params), "batch_stats": dict(state.batch_stats)}


def variables(config: Config) -> dict[str, Any]:
    """Returns values for the sound networks: their outputs are constant, but all layers are computed."""
    rng = np.random.default_rng(0)

    def fill(path: Any, leaf: jax.ShapeDtypeStruct) -> jax.Array:
        name = path[-1].key
        if name == "kernel":
            values = rng.standard_normal(leaf.shape, np.float32) * np.sqrt(2 / np.prod(leaf.shape[:-1]))
            return jnp.asarray(values, leaf.dtype)
        return jnp.full(leaf.shape, float(name in ("scale", "var")), leaf.dtype)

    shapes = {kind: _sound_networks(tree) for kind, tree in variable_shapes(config).items()}
    filled = jax.tree_util.tree_map_with_path(fill, shapes)
    for net, constant in (("minus_net", _FEATURE), ("plus_net", _GIVEN_BACK)):
        last = filled["params"][net]["up_0"]
        last["kernel"], last["bias"] = jnp.zeros_like(last["kernel"]), jnp.full_like(last["bias"], constant)
    return filled


def _sound_networks(tree: dict[str, Any]) -> dict[str, Any]:
    return {net: dict(tree[net]) for net in ("minus_net", "plus_net")}


def mixture_shape(config: Config, batch_size: int) -> tuple[int, int, int]:
    """Returns the shape of a batch of mixtures on the network's frequency axis."""
    return batch_size, config.audio.frequency_rows, audio_spec(config).time_frames


def recursion(
    config: Config,
    *,
    steps: int,
    rules: Rules,
    with_plus: bool,
    unroll: bool = False,
    skip_finished: bool = False,
) -> Callable[[dict[str, Any], jax.Array, Candidates], Separation]:
    """Builds `(variables, mixture, candidates) -> Separation`, without the updated running statistics."""
    model: Any = method_of(config).model().clone(plus_features=config.model.plus_features)

    def run(variables: dict[str, Any], mixture: jax.Array, candidates: Candidates) -> Separation:
        separation = minus_plus(
            mixture,
            candidates,
            bind({"minus_net": model, "plus_net": model}, variables, steps=steps, with_plus=with_plus),
            steps=steps,
            rules=rules,
            loop=Loop(unroll),
            skip_finished=skip_finished,
        )
        return separation._replace(statistics=())

    return run
