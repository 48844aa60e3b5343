"""The programs that a worker times."""

from collections.abc import Callable
from typing import NamedTuple

# The training step, and its networks alone: the U-Net on the batch, the frame network on 8 pictures.
PARTS = ("step", "unet_forward", "unet", "frame_net")
PICTURES = 8
MATRIX_SIDE = 2048
MATRIX_GFLOP = 2 * MATRIX_SIDE**3 / 1e9


class Program(NamedTuple):
    """A program to time.

    Attributes:
        run: Runs the program once and waits for its result.
        gflop: Floating-point operations per run, in units of 1e9.
        memory_bytes: Bytes that the compiler plans, by kind; empty without a compiler.
    """

    run: Callable[[], object]
    gflop: float
    memory_bytes: dict[str, int]
