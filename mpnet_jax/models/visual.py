"""Visual vectors: what a model sees of a clip, or of each place of its picture."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mpnet_jax.models.resnet import normalise_pictures

POOLINGS = {"max": jnp.max, "mean": jnp.mean}
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
    frame_net: Callable[[Array], Array], frames: Array, *, pooling: str, activation: str
) -> Float[Array, "batch height width k"]:
    """Visual vectors of the places of a clip's picture, pooled over frames alone. Source: Sec. 3.2.

    Args:
        frame_net: see `clip_vectors`; a place is a 16th of the picture's side (not dilated: a 32nd).
        frames: uint8 (batch, frame, height, width, 3).
        pooling: see `clip_vectors`.
        activation: see `clip_vectors`.
    """
    batch, count = frames.shape[:2]
    maps = frame_net(normalise_pictures(frames.reshape(-1, *frames.shape[2:])))
    return ACTIVATIONS[activation](POOLINGS[pooling](maps.reshape(batch, count, *maps.shape[1:]), axis=1))
