"""Visual vectors: what a model sees of a clip, or of each place of its picture."""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mpnet_jax.models.resnet import normalise_pictures

POOLINGS = {"max": jnp.max, "mean": jnp.mean}
# The same over a square around each place; beyond the border there is nothing.
SQUARES = {"max": nn.max_pool, "mean": functools.partial(nn.avg_pool, count_include_pad=False)}
ACTIVATIONS = {"sigmoid": jax.nn.sigmoid, "none": lambda x: x}


def clip_vectors(
    frame_net: Callable[[Array], Array], frames: Array, *, pooling: str, activation: str
) -> Float[Array, "batch source k"]:
    """Visual vectors of whole clips.

    Args:
        frame_net: normalised pictures (batch, height, width, 3) to maps (batch, h, w, k).
        frames: uint8 (batch, source, frame, height, width, 3).
        pooling: "max" or "mean" of a clip's maps, over frames and places.
        activation: of the pooled vector: "sigmoid" or "none".
    """
    batch, source, count = frames.shape[:3]
    maps = frame_net(normalise_pictures(frames.reshape(-1, *frames.shape[3:])))
    maps = maps.reshape(batch, source, count, *maps.shape[1:])
    return ACTIVATIONS[activation](POOLINGS[pooling](maps, axis=(2, 3, 4)))


def place_vectors(
    frame_net: Callable[[Array], Array], frames: Array, *, pooling: str, activation: str, side: int = 1
) -> Float[Array, "batch height width k"]:
    """Visual vectors of the places of a clip's picture. Source: Sec. 3.2, which pools over frames alone.

    Args:
        frame_net: see `clip_vectors`; a place is a 16th of the picture's side (not dilated: a 32nd).
        frames: uint8 (batch, frame, height, width, 3).
        pooling: see `clip_vectors`.
        activation: see `clip_vectors`.
        side: pool over the square of so many places around each, too: what is seen of a clip in training is pooled over
            its whole picture, of which a single place tells little.
    """
    batch, count = frames.shape[:2]
    maps = frame_net(normalise_pictures(frames.reshape(-1, *frames.shape[2:])))
    pooled = POOLINGS[pooling](maps.reshape(batch, count, *maps.shape[1:]), axis=1)
    if side > 1:
        pooled = SQUARES[pooling](pooled, (side, side), padding="SAME")
    return ACTIVATIONS[activation](pooled)
