"""The frame network: ResNet-18 without its classifier, optionally with a dilated last stage."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from mpnet_jax.models.layers.batch_norm import BatchNorm
from mpnet_jax.models.layers.conv import Conv3x3

# Mean and standard deviation of ImageNet's pictures in red, green, blue, for values in [0, 1].
IMAGE_MEAN = (0.485, 0.456, 0.406)
IMAGE_STD = (0.229, 0.224, 0.225)

_he_normal = nn.initializers.variance_scaling(2.0, "fan_out", "normal")


def max_pool_3x3_stride_2(x: Float[Array, "batch height width channel"]) -> Float[Array, "batch h w channel"]:
    """Maximum over 3x3 windows, stride 2, padded by 1; from even and odd rows, whose gradient is cheap.

    Equal to `nn.max_pool` (tested), whose gradient is slow on a CPU.
    """

    def halve(x: Array, axis: int) -> Array:
        size = x.shape[axis]
        if size % 2:
            x = jnp.pad(x, [(0, int(i == axis)) for i in range(x.ndim)], constant_values=-jnp.inf)
        pairs = x.reshape(*x.shape[:axis], -1, 2, *x.shape[axis + 1 :])
        even, odd = jnp.split(pairs, 2, axis=axis + 1)
        even, odd = jnp.squeeze(even, axis + 1), jnp.squeeze(odd, axis + 1)
        before = jnp.pad(
            jax.lax.slice_in_dim(odd, 0, odd.shape[axis] - 1, axis=axis),
            [(int(i == axis), 0) for i in range(x.ndim)],
            constant_values=-jnp.inf,
        )
        return jnp.maximum(before, jnp.maximum(even, odd))

    return halve(halve(x, 1), 2)


class PointwiseStride2(nn.Module):
    """A 1x1 convolution with stride 2, as a matrix product over every other pixel.

    Attributes:
        features: output channels.
    """

    features: int

    @nn.compact
    def __call__(self, x: Float[Array, "batch height width channel"]) -> Float[Array, "batch h w out"]:
        """Returns the map at half the resolution."""
        kernel = jnp.asarray(self.param("kernel", _he_normal, (x.shape[-1], self.features)), x.dtype)
        x = x[:, ::2, ::2]
        # Two dimensions on purpose: XLA's CPU backend takes a far slower path for the gradient of a 4-d product.
        return (x.reshape(-1, x.shape[-1]) @ kernel).reshape(*x.shape[:-1], self.features)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut.

    Attributes:
        features: channels.
        stride: of the first convolution: 1 or 2.
        dilations: of the two convolutions.
        train, axis_name, statistics_decay: see `ResNet18`.
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
    """Pictures to a map of visual vectors.

    Source: Sec. 3.2 and 4.1 (ResNet-18 with its last stage dilated, so that 224 pixels give 14 x 14 places).

    Attributes:
        out_channels: length of a visual vector (the paper's k).
        features: channels of the first stage (64 in ResNet-18).
        dilated: keep the last stage at a 16th of the resolution, else a 32nd.
        train: batch statistics (recorded) instead of running ones.
        axis_name: pmap axis of the devices that share a batch.
        statistics_decay: share of the running statistics kept at each step.
        compute_dtype: of maps and products (bfloat16); parameters, statistics and the result keep theirs. None computes
            in the pictures' type.
    """

    out_channels: int
    features: int = 64
    dilated: bool = True
    train: bool = False
    axis_name: str | None = None
    statistics_decay: float = 0.9
    compute_dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, pictures: Float[Array, "batch height width 3"]) -> Float[Array, "batch h w out"]:
        """Returns vectors before the sigmoid, one for each place; `pictures` are normalised (`normalise_pictures`)."""
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
        x = BatchNorm(self.train, self.axis_name, decay=self.statistics_decay, name="norm_in")(x)
        x = max_pool_3x3_stride_2(jax.nn.relu(x))
        for stage in range(4):
            for block in range(2):
                stride = 2 if stage > 0 and block == 0 else 1
                dilations = (1, 1)
                if stage == 3 and self.dilated:
                    # The formerly strided convolution keeps dilation 1, what follows it takes 2.
                    dilations = (1, 2) if block == 0 else (2, 2)
                    stride = 1
                x = BasicBlock(
                    self.features * 2**stage,
                    stride,
                    dilations,
                    self.train,
                    self.axis_name,
                    self.statistics_decay,
                    name=f"stage{stage + 1}_block{block + 1}",
                )(x)
        x = nn.Conv(self.out_channels, (3, 3), padding=1, dtype=self.compute_dtype, name="conv_out")(x)
        return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def normalise_pictures(pictures: Array) -> Float[Array, "*batch height width 3"]:
    """uint8 pictures in 0..255 to float32 with ImageNet's mean and deviation."""
    mean = jnp.asarray(IMAGE_MEAN, jnp.float32) * 255
    std = jnp.asarray(IMAGE_STD, jnp.float32) * 255
    return (pictures.astype(jnp.float32) - mean) / std
