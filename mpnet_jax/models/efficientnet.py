"""EfficientNet-Lite0 without its classifier, optionally with dilated last stages, and its classifier.

Sources: Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", 2019, Table 1. The Lite
variants (TensorFlow's EfficientNet-Lite, 2020) have no squeeze-and-excitation, use ReLU6 instead of Swish, and never
scale the stem and the last convolution.
"""

import functools
from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from mpnet_jax.models.layers.batch_norm import BatchNorm
from mpnet_jax.models.layers.depthwise import DepthwiseConv, same_window

FEATURES = 1280
CLASSES = 1000
_STEM_CHANNELS = 32
_EPSILON = 1e-3

_he_normal = nn.initializers.variance_scaling(2.0, "fan_out", "normal")


class Stage(NamedTuple):
    """One stage of inverted bottlenecks.

    Attributes:
        blocks: Number of blocks.
        kernel_size: Side of the depthwise kernels.
        stride: Stride of the first block.
        expansion: Ratio of the inner channels to the input channels.
        channels: Output channels.
    """

    blocks: int
    kernel_size: int
    stride: int
    expansion: int
    channels: int


# Stages 2 to 8 of the paper's Table 1, which counts the stem as its first stage; here they have the numbers 1 to 7.
STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)
_LAST_STRIDED_STAGE = 6


def relu6(x: Array) -> Array:
    """Returns the values limited to the range from 0 to 6."""
    return jnp.clip(x, 0, 6)


class PointwiseConv(nn.Module):
    """A 1x1 convolution, computed as a matrix product of all places.

    Attributes:
        features: Number of output channels.
    """

    features: int

    @nn.compact
    def __call__(self, x: Float[Array, "batch height width channel"]) -> Float[Array, "batch height width out"]:
        """Returns the convolved map; there is no bias."""
        kernel = jnp.asarray(self.param("kernel", _he_normal, (x.shape[-1], self.features), jnp.float32), x.dtype)
        # (batch * height * width, channel) x (channel, out): XLA's CPU backend differentiates 4-d products slowly.
        return (x.reshape(-1, x.shape[-1]) @ kernel).reshape(*x.shape[:-1], self.features)


class Stem(nn.Module):
    """The first layer: a 3x3 convolution with stride 2, batch normalisation and ReLU6.

    Attributes:
        train, axis_name, statistics_decay, compute_dtype: See `EfficientNetLite0`.
    """

    train: bool
    axis_name: str | None
    statistics_decay: float
    compute_dtype: DTypeLike | None

    @nn.compact
    def __call__(self, pictures: Float[Array, "batch height width 3"]) -> Float[Array, "batch h w 32"]:
        """Returns the map at half the resolution."""
        windows = [same_window(size, 3, stride=2) for size in pictures.shape[1:3]]
        x = nn.Conv(
            _STEM_CHANNELS,
            (3, 3),
            strides=2,
            padding=[(window.before, window.after) for window in windows],
            use_bias=False,
            kernel_init=_he_normal,
            dtype=self.compute_dtype,
            name="conv",
        )(pictures)
        norm = BatchNorm(self.train, self.axis_name, decay=self.statistics_decay, epsilon=_EPSILON, name="norm")
        return relu6(norm(x))


class InvertedBottleneck(nn.Module):
    """A block that expands the channels, filters each of them, and projects them to fewer channels.

    Attributes:
        channels: Output channels.
        expansion: Ratio of the inner channels to the input channels; 1 leaves the expansion out.
        kernel_size, stride, dilation: Of the depthwise convolution.
        shortcut: Whether the block's input is added to its output.
        train, axis_name, statistics_decay: See `EfficientNetLite0`.
    """

    channels: int
    expansion: int
    kernel_size: int
    stride: int
    dilation: int
    shortcut: bool
    train: bool
    axis_name: str | None
    statistics_decay: float

    @nn.compact
    def __call__(self, x: Float[Array, "batch height width channel"]) -> Float[Array, "batch h w out"]:
        """Returns the block's output, which has no activation."""
        norm = functools.partial(BatchNorm, self.train, self.axis_name, decay=self.statistics_decay, epsilon=_EPSILON)
        y = x
        if self.expansion > 1:
            y = PointwiseConv(x.shape[-1] * self.expansion, name="expand")(y)
            y = relu6(norm(name="expand_norm")(y))
        # (batch, height, width, inner) -> (batch, height / stride, width / stride, inner)
        y = DepthwiseConv(self.kernel_size, self.stride, self.dilation, name="depthwise")(y)
        y = relu6(norm(name="depthwise_norm")(y))
        y = norm(name="project_norm")(PointwiseConv(self.channels, name="project")(y))
        return x + y if self.shortcut else y


class Top(nn.Module):
    """The last layer: a 1x1 convolution, batch normalisation and ReLU6.

    Attributes:
        train, axis_name, statistics_decay: See `EfficientNetLite0`.
    """

    train: bool
    axis_name: str | None
    statistics_decay: float

    @nn.compact
    def __call__(self, x: Float[Array, "batch height width channel"]) -> Float[Array, "batch height width 1280"]:
        """Returns the features of each place."""
        norm = BatchNorm(self.train, self.axis_name, decay=self.statistics_decay, epsilon=_EPSILON, name="norm")
        return relu6(norm(PointwiseConv(FEATURES, name="conv")(x)))


class EfficientNetLite0(nn.Module):
    """EfficientNet-Lite0 that maps a picture of any size to a grid of features.

    All convolutions pad as TensorFlow's "SAME" does, from the actual size. With `dilated`, the features at every second
    place (the odd ones of an even number of places, the even ones of an odd number) equal those without.

    Attributes:
        dilated: Whether the last strided stage (stage 6) keeps its resolution, and the later depthwise convolutions are
            dilated instead. Places are then 16 pixels apart (224 x 224 pixels give 14 x 14 places), else 32 (7 x 7).
        train: Whether batch statistics are used and recorded, instead of running statistics.
        axis_name: The pmap axis of the devices that share a batch.
        statistics_decay: Weight of the old running statistics in each update.
        compute_dtype: Type of maps and products, for example bfloat16. Parameters, statistics and results keep their
            types. None computes in the pictures' type.
    """

    dilated: bool = True
    train: bool = False
    axis_name: str | None = None
    statistics_decay: float = 0.9
    compute_dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, pictures: Float[Array, "batch height width 3"]) -> Float[Array, "batch h w 1280"]:
        """Returns the features of each place, after the last ReLU6; `pictures` come from `normalise_pictures`."""
        shared = (self.train, self.axis_name, self.statistics_decay)
        # (batch, height, width, 3) -> (batch, height / 2, width / 2, 32); all sizes are rounded up.
        x = Stem(*shared, self.compute_dtype, name="stem")(pictures)
        dilation = 1
        for number, stage in enumerate(STAGES, 1):
            for block in range(1, stage.blocks + 1):
                stride = stage.stride if block == 1 else 1
                loses_stride = self.dilated and number == _LAST_STRIDED_STAGE and block == 1
                x = InvertedBottleneck(
                    stage.channels,
                    stage.expansion,
                    stage.kernel_size,
                    1 if loses_stride else stride,
                    dilation,
                    stride == 1 and x.shape[-1] == stage.channels,
                    *shared,
                    name=f"stage{number}_block{block}",
                )(x)
                # The convolution that lost its stride keeps dilation 1; the later ones take dilation 2.
                dilation = 2 if loses_stride else dilation
        # (batch, h, w, 320) -> (batch, h, w, 1280), h = height / 16 (without dilation height / 32)
        x = Top(*shared, name="top")(x)
        return x.astype(jnp.promote_types(x.dtype, jnp.float32))


class ImageNetHead(nn.Module):
    """The classifier of EfficientNet-Lite0's pooled features over ImageNet's 1000 classes."""

    @nn.compact
    def __call__(self, pooled: Float[Array, "*batch 1280"]) -> Float[Array, "*batch 1000"]:
        """Returns the classes' logits.

        Args:
            pooled: Means of `EfficientNetLite0`'s features over all places; the pretrained classifier expects those
                without dilation.
        """
        return nn.Dense(CLASSES, name="classifier")(pooled)


def normalise_pictures(pictures: Array) -> Float[Array, "*batch height width 3"]:
    """Normalises uint8 RGB pictures to float32 values from -127/128 to 1, as the pretrained Lite networks expect."""
    return (pictures.astype(jnp.float32) - 127) / 128
