"""The candidates that a sound may belong to, and the energy that the sound of each would have (Eq. 7)."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

# (masks (batch, candidate, freq, time), remaining mixture (batch, freq, time)) -> energies (batch, candidate)
EnergyFn = Callable[[Array, Array], Array]


def mean_magnitude(
    masks: Float[Array, "batch candidate freq time"], remaining: Float[Array, "batch freq time"]
) -> Float[Array, "batch candidate"]:
    """Returns the mean magnitude of each masked mixture, the energy of the paper. Source: Eq. 7."""
    return jnp.mean(masks * remaining[:, None], (2, 3))


def mean_power(
    masks: Float[Array, "batch candidate freq time"], remaining: Float[Array, "batch freq time"]
) -> Float[Array, "batch candidate"]:
    """Returns the mean square of each masked mixture, its physical energy."""
    return jnp.mean(jnp.square(masks * remaining[:, None]), (2, 3))


ENERGIES: dict[str, EnergyFn] = {"magnitude": mean_magnitude, "power": mean_power}


class Candidates(NamedTuple):
    """The candidates that a sound may belong to: clips, or the places of one picture.

    Attributes:
        vectors: Visual vector of each candidate.
        closed_by: Row c marks the candidates that are closed once candidate c was taken, including c; None closes c
            alone.
        chunk_bytes: Size of the masks of one sample that are computed at a time (at least one mask), so that memory
            does not grow with the number of candidates; None computes all at once.
        blank: Candidates that show nothing that sounds; they are taken only where no other one is open. None for none.
    """

    vectors: Float[Array, "batch candidate k"]
    closed_by: Bool[Array, "candidate candidate"] | None = None
    chunk_bytes: int | None = None
    blank: Bool[Array, "batch candidate"] | None = None


def vectors_of(candidates: Candidates, chosen: Int[Array, " batch"]) -> Float[Array, "batch k"]:
    """Returns the visual vectors of the chosen candidates."""
    return jnp.take_along_axis(candidates.vectors, chosen[:, None, None], axis=1)[:, 0]


def closes(candidates: Candidates, chosen: Int[Array, " batch"]) -> Bool[Array, "batch candidate"]:
    """Returns which candidates are closed once the chosen ones were taken."""
    if candidates.closed_by is None:
        return jax.nn.one_hot(chosen, candidates.vectors.shape[1], dtype=bool)
    return candidates.closed_by[chosen]


def preferred(candidates: Candidates, still_open: Bool[Array, "batch candidate"]) -> Bool[Array, "batch candidate"]:
    """Returns the open candidates among which a step chooses: those that are not blank, where there are any."""
    if candidates.blank is None:
        return still_open
    shown = still_open & ~candidates.blank
    return jnp.where(jnp.any(shown, axis=1, keepdims=True), shown, still_open)


def candidate_energies(
    features: Float[Array, "batch freq time k"],
    candidates: Candidates,
    remaining: Float[Array, "batch freq time"],
    energy: EnergyFn = mean_magnitude,
) -> Float[Array, "batch candidate"]:
    """Returns the energy of the sound that each candidate would take from the remaining mixture. Source: Eq. 7.

    Args:
        features: Feature maps of the Minus-Net.
        candidates: The candidates' vectors, and how many masks are computed at a time.
        remaining: Linear magnitudes of the remaining mixture, S_{i-1}.
        energy: Energy of a masked mixture.
    """

    def energies_of(vectors: Array) -> Array:
        # Masks (batch, candidate, freq, time) are the largest arrays of the recursion.
        return energy(jax.nn.sigmoid(jnp.einsum("bck,bftk->bcft", vectors, features)), remaining)

    vectors = candidates.vectors
    batch, count, k = vectors.shape
    mask_bytes = remaining[0].size * features.dtype.itemsize
    chunks = 1
    if candidates.chunk_bytes is not None:
        chunks = -(-count // max(1, candidates.chunk_bytes // mask_bytes))
    if chunks == 1:
        return energies_of(vectors)
    size = -(-count // chunks)
    padded = jnp.pad(vectors, ((0, 0), (0, chunks * size - count), (0, 0)))
    in_chunks = padded.reshape(batch, chunks, size, k).swapaxes(0, 1)  # (chunk, batch, size, k)
    by_chunk = jax.lax.map(energies_of, in_chunks)  # (chunk, batch, size)
    return by_chunk.swapaxes(0, 1).reshape(batch, -1)[:, :count]  # (batch, candidate) without the padding
