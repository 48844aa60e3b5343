"""The places of a picture as candidates, and the energy map that localises a sound (Eq. 7)."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from mpnet_jax.recursion.candidates import Candidates, EnergyFn, candidate_energies, mean_magnitude

# Size of the masks of one sample that are computed at a time: that of the paper's feature maps (16 of 256 x 256).
# Larger chunks gain little time; fewer than eight masks lose some.
CHUNK_BYTES = 4 * 2**20
_SHOWN = 0.5


def places(
    vectors: Float[Array, "batch height width k"],
    neighbourhood: float,
    chunk_bytes: int | None = CHUNK_BYTES,
    *,
    blank_last: bool = False,
) -> Candidates:
    """Returns the places of a picture as candidates, row by row.

    Args:
        vectors: Visual vector of each place, see `MPNet.look_at_places`.
        neighbourhood: See `neighbours`. A place that was taken closes its neighbours, so that the next step takes a
            sound from elsewhere in the picture.
        chunk_bytes: See `Candidates`.
        blank_last: Whether places that show nothing that sounds come after all others; see `blank_places`.
    """
    batch, height, width, k = vectors.shape
    closed_by = jnp.asarray(neighbours(height, width, neighbourhood))
    flat = vectors.reshape(batch, height * width, k)
    return Candidates(flat, closed_by, chunk_bytes, blank_places(flat) if blank_last else None)


def blank_places(vectors: Float[Array, "batch place k"]) -> Bool[Array, "batch place"]:
    """Returns which places show nothing that sounds: no channel of their visual vectors (a sigmoid) exceeds one half.

    A vector of zeros has a mask of one half everywhere, so the wall behind two equally loud players would take as much
    energy as each of them. Where all places would be blank, the vectors say nothing about it, and none is.
    """
    blank = jnp.max(vectors, axis=-1) <= _SHOWN
    return blank & ~jnp.all(blank, axis=1, keepdims=True)


def neighbours(height: int, width: int, share: float) -> Bool[np.ndarray, "place place"]:
    """Returns which places are neighbours of each place: those in a square around it, including the place itself.

    A square fits the box that a player occupies. Its half side is a share of the picture's side, so that a finer map
    closes the same part of the picture. The square need not cover the whole player: once the player's sound is
    subtracted from the mixture, the other places of the player have little energy left.

    Args:
        height: Rows of places.
        width: Columns of places.
        share: Greatest distance of a neighbour in rows and in columns, as a share of the longer side of the map,
            rounded to whole places. 0 makes every place its own only neighbour.

    Returns:
        Matrix whose row p marks the neighbours of place p = row * width + column.
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
    """Returns the energy of the sound of each place in one step, mean(mask * remaining). Source: Eq. 7.

    Args:
        features: Feature maps of the Minus-Net for `remaining`.
        vectors: Visual vector of each place.
        remaining: Linear magnitudes of the remaining mixture, S_{i-1}.
        energy: Energy of a masked mixture.
    """
    energies = candidate_energies(features, places(vectors, 0.0), remaining, energy)
    return energies.reshape(vectors.shape[:3])


def row_and_column(place: Int[Array, "*batch"], width: int) -> Int[Array, "*batch 2"]:
    """Returns row and column of places in a map of this width; (-1, -1) for the -1 of an inactive step."""
    return jnp.where(place[..., None] < 0, -1, jnp.stack([place // width, place % width], axis=-1))
