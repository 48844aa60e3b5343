"""Everything that a checkpoint holds."""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax

from mpnet_jax.models.mpnet import MPNet


class TrainState(flax.struct.PyTreeNode):
    """Parameters, running statistics and optimiser state after `step` steps.

    Attributes:
        step: steps done, int32 scalar.
        params: of both networks.
        batch_stats: running statistics; those of the M-Net have a leading axis, one set a step of the recursion (or
            one set for all).
        opt_state: of the optimiser.
    """

    # A tree's leaves are arrays here, but shapes or NumPy arrays where JAX or a checkpoint maps over the tree.
    step: Any
    params: Any
    batch_stats: Any
    opt_state: Any

    @property
    def variables(self) -> dict[str, Any]:
        """What evaluation needs."""
        return {"params": self.params, "batch_stats": self.batch_stats}


def create_train_state(
    key: jax.Array,
    model: MPNet,
    optimiser: optax.GradientTransformation,
    *,
    frames_shape: tuple[int, ...],
    spectrogram_shape: tuple[int, ...],
    statistics_sets: int,
) -> TrainState:
    """Initialises a state at step 0.

    Args:
        key: random key; parameters depend on it alone.
        model: in training or evaluation form; shapes are the same.
        optimiser: whose state is made.
        frames_shape: (batch, source, frame, height, width, 3).
        spectrogram_shape: (batch, freq, time).
        statistics_sets: sets of running statistics of the M-Net.

    Returns:
        The state on the default device.
    """

    def initialise(key: jax.Array) -> TrainState:
        variables = model.clone(train=False, axis_name=None).init(
            key, jnp.zeros(frames_shape, jnp.uint8), jnp.ones(spectrogram_shape)
        )
        statistics = dict(variables["batch_stats"])
        statistics["minus_net"] = jax.tree.map(
            lambda x: jnp.broadcast_to(x, (statistics_sets, *x.shape)), statistics["minus_net"]
        )
        params = variables["params"]
        return TrainState(jnp.zeros((), jnp.int32), params, statistics, optimiser.init(params))

    return jax.jit(initialise)(key)
