"""Runs a pass in slices of one fixed size, so that no number depends on how large a batch was.

A convolution adds in another order for another batch size, and a bin near a mask's threshold then falls the other way.
With slices the compiler sees one shape whatever the batch; memory does not grow with it either.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

# Large enough to fill a device, small enough that padding the last slice costs little.
SLICE = 8

Step = Callable[[Any, dict[str, Any]], dict[str, Any]]


def in_slices(step: Step, size: int = SLICE) -> Step:
    """A step that takes a batch of any size, slice by slice.

    Args:
        step: `(variables, batch) -> dict`, arrays with a leading batch axis on both sides, no sample of which depends
            on another.
        size: samples a slice; the last one is filled up with copies of the last sample, which are dropped again.

    Returns:
        The same function of batches of any size.
    """

    def sliced(variables: Any, batch: dict[str, Any]) -> dict[str, Any]:
        count = len(next(iter(batch.values())))
        slices = -(-count // size)

        def cut(x: jax.Array) -> jax.Array:
            filling = jnp.repeat(x[-1:], slices * size - count, axis=0)
            return jnp.concatenate([x, filling]).reshape(slices, size, *x.shape[1:])

        out = jax.lax.map(lambda part: step(variables, part), jax.tree.map(cut, batch))
        return jax.tree.map(lambda x: x.reshape(slices * size, *x.shape[2:])[:count], out)

    return sliced
