"""Visual vectors: features of a whole clip, or of each place of its frames."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mpnet_jax.models.frame_net import FrameNet

POOLINGS = {"max": jnp.max, "mean": jnp.mean}
# The same poolings over a square around each place; places outside the frame are ignored.
SQUARES = {"max": nn.max_pool, "mean": functools.partial(nn.avg_pool, count_include_pad=False)}
ACTIVATIONS = {"sigmoid": jax.nn.sigmoid, "none": lambda x: x}


def clip_vectors(frame_net: FrameNet, seen: Array, *, pooling: str, activation: str) -> Float[Array, "batch source k"]:
    """Returns one visual vector for each clip.

    Args:
        frame_net: The frame network.
        seen: Frames of the clips, uint8 (batch, source, frame, height, width, 3), or what a pretrained frame network's
            trunk makes of them, (batch, source, frame, h, w, channel).
        pooling: Pooling of a clip's maps over frames and places: "max" or "mean".
        activation: Activation of the pooled vector: "sigmoid" or "none".
    """
    clips = seen.shape[:3]

    def pool(maps: Array) -> Array:
        # Over frames and places: (batch * source * frame, h, w, channel) -> (batch, source, channel).
        return POOLINGS[pooling](maps.reshape(*clips, *maps.shape[1:]), axis=(2, 3, 4))

    # The network takes single images: (batch * source * frame, height, width, 3).
    images = seen.reshape(-1, *seen.shape[3:])
    return ACTIVATIONS[activation](frame_net.pooled(images, pool, average=pooling == "mean"))


def place_vectors(
    frame_net: FrameNet, frames: Array, *, pooling: str, activation: str, side: int = 1
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

    def pool(maps: Array) -> Array:
        # (batch * frame, h, w, channel) -> (batch, h, w, channel); "SAME" padding keeps the sides.
        pooled = POOLINGS[pooling](maps.reshape(batch, count, *maps.shape[1:]), axis=1)
        return SQUARES[pooling](pooled, (side, side), padding="SAME") if side > 1 else pooled

    images = frames.reshape(-1, *frames.shape[2:])
    return ACTIVATIONS[activation](frame_net.pooled(images, pool, average=pooling == "mean"))
