"""The training state: everything that a checkpoint holds."""

from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import optax

from mpnet_jax.steps import learnt as parts


class TrainState(flax.struct.PyTreeNode):
    """Parameters, running statistics and optimiser state after `step` steps.

    Attributes:
        step: Number of optimiser steps done, int32 scalar.
        params: Parameters by network.
        batch_stats: Running statistics by network. Those of the Minus-Net and the Plus-Net have a leading axis with one
            set per step of the recursion, or one set for all steps.
        opt_state: State of the optimiser of the networks that the round trains.
        average: Running mean of what the round trains, {"params": ..., "batch_stats": ...} by network, which validation
            and evaluation use; empty where no mean is kept.
    """

    # A tree's leaves are arrays here, but shapes or NumPy arrays where JAX or a checkpoint maps over the tree.
    step: Any
    params: Any
    batch_stats: Any
    opt_state: Any
    average: Any = flax.struct.field(default_factory=dict)

    def with_optimiser(
        self, optimiser: optax.GradientTransformation, trained: Sequence[str], *, averaged: bool = False
    ) -> "TrainState":
        """Returns the state with which a round begins: the networks are the means of the round before.

        Args:
            optimiser: Optimiser of the round.
            trained: What the round trains; see `learnt.select`.
            averaged: Whether the round keeps a running mean.
        """
        variables = self.variables
        learnt = {part: parts.select(trees, trained) for part, trees in variables.items()}
        opt_state = optimiser.init(learnt["params"])
        return self.replace(**variables, opt_state=opt_state, average=learnt if averaged else {})

    @property
    def variables(self) -> dict[str, Any]:
        """Parameters and running statistics, or their means, which are all that an evaluation needs."""
        now = {"params": self.params, "batch_stats": self.batch_stats}
        return {part: parts.merge(trees, self.average.get(part, {})) for part, trees in now.items()}

    def settled(self) -> "TrainState":
        """Returns the state with the means in place of the networks, as it is evaluated."""
        return self.with_networks(self.variables)

    def with_networks(self, variables: Mapping[str, Any]) -> "TrainState":
        """Returns the state with other networks, and without the means of its own.

        Args:
            variables: {"params": ..., "batch_stats": ...} by network.
        """
        return self.replace(**variables, average={})


def create_train_state(
    key: jax.Array,
    model: nn.Module,
    *,
    inputs: Sequence[jax.ShapeDtypeStruct],
    statistics_sets: Mapping[str, int],
) -> TrainState:
    """Initialises a state at step 0.

    Args:
        key: Random key; the parameters depend on it alone.
        model: The model in evaluation form.
        inputs: Shapes of the model's arguments.
        statistics_sets: Number of sets of running statistics, by network; they have a leading axis then. A network
            that is not listed has one set, without that axis.

    Returns:
        The state on the default device, without an optimiser state.
    """

    def initialise(key: jax.Array) -> TrainState:
        variables = model.init(key, *(jnp.zeros(x.shape, x.dtype) for x in inputs))
        statistics = dict(variables["batch_stats"])
        for net in statistics.keys() & statistics_sets.keys():
            statistics[net] = jax.tree.map(
                lambda x, sets=statistics_sets[net]: jnp.broadcast_to(x, (sets, *x.shape)), statistics[net]
            )
        return TrainState(jnp.zeros((), jnp.int32), dict(variables["params"]), statistics, opt_state=())

    return jax.jit(initialise)(key)
