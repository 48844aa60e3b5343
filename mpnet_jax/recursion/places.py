"""Where in a picture a sound comes from: its places as candidates, and the map of their sounds' energies (Eq. 7)."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from mpnet_jax.recursion.candidates import Candidates, EnergyFn, candidate_energies, mean_magnitude

# Masks of one sample computed at a time: as much as the feature maps of the paper's sizes (16 of 256 x 256). More
# gains little time, fewer than eight masks lose some.
CHUNK_BYTES = 4 * 2**20


def places(
    vectors: Float[Array, "batch height width k"], neighbourhood: float, chunk_bytes: int | None = CHUNK_BYTES
) -> Candidates:
    """The places of a picture as candidates, row by row.

    Args:
        vectors: one a place, `MPNet.look_at_places`.
        neighbourhood: see `neighbours`; a place that was taken closes these, so that the next step looks elsewhere.
        chunk_bytes: see `Candidates`.
    """
    batch, height, width, k = vectors.shape
    closed_by = jnp.asarray(neighbours(height, width, neighbourhood))
    return Candidates(vectors.reshape(batch, height * width, k), closed_by, chunk_bytes)


def neighbours(height: int, width: int, share: float) -> Bool[np.ndarray, "place place"]:
    """Which places are near each place, itself among them: a square around it.

    A square, since what one player takes up of a picture is a box. Its half side is a share of the picture's, so that
    a finer map closes the same part of the picture. It need not cover the player: the sound that was taken is gone from
    the mixture, so the player's other places have little energy left.

    Args:
        height: rows of places.
        width: columns.
        share: farthest that a neighbour lies off, in rows and in columns, as a share of the longer side; in whole
            places, rounded. 0 leaves the place alone.

    Returns:
        Row p marks the neighbours of place p = row * width + column.
    """
    radius = round(share * max(height, width))
    rows, columns = np.divmod(np.arange(height * width), width)
    return np.maximum(np.abs(rows[:, None] - rows), np.abs(columns[:, None] - columns)) <= radius


def energy_map(
    features: Float[Array, "batch freq time k"],
    vectors: Float[Array, "batch height width k"],
    remaining: Float[Array, "batch freq time"],
    energy: EnergyFn = mean_magnitude,
) -> Float[Array, "batch height width"]:
    """How much energy the sound of each place has in one step: mean(mask * remaining). Source: Eq. 7.

    Args:
        features: maps of the M-Net for `remaining`.
        vectors: one a place.
        remaining: linear magnitudes, S_{i-1}.
        energy: of a masked mixture.
    """
    energies = candidate_energies(features, places(vectors, 0.0), remaining, energy)
    return energies.reshape(vectors.shape[:3])


def row_and_column(place: Int[Array, "*batch"], width: int) -> Int[Array, "*batch 2"]:
    """Where a place lies in a map of this width; (-1, -1) for the -1 of a step that took none."""
    return jnp.where(place[..., None] < 0, -1, jnp.stack([place // width, place % width], axis=-1))
