"""Visual vectors: features of a whole clip, or of each place of its frames."""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mpnet_jax.models.resnet import normalise_pictures

POOLINGS = {"max": jnp.max, "mean": jnp.mean}
# The same poolings over a square around each place; places outside the frame are ignored.
SQUARES = {"max": nn.max_pool, "mean": functools.partial(nn.avg_pool, count_include_pad=False)}
ACTIVATIONS = {"sigmoid": jax.nn.sigmoid, "none": lambda x: x}


def clip_vectors(
    frame_net: Callable[[Array], Array], frames: Array, *, pooling: str, activation: str
) -> Float[Array, "batch source k"]:
    """Returns one visual vector for each clip.

    Args:
        frame_net: Network from normalised images (batch, height, width, 3) to maps (batch, h, w, k).
        frames: Frames of the clips, uint8 (batch, source, frame, height, width, 3).
        pooling: Pooling of a clip's maps over frames and places: "max" or "mean".
        activation: Activation of the pooled vector: "sigmoid" or "none".
    """
    batch, source, count = frames.shape[:3]
    # The network takes single images: (batch * source * frame, height, width, 3) -> (batch * source * frame, h, w, k).
    maps = frame_net(normalise_pictures(frames.reshape(-1, *frames.shape[3:])))
    maps = maps.reshape(batch, source, count, *maps.shape[1:])
    # Pooling over frames and places: (batch, source, frame, h, w, k) -> (batch, source, k).
    return ACTIVATIONS[activation](POOLINGS[pooling](maps, axis=(2, 3, 4)))


def place_vectors(
    frame_net: Callable[[Array], Array], frames: Array, *, pooling: str, activation: str, side: int = 1
) -> Float[Array, "batch height width k"]:
    """Returns one visual vector for each place of the frame, pooled over the clip's frames. Source: Sec. 3.2.

    Args:
        frame_net: See `clip_vectors`. A place is 16 pixels wide and high (32 without dilation).
        frames: Frames of one clip for each sample, uint8 (batch, frame, height, width, 3).
        pooling: See `clip_vectors`.
        activation: See `clip_vectors`.
        side: Side of a square of places around each place that is also pooled. In training, vectors are pooled over the
            whole frame; a single place resembles them little.
    """
    batch, count = frames.shape[:2]
    # (batch * frame, height, width, 3) -> (batch * frame, h, w, k)
    maps = frame_net(normalise_pictures(frames.reshape(-1, *frames.shape[2:])))
    # (batch, frame, h, w, k) -> (batch, h, w, k)
    pooled = POOLINGS[pooling](maps.reshape(batch, count, *maps.shape[1:]), axis=1)
    if side > 1:
        # "SAME" padding keeps (batch, h, w, k).
        pooled = SQUARES[pooling](pooled, (side, side), padding="SAME")
    return ACTIVATIONS[activation](pooled)
