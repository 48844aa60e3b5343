"""Draws the steps of the recursion in one window as levels of grey, which the page colours."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from mpnet_jax.demo.library import SeparationLike

_RANGE_DB = 60.0
_ROWS = 128


class Steps(NamedTuple):
    """The recursion in a window.

    Attributes:
        numbers: Number of the sound that each step separated; 0 if it is none of the result's.
        shape: Pictures, rows and columns.
        levels: uint8, the lowest frequency in the last row. The pictures are what remained before each step, each
            followed by what the step took, and at last what remained at the end.
    """

    numbers: tuple[int, ...]
    shape: tuple[int, ...]
    levels: bytes


def steps_of(separation: SeparationLike, window: int) -> Steps:
    """Returns the recursion in a window.

    Args:
        separation: The separation.
        window: Index of the window.
    """
    steps = list(separation.steps(window))
    if not steps:
        return Steps((), (0, 0, 0), b"")
    pictures = [picture for step in steps for picture in (step.before, step.taken)]
    after = np.maximum(steps[-1].before - steps[-1].taken, 0.0)
    rows = _rows(np.stack([*pictures, after]))
    decibels = 20.0 * np.log10(np.maximum(rows / max(float(rows.max()), 1e-9), 1e-9))
    levels = np.round(255.0 * np.clip(1.0 + decibels / _RANGE_DB, 0.0, 1.0)).astype(np.uint8)[:, ::-1]
    return Steps(tuple(step.number or 0 for step in steps), levels.shape, levels.tobytes())


def _rows(magnitudes: Float[np.ndarray, "picture freq time"]) -> Float[np.ndarray, "picture rows time"]:
    """Returns the maxima over groups of frequencies, so that few rows remain and no partial is lost."""
    bins = magnitudes.shape[1]
    if bins <= _ROWS:
        return magnitudes
    edges = np.linspace(0, bins, _ROWS + 1).astype(int)[:-1]
    return np.maximum.reduceat(magnitudes, edges, axis=1)
