"""The rules of the recursion: choices that the paper leaves open or that the released code makes differently."""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, Float

from mpnet_jax.recursion.candidates import EnergyFn, mean_magnitude

EPSILON = 1e-6
_CHOICES = {
    "mask_on": ("remaining", "original"),
    "subtraction": ("difference", "product"),
    "subtracted": ("solo", "final"),
    "remainder": ("mean", "rms"),
    "plus_source": ("remix", "others"),
}


@dataclasses.dataclass(frozen=True)
class Rules:
    """Choices that the paper leaves open or that the released code makes differently.

    Attributes:
        mask_on: Spectrogram that a mask is multiplied with, and that its target is relative to: "remaining" for the
            remaining mixture of the step (Eqs. 2 and 3), or "original" for the whole mixture (Sec. 3.2 writes S^mix).
        subtraction: "difference" for max(S - sound, 0) (Eq. 3), or "product" for S * (1 - mask) (released code).
        subtracted: Sound that each step subtracts: "solo" for the Minus-Net's estimate (Eq. 3), or "final" for the
            estimate completed by the Plus-Net. The Plus-Net adds parts that were subtracted with an earlier sound
            already, so "final" subtracts them twice.
        energy: Energy by which the next sound is chosen where no order is given.
        floor: Linear magnitude added to the remaining mixture after each subtraction (1e-10 in the released code,
            whose logarithm has no epsilon).
        remainder: Measure of how much of the mixture remains, by which the recursion ends: the "mean" magnitude, or
            "rms" for the root of the mean square. Parts that no mask took lie in many places and are faint, a further
            sound lies in few and is loud there, so "rms" tells them apart better.
        plus_source: Spectrogram that the Plus-Net's mask M_r acts on: "remix" for the sum of the sounds that were
            separated before (Eq. 9), or "others" for all of S_0 but the step's own sound, which is the earlier sounds
            and the remaining mixture.
        plus_conserves: Whether what M_r adds to a sound is taken from where it came from. False leaves the earlier
            sounds as they are, as in the paper, so that a part may belong to two sounds.
        plus_passes: How often each sound is completed: once in its own step, and then in sweeps over all sounds, in
            which the other sounds are those of all steps.
        plus_threshold: In the sounds that are written out, M_r adds nothing in bins in which it is not greater. 0 is no
            limit for ratio masks, and one half for binary masks. The recursion itself ignores it.
        epsilon_relative: A step is active while S_{i-1} amounts to more than this share of S_0, and, where this is not
            0, while a candidate is open that is not blank (see `Candidates`). None keeps every step active while a
            candidate is open.
        epsilon_absolute: A step is active while S_{i-1} also amounts to more than this linear magnitude; ignored where
            `epsilon_relative` is None.

    Raises:
        ValueError: A choice is unknown, or two do not go together. The message begins with the name of a field.
    """

    mask_on: str = "remaining"
    subtraction: str = "difference"
    subtracted: str = "solo"
    energy: EnergyFn = mean_magnitude
    floor: float = 0.0
    remainder: str = "mean"
    plus_source: str = "remix"
    plus_conserves: bool = False
    plus_passes: int = 1
    plus_threshold: float = 0.0
    epsilon_relative: float | None = None
    epsilon_absolute: float = 0.0

    def __post_init__(self) -> None:
        for field, allowed in _CHOICES.items():
            if getattr(self, field) not in allowed:
                raise ValueError(f"{field}={getattr(self, field)!r} is unknown; use one of {', '.join(allowed)}")
        if self.plus_passes < 1:
            raise ValueError(f"plus_passes={self.plus_passes} must be at least 1")
        if self.plus_passes > 1 and not self.plus_conserves:
            raise ValueError(
                f"plus_passes={self.plus_passes} would add the same part to a sound in every pass; set plus_conserves "
                "to True, or plus_passes to 1"
            )
        if self.plus_conserves and (self.mask_on, self.subtracted, self.floor) != ("remaining", "solo", 0.0):
            raise ValueError(
                f"plus_conserves=True needs sounds that sum to the mixture, and with mask_on={self.mask_on}, "
                f"subtracted={self.subtracted} and floor={self.floor:g} they do not; use remaining, solo and 0"
            )

    def amount(self, mixture: Float[Array, "*batch freq time"]) -> Float[Array, "*batch"]:
        """Returns how much there is of a linear spectrogram, by the measure `remainder`."""
        if self.remainder == "mean":
            return jnp.mean(mixture, (-2, -1))
        return jnp.sqrt(jnp.mean(jnp.square(mixture), (-2, -1)))

    def reference(self, before: Array, mixture: Array) -> Array:
        """Returns the spectrogram that a mask acts on: the remaining mixture `before` a step, or the whole mixture."""
        return jnp.broadcast_arrays(before, mixture)[0 if self.mask_on == "remaining" else 1]


PAPER = Rules()
