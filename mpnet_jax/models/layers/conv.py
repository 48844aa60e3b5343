"""Convolutions in the form that is fastest on the backend; the forms differ only by rounding.

On a CPU, XLA's convolutions and gradients are at best as fast as its matrix products. Winograd's minimal filtering
needs fewer multiplications. For small maps with many channels, Winograd's larger kernels cost more than it saves, and a
single matrix product over patches is fastest. On other backends XLA's libraries choose the algorithm themselves.
"""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mpnet_jax.models.layers.winograd import TILE, winograd_conv

# With fewer input or output channels, the transforms cost more than the multiplications that they save.
_MIN_CHANNELS = 64
# The gradient of the halving convolution gains from Winograd's form with this many channels already.
_MIN_GRADIENT_CHANNELS = 16
# With fewer tiles, reading Winograd's kernels from memory takes most of the time.
_MIN_TILES = 32

_LAYOUT = ("NHWC", "HWIO", "NHWC")


def _prefers_other_forms(x: Array) -> bool:
    """Returns whether a form other than XLA's may be used: on a CPU, but not in bfloat16, which loses accuracy."""
    return jax.default_backend() == "cpu" and x.dtype != jnp.bfloat16


def conv_3x3(
    x: Float[Array, "batch height width channel"], kernel: Float[Array, "3 3 channel out"], *, dilation: int = 1
) -> Float[Array, "batch height width out"]:
    """Convolves with a 3x3 kernel and stride 1; padding keeps the map's size.

    Args:
        x: The map.
        kernel: The weights.
        dilation: Distance between the kernel's taps, in places.
    """
    winograd = _prefers_other_forms(x) and min(kernel.shape[2:]) >= _MIN_CHANNELS
    return FORMS_3X3["winograd" if winograd else "plain"](x, kernel, dilation)


def _plain_3x3(x: Array, kernel: Array, dilation: int) -> Array:
    padding = [(dilation, dilation)] * 2
    return jax.lax.conv_general_dilated(
        x, kernel, (1, 1), padding, rhs_dilation=(dilation, dilation), dimension_numbers=_LAYOUT
    )


def _winograd_3x3(x: Array, kernel: Array, dilation: int) -> Array:
    batch, height, width, channels = x.shape
    # Both sides are padded to whole tiles of every phase: (batch, down + 2 * dilation, across + 2 * dilation, channel).
    step = dilation * TILE
    down, across = -(-height // step) * step, -(-width // step) * step
    x = jnp.pad(x, ((0, 0), (dilation, down - height + dilation), (dilation, across - width + dilation), (0, 0)))
    # All taps of an output lie in the same phase of the dilation, so each phase becomes a sample of its own: from
    # (batch, down / dilation + 2, phase, across / dilation + 2, phase, channel) to
    # (batch * phase * phase, down / dilation + 2, across / dilation + 2, channel).
    x = x.reshape(batch, down // dilation + 2, dilation, across // dilation + 2, dilation, channels)
    x = x.transpose(0, 2, 4, 1, 3, 5).reshape(-1, down // dilation + 2, across // dilation + 2, channels)
    y = winograd_conv(x, kernel).reshape(batch, dilation, dilation, down // dilation, across // dilation, -1)
    # The phases are interleaved again and the padding is cut off:
    # (batch, phase, phase, down / dilation, across / dilation, out) -> (batch, height, width, out).
    return y.transpose(0, 3, 1, 4, 2, 5).reshape(batch, down, across, -1)[:, :height, :width]


FORMS_3X3: dict[str, Callable[[Array, Array, int], Array]] = {"plain": _plain_3x3, "winograd": _winograd_3x3}


def halving_conv(
    x: Float[Array, "batch height width channel"], kernel: Float[Array, "4 4 channel out"]
) -> Float[Array, "batch half_height half_width out"]:
    """Convolves with a 4x4 kernel, stride 2 and padding 1.

    Args:
        x: The map; both sides are even.
        kernel: The weights.
    """
    batch, height, width, channels = x.shape
    if not _prefers_other_forms(x):
        form = "plain"
    elif channels == 1:
        form = "patches"  # of one channel they are small
    elif min(channels, kernel.shape[3]) < _MIN_GRADIENT_CHANNELS:
        form = "plain"
    elif min(channels, kernel.shape[3]) < _MIN_CHANNELS:
        form = "winograd_gradient"
    elif height % (2 * TILE) or width % (2 * TILE) or batch * height * width < _MIN_TILES * (2 * TILE) ** 2:
        form = "patches"
    else:
        form = "winograd"
    return HALVING_FORMS[form](x, kernel)


def _plain_halving(x: Array, kernel: Array) -> Array:
    return jax.lax.conv_general_dilated(x, kernel, (2, 2), [(1, 1)] * 2, dimension_numbers=_LAYOUT)


def _winograd_halving(x: Array, kernel: Array) -> Array:
    return winograd_conv(*_as_stride_1(x, kernel))


@jax.custom_vjp
def _winograd_gradient(x: Array, kernel: Array) -> Array:
    """Computes the plain form, with the gradient of Winograd's."""
    return _plain_halving(x, kernel)


_winograd_gradient.defvjp(
    lambda x, kernel: (_plain_halving(x, kernel), (x, kernel)),
    lambda inputs, dy: jax.vjp(_winograd_halving, *inputs)[1](dy),
)


def _patches_halving(x: Array, kernel: Array) -> Array:
    """Computes the convolution as one matrix product, whose gradient is up to fifty times faster for tiny maps."""
    x, kernel = _as_stride_1(x, kernel)
    batch, height, width = x.shape[0], x.shape[1] - 1, x.shape[2] - 1
    # The four taps' inputs, each (batch, height, width, 4 * channel), are concatenated along the channels:
    # (batch * height * width, 16 * channel) x (16 * channel, out).
    patches = [x[:, i : i + height, j : j + width] for i in range(2) for j in range(2)]
    rows = jnp.concatenate(patches, axis=-1).reshape(batch * height * width, -1)
    return (rows @ kernel.reshape(rows.shape[-1], -1)).reshape(batch, height, width, -1)


def _as_stride_1(x: Array, kernel: Array) -> tuple[Array, Array]:
    """Returns input and kernel of an equal 2x2 convolution with stride 1 and no padding.

    Each square of 2 x 2 places becomes one place with four times the channels.
    """
    batch, height, width, channels = x.shape
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    # (batch, height / 2 + 1, 2, width / 2 + 1, 2, channel) -> (batch, height / 2 + 1, width / 2 + 1, 2, 2, channel)
    x = x.reshape(batch, height // 2 + 1, 2, width // 2 + 1, 2, channels).transpose(0, 1, 3, 2, 4, 5)
    # The taps likewise: (row, row in square, column, column in square, ...) -> (row, column, ... in square, ...).
    kernel = kernel.reshape(2, 2, 2, 2, channels, -1).transpose(0, 2, 1, 3, 4, 5)
    return x.reshape(batch, height // 2 + 1, width // 2 + 1, -1), kernel.reshape(2, 2, 4 * channels, -1)


HALVING_FORMS: dict[str, Callable[[Array, Array], Array]] = {
    "plain": _plain_halving,
    "winograd": _winograd_halving,
    "winograd_gradient": _winograd_gradient,
    "patches": _patches_halving,
}


class Conv3x3(nn.Module):
    """`conv_3x3` as a module.

    Attributes:
        features: Number of output channels.
        dilation: Distance between the kernel's taps, in places.
        kernel_init: Initialiser of the weights.
    """

    features: int
    dilation: int
    kernel_init: nn.initializers.Initializer

    @nn.compact
    def __call__(self, x: Float[Array, "batch height width channel"]) -> Float[Array, "batch height width out"]:
        """Returns the convolved map; there is no bias."""
        kernel = self.param("kernel", self.kernel_init, (3, 3, x.shape[-1], self.features), jnp.float32)
        return conv_3x3(x, jnp.asarray(kernel, x.dtype), dilation=self.dilation)


class HalvingConv(nn.Module):
    """`halving_conv` as a module.

    Attributes:
        features: Number of output channels.
        kernel_init: Initialiser of the weights.
    """

    features: int
    kernel_init: nn.initializers.Initializer

    @nn.compact
    def __call__(self, x: Float[Array, "batch height width channel"]) -> Float[Array, "batch h w out"]:
        """Returns the convolved map at half the resolution; there is no bias."""
        kernel = self.param("kernel", self.kernel_init, (4, 4, x.shape[-1], self.features), jnp.float32)
        return halving_conv(x, jnp.asarray(kernel, x.dtype))
