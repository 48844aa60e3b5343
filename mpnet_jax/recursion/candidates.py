"""Who may have made a sound, and how much energy the sound of each would have (Eq. 7)."""

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
    """Energy of a masked mixture as the method means it: the mean magnitude. Source: Eq. 7."""
    return jnp.mean(masks * remaining[:, None], (2, 3))


def mean_power(
    masks: Float[Array, "batch candidate freq time"], remaining: Float[Array, "batch freq time"]
) -> Float[Array, "batch candidate"]:
    """Energy as physics means it: the mean square."""
    return jnp.mean(jnp.square(masks * remaining[:, None]), (2, 3))


ENERGIES: dict[str, EnergyFn] = {"magnitude": mean_magnitude, "power": mean_power}


class Candidates(NamedTuple):
    """Who may have made the sound: clips, or the places of one picture.

    Attributes:
        vectors: a visual vector each.
        closed_by: row c marks the candidates that are closed once c was taken, c among them; None closes c alone.
        chunk_bytes: masks of one sample that are computed at a time, at least one, so that memory does not grow with
            the number of candidates; None takes all at once.
    """

    vectors: Float[Array, "batch candidate k"]
    closed_by: Bool[Array, "candidate candidate"] | None = None
    chunk_bytes: int | None = None


def closes(candidates: Candidates, chosen: Int[Array, " batch"]) -> Bool[Array, "batch candidate"]:
    """The candidates that are closed once the chosen ones were taken."""
    if candidates.closed_by is None:
        return jax.nn.one_hot(chosen, candidates.vectors.shape[1], dtype=bool)
    return candidates.closed_by[chosen]


def candidate_energies(
    features: Float[Array, "batch freq time k"],
    candidates: Candidates,
    remaining: Float[Array, "batch freq time"],
    energy: EnergyFn = mean_magnitude,
) -> Float[Array, "batch candidate"]:
    """Energy of the sound that each candidate would take out of the remaining mixture. Source: Eq. 7.

    Args:
        features: maps of the M-Net.
        candidates: their vectors, and how many masks are computed at a time.
        remaining: linear magnitudes, S_{i-1}.
        energy: of a masked mixture.
    """

    def of(vectors: Array) -> Array:
        return energy(jax.nn.sigmoid(jnp.einsum("bck,bftk->bcft", vectors, features)), remaining)

    vectors = candidates.vectors
    batch, count, k = vectors.shape
    mask_bytes = remaining[0].size * features.dtype.itemsize
    chunks = 1
    if candidates.chunk_bytes is not None:
        chunks = -(-count // max(1, candidates.chunk_bytes // mask_bytes))
    if chunks == 1:
        return of(vectors)
    size = -(-count // chunks)
    padded = jnp.pad(vectors, ((0, 0), (0, chunks * size - count), (0, 0)))
    by_chunk = jax.lax.map(of, padded.reshape(batch, chunks, size, k).swapaxes(0, 1))  # (chunk, batch, size)
    return by_chunk.swapaxes(0, 1).reshape(batch, -1)[:, :count]
