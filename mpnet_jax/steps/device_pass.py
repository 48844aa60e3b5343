"""Runs a pass of trained networks on all devices, in slices of one size."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from mpnet_jax.parallel import gather, shard

HostBatch = dict[str, np.ndarray]


# Samples that a device takes at a time: enough to fill it, few enough that filling up the last slice costs little.
SLICE = 8


@dataclasses.dataclass(frozen=True)
class Separator:
    """A pass of a trained method, run on the devices in slices of one size, whatever the batch.

    A convolution adds in another order for another batch size, and a bin near a mask's threshold then falls the other
    way. Here the compiler sees one shape only, so no number depends on the batch.

    Attributes:
        run: `(variables, batch) -> dict` under `parallel.parallel_map`; no sample may depend on another.
        variables: replicated parameters and running statistics.
        size: samples a device takes at a time.
    """

    run: Callable[[Any, HostBatch], Any]
    variables: Any
    size: int = SLICE

    def start(self, inputs: HostBatch) -> Callable[[], dict[str, np.ndarray]]:
        """Sends a batch of any size on its way; what is given back waits for the results, on the host."""
        count, whole = len(next(iter(inputs.values()))), self.size * jax.local_device_count()
        filled = np.minimum(np.arange(-(-count // whole) * whole), count - 1)
        slices = [filled[first : first + whole] for first in range(0, len(filled), whole)]
        pending = [self.run(self.variables, shard({name: x[part] for name, x in inputs.items()})) for part in slices]

        def results() -> dict[str, np.ndarray]:
            parts = [gather(part) for part in pending]
            return {name: np.concatenate([part[name] for part in parts])[:count] for name in parts[0]}

        return results

    def __call__(self, inputs: HostBatch) -> dict[str, np.ndarray]:
        """Runs a batch of any size and waits for it."""
        return self.start(inputs)()
