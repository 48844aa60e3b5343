"""Runs a pass of trained networks on all devices, in slices of one size."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from mpnet_jax.parallel import gather, shard

HostBatch = dict[str, np.ndarray]


# Samples that a device takes at a time: enough to use it fully, few enough that padding the last slice costs little.
SLICE = 8


@dataclasses.dataclass(frozen=True)
class Separator:
    """A pass of trained networks over all devices, in slices of one size for any size of batch.

    A convolution rounds differently for another batch size, and a bin near the threshold of a mask may then change
    sides. With one size of slice the compiler sees one shape only, so that no number depends on the batch.

    Attributes:
        run: `(variables, batch) -> dict` under `parallel.parallel_map`, in which no sample depends on another.
        variables: Replicated parameters and running statistics.
        size: Samples that a device takes at a time.
    """

    run: Callable[[Any, HostBatch], Any]
    variables: Any
    size: int = SLICE

    def start(self, inputs: HostBatch) -> Callable[[], dict[str, np.ndarray]]:
        """Starts a batch of any size on the devices; returns a function that waits for the results, as host arrays."""
        count, whole = len(next(iter(inputs.values()))), self.size * jax.local_device_count()
        # The last slice is filled up with copies of the last sample.
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
