"""Visual vectors: features of a whole clip, or of each place of its frames."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mpnet_jax.models.frame_net import FrameNet


def log_mean_exp(maps: Array, axis: tuple[int, ...]) -> Array:
    """Returns log(mean(exp(maps))), which lies between the mean and the maximum.

    All places learn, as with the mean, and those with the greatest values learn most. Source: Pinheiro and Collobert,
    "From image-level to pixel-level labeling with convolutional networks", CVPR 2015, Eq. 6 with r = 1.
    """
    return jax.nn.logsumexp(maps, axis=axis) - math.log(math.prod(maps.shape[each] for each in axis))


def _mean_of_squares(maps: Array, sides: tuple[int, int], padding: str) -> Array:
    return nn.avg_pool(maps, sides, padding=padding, count_include_pad=False)


def _log_mean_exp_of_squares(maps: Array, sides: tuple[int, int], padding: str) -> Array:
    largest = jnp.max(maps, (1, 2), keepdims=True)
    # A square whose values lie far below the map's largest one keeps a finite logarithm.
    means = _mean_of_squares(jnp.exp(maps - largest), sides, padding)
    return largest + jnp.log(jnp.maximum(means, jnp.finfo(maps.dtype).tiny))


POOLINGS = {"max": jnp.max, "mean": jnp.mean, "logmeanexp": log_mean_exp}
# The same poolings over a square around each place; places outside the frame are ignored.
SQUARES = {"max": nn.max_pool, "mean": _mean_of_squares, "logmeanexp": _log_mean_exp_of_squares}
ACTIVATIONS = {"sigmoid": jax.nn.sigmoid, "none": lambda x: x}


def clip_vectors(frame_net: FrameNet, seen: Array, *, pooling: str, activation: str) -> Float[Array, "batch source k"]:
    """Returns one visual vector for each clip.

    Args:
        frame_net: The frame network.
        seen: Frames of the clips, uint8 (batch, source, frame, height, width, 3), or what a pretrained frame network's
            trunk makes of them, (batch, source, frame, h, w, channel).
        pooling: Pooling of a clip's maps over frames and places: "max", "mean" or "logmeanexp".
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
        pooled = POOLINGS[pooling](maps.reshape(batch, count, *maps.shape[1:]), axis=(1,))
        return SQUARES[pooling](pooled, (side, side), padding="SAME") if side > 1 else pooled

    images = frames.reshape(-1, *frames.shape[2:])
    return ACTIVATIONS[activation](frame_net.pooled(images, pool, average=pooling == "mean"))
