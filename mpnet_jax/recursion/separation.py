"""What the recursion takes and what it returns: the networks as functions, and the results of all steps."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jaxtyping import Array, Bool, Float, Int

from mpnet_jax.recursion.completion import PlusFn


class Networks(NamedTuple):
    """The two networks as functions of linear magnitudes.

    Attributes:
        minus: Maps (remaining mixture (batch, freq, time), running statistics of one step) to (feature maps (batch,
            freq, time, k), new running statistics).
        plus: Maps (`PlusInputs`, running statistics of one call) to (logits (batch, freq, time), new running
            statistics); None for the Minus-Net alone.
        statistics: {"minus": tree whose leaves have a leading axis of steps, "plus": the same with an axis of calls:
            one for each step but the first, and one for each sound of each sweep}.
        mask: Maps (remaining mixture, vectors of one candidate (batch, k), running statistics of one step) to (logits
            of its mask (batch, freq, time), new running statistics), where a given order says which candidate comes.
            None weights the feature maps of `minus`, which gives the same logits.
    """

    minus: Callable[[Array, Any], tuple[Array, Any]]
    plus: PlusFn | None = None
    statistics: Any = ()
    mask: Callable[[Array, Array, Any], tuple[Array, Any]] | None = None


class Separation(NamedTuple):
    """The results of all steps; an inactive step is silent (logits of minus infinity, a mask of zero).

    A call of the Plus-Net completes one sound: the calls are those of all steps and then, with `Rules.plus_passes`,
    those of the sweeps, each again one for each step. Call c completes the sound of step c modulo the number of steps.

    Attributes:
        mask_logits: Logits of the mask M of the chosen candidate.
        plus_logits: Logits of the Plus-Net's mask M_r. Minus infinity where the Plus-Net is not run: in the first step,
            and without one.
        before: Remaining mixture before each step, S_{i-1}.
        remixes: Spectrogram that M_r acts on: the sum of the earlier sounds, or as `Rules.plus_source` says; zero where
            inactive.
        incomplete: Sound that the Plus-Net was given to complete; in a step that of the Minus-Net.
        sounds: Separated sound of each step, completed by the Plus-Net.
        chosen: Index of the candidate that each step took; -1 where inactive.
        active: Whether the step had sound to separate and an open candidate, by sample.
        energies: Energy of every candidate's sound at each step where the order is predicted, else zeros.
        remaining: Remaining mixture after the last step, S_n.
        statistics: Running statistics that the networks returned, stacked like `Networks.statistics`.
    """

    mask_logits: Float[Array, "step batch freq time"]
    plus_logits: Float[Array, "call batch freq time"]
    before: Float[Array, "step batch freq time"]
    remixes: Float[Array, "call batch freq time"]
    incomplete: Float[Array, "call batch freq time"]
    sounds: Float[Array, "step batch freq time"]
    chosen: Int[Array, "step batch"]
    active: Bool[Array, "step batch"]
    energies: Float[Array, "step batch candidate"]
    remaining: Float[Array, "batch freq time"]
    statistics: Any

    @property
    def masks(self) -> Float[Array, "step batch freq time"]:
        """Masks M of all steps; zero where a step is inactive."""
        return jax.nn.sigmoid(self.mask_logits)
