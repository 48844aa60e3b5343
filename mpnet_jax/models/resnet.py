"""The frame network: ResNet-18 without its classifier, optionally with a dilated last stage."""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from mpnet_jax.models.layers.batch_norm import BatchNorm
from mpnet_jax.models.layers.conv import Conv3x3

# Mean and standard deviation of ImageNet's red, green and blue values, for values in [0, 1].
IMAGE_MEAN = (0.485, 0.456, 0.406)
IMAGE_STD = (0.229, 0.224, 0.225)

_he_normal = nn.initializers.variance_scaling(2.0, "fan_out", "normal")


def max_pool_3x3_stride_2(x: Float[Array, "batch height width channel"]) -> Float[Array, "batch h w channel"]:
    """Returns the maximum over 3x3 windows with stride 2 and padding 1.

    Equal to `nn.max_pool`, whose gradient is slow on a CPU. This form compares even and odd rows, then columns.
    """

    def halve(x: Array, axis: int) -> Array:
        # Output i is the maximum of the inputs 2i - 1, 2i and 2i + 1.
        size = x.shape[axis]
        if size % 2:
            x = jnp.pad(x, [(0, int(i == axis)) for i in range(x.ndim)], constant_values=-jnp.inf)
        # The axis becomes two, (..., size / 2, 2, ...): even and odd places.
        pairs = x.reshape(*x.shape[:axis], -1, 2, *x.shape[axis + 1 :])
        even, odd = jnp.split(pairs, 2, axis=axis + 1)
        even, odd = jnp.squeeze(even, axis + 1), jnp.squeeze(odd, axis + 1)
        # Input 2i - 1 is the odd place of the previous pair; the first output has none.
        previous_odd = jnp.pad(
            jax.lax.slice_in_dim(odd, 0, odd.shape[axis] - 1, axis=axis),
            [(int(i == axis), 0) for i in range(x.ndim)],
            constant_values=-jnp.inf,
        )
        return jnp.maximum(previous_odd, jnp.maximum(even, odd))

    return halve(halve(x, 1), 2)


class PointwiseStride2(nn.Module):
    """A 1x1 convolution with stride 2, computed as a matrix product over every other pixel.

    Attributes:
        features: Number of output channels.
    """

    features: int

    @nn.compact
    def __call__(self, x: Float[Array, "batch height width channel"]) -> Float[Array, "batch h w out"]:
        """Returns the map at half the resolution."""
        kernel = jnp.asarray(self.param("kernel", _he_normal, (x.shape[-1], self.features), jnp.float32), x.dtype)
        x = x[:, ::2, ::2]  # (batch, ceil(height / 2), ceil(width / 2), channel)
        # The product is 2-d, (pixel, channel) x (channel, out): XLA's CPU backend differentiates 4-d products slowly.
        return (x.reshape(-1, x.shape[-1]) @ kernel).reshape(*x.shape[:-1], self.features)


class BasicBlock(nn.Module):
    """ResNet's basic block: two 3x3 convolutions and a shortcut.

    Attributes:
        features: Number of output channels.
        stride: Stride of the first convolution: 1 or 2.
        dilations: Dilations of the two convolutions.
        train, axis_name, statistics_decay: See `ResNet18`.
    """

    features: int
    stride: int
    dilations: tuple[int, int]
    train: bool
    axis_name: str | None
    statistics_decay: float

    @nn.compact
    def __call__(self, x: Float[Array, "batch height width channel"]) -> Float[Array, "batch h w out"]:
        """Returns the block's output, after the ReLU."""
        norm = functools.partial(BatchNorm, self.train, self.axis_name, decay=self.statistics_decay)
        first, second = self.dilations
        # (batch, height, width, channel) -> (batch, height / stride, width / stride, features)
        if self.stride == 1:
            y = Conv3x3(self.features, first, _he_normal, name="conv1")(x)
        else:
            y = nn.Conv(
                self.features,
                (3, 3),
                strides=self.stride,
                padding=first,
                kernel_dilation=first,
                use_bias=False,
                kernel_init=_he_normal,
                dtype=x.dtype,
                name="conv1",
            )(x)
        y = jax.nn.relu(norm(name="norm1")(y))
        y = norm(name="norm2")(Conv3x3(self.features, second, _he_normal, name="conv2")(y))
        # Where the block changes the shape, the shortcut needs a 1x1 convolution before the sum.
        if x.shape[-1] != self.features or self.stride > 1:
            if self.stride == 2:
                x = PointwiseStride2(self.features, name="shortcut_conv")(x)
            else:
                x = nn.Dense(
                    self.features, use_bias=False, kernel_init=_he_normal, dtype=x.dtype, name="shortcut_conv"
                )(x)
            x = norm(name="shortcut_norm")(x)
        return jax.nn.relu(x + y)


class ResNet18(nn.Module):
    """ResNet-18 that maps an image to a grid of visual vectors.

    Source: Sec. 3.2 and 4.1 (the last stage is dilated, so that 224 x 224 pixels give 14 x 14 places).

    Attributes:
        out_channels: Length of a visual vector (the paper's k).
        features: Channels of the first stage (64 in ResNet-18).
        dilated: Whether the last stage is dilated instead of strided: places are then 16 pixels apart, else 32.
        train: Whether batch statistics are used and recorded, instead of running statistics.
        axis_name: The pmap axis of the devices that share a batch.
        statistics_decay: Weight of the old running statistics in each update.
        compute_dtype: Type of maps and products, for example bfloat16. Parameters, statistics and results keep their
            types. None computes in the images' type.
        frozen_trunk: Whether only the last layer learns: the other layers use running statistics and pass no gradient.
    """

    out_channels: int
    features: int = 64
    dilated: bool = True
    train: bool = False
    axis_name: str | None = None
    statistics_decay: float = 0.9
    compute_dtype: DTypeLike | None = None
    frozen_trunk: bool = False

    @nn.compact
    def __call__(self, pictures: Float[Array, "batch height width 3"]) -> Float[Array, "batch h w out"]:
        """Returns one vector for each place, before the activation; `pictures` come from `normalise_pictures`."""
        train = self.train and not self.frozen_trunk
        # (batch, height, width, 3) -> (batch, height / 2, width / 2, features)
        x = nn.Conv(
            self.features,
            (7, 7),
            strides=2,
            padding=3,
            use_bias=False,
            kernel_init=_he_normal,
            dtype=self.compute_dtype,
            name="conv_in",
        )(pictures)
        x = BatchNorm(train, self.axis_name, decay=self.statistics_decay, name="norm_in")(x)
        x = max_pool_3x3_stride_2(jax.nn.relu(x))  # (batch, height / 4, width / 4, features)
        # Stage s has features * 2^s channels; stages 1 to 3 halve the sides (a dilated stage 3 does not).
        for stage in range(4):
            for block in range(2):
                stride = 2 if stage > 0 and block == 0 else 1
                dilations = (1, 1)
                if stage == 3 and self.dilated:
                    # The convolution that lost its stride keeps dilation 1; the later ones take dilation 2.
                    dilations = (1, 2) if block == 0 else (2, 2)
                    stride = 1
                x = BasicBlock(
                    self.features * 2**stage,
                    stride,
                    dilations,
                    train,
                    self.axis_name,
                    self.statistics_decay,
                    name=f"stage{stage + 1}_block{block + 1}",
                )(x)
        if self.frozen_trunk:
            x = jax.lax.stop_gradient(x)
        # (batch, h, w, 8 * features) -> (batch, h, w, out_channels), h = height / 16 (without dilation height / 32)
        x = nn.Conv(self.out_channels, (3, 3), padding=1, dtype=self.compute_dtype, name="conv_out")(x)
        return x.astype(jnp.promote_types(x.dtype, jnp.float32))

    def pooled(self, seen: Array, pool: Callable[[Array], Array], *, average: bool) -> Array:
        """Returns pooled vectors of uint8 pictures (picture, height, width, 3), before the activation.

        Args:
            seen: The pictures.
            pool: Pooling of maps (picture, h, w, channel).
            average: Ignored; the last layer looks at neighbouring places, so it comes before any pooling.
        """
        del average
        return pool(self(normalise_pictures(seen)))


def normalise_pictures(pictures: Array) -> Float[Array, "*batch height width 3"]:
    """Normalises uint8 images to float32 with ImageNet's mean and standard deviation."""
    mean = jnp.asarray(IMAGE_MEAN, jnp.float32) * 255
    std = jnp.asarray(IMAGE_STD, jnp.float32) * 255
    return (pictures.astype(jnp.float32) - mean) / std
