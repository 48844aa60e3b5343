"""What a worker runs and times."""

from collections.abc import Callable
from typing import NamedTuple

# The whole training step, and its two networks alone: the U-Net on the batch, the frame network on 8 pictures.
PARTS = ("step", "unet_forward", "unet", "frame_net")
PICTURES = 8
MATRIX_SIDE = 2048
MATRIX_GFLOP = 2 * MATRIX_SIDE**3 / 1e9


class Program(NamedTuple):
    """Something to time.

    Attributes:
        run: does it once, to its end.
        gflop: floating-point operations that one run executes, in units of 1e9.
        memory_bytes: what the compiler says that it needs; empty where no compiler says.
    """

    run: Callable[[], object]
    gflop: float
    memory_bytes: dict[str, int]
