"""Convolutions in the form that is fast on the backend; all forms of one are equal but for rounding (tested).

On a CPU, XLA's own convolutions and their gradients run at the rate of its matrix products at best. Winograd's minimal
filtering needs fewer multiplications; where maps are small and kernels large, its larger kernels cost more than it
saves, and one product of patches is fastest. On other backends the libraries choose for themselves.
"""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mpnet_jax.models.layers.winograd import TILE, winograd_conv

# With fewer channels on either side, there is nothing to multiply.
_MIN_CHANNELS = 64
# With fewer tiles, Winograd's products are bound by reading its kernels.
_MIN_TILES = 32

_LAYOUT = ("NHWC", "HWIO", "NHWC")


def _transformed(x: Array) -> bool:
    """Whether to look for a faster form: elsewhere libraries do, and the transforms cost half precision too much."""
    return jax.default_backend() == "cpu" and x.dtype != jnp.bfloat16


def conv_3x3(
    x: Float[Array, "batch height width channel"], kernel: Float[Array, "3 3 channel out"], *, dilation: int = 1
) -> Float[Array, "batch height width out"]:
    """A 3x3 convolution with stride 1, padded so that the map keeps its size.

    Args:
        x: the map.
        kernel: weights.
        dilation: distance of the taps.
    """
    winograd = _transformed(x) and min(kernel.shape[2:]) >= _MIN_CHANNELS
    return FORMS_3X3["winograd" if winograd else "plain"](x, kernel, dilation)


def _plain_3x3(x: Array, kernel: Array, dilation: int) -> Array:
    padding = [(dilation, dilation)] * 2
    return jax.lax.conv_general_dilated(
        x, kernel, (1, 1), padding, rhs_dilation=(dilation, dilation), dimension_numbers=_LAYOUT
    )


def _winograd_3x3(x: Array, kernel: Array, dilation: int) -> Array:
    batch, height, width, channels = x.shape
    step = dilation * TILE
    down, across = -(-height // step) * step, -(-width // step) * step
    x = jnp.pad(x, ((0, 0), (dilation, down - height + dilation), (dilation, across - width + dilation), (0, 0)))
    # A tap stays in its phase of the dilation, so phases are samples of their own.
    x = x.reshape(batch, down // dilation + 2, dilation, across // dilation + 2, dilation, channels)
    x = x.transpose(0, 2, 4, 1, 3, 5).reshape(-1, down // dilation + 2, across // dilation + 2, channels)
    y = winograd_conv(x, kernel).reshape(batch, dilation, dilation, down // dilation, across // dilation, -1)
    return y.transpose(0, 3, 1, 4, 2, 5).reshape(batch, down, across, -1)[:, :height, :width]


FORMS_3X3: dict[str, Callable[[Array, Array, int], Array]] = {"plain": _plain_3x3, "winograd": _winograd_3x3}


def halving_conv(
    x: Float[Array, "batch height width channel"], kernel: Float[Array, "4 4 channel out"]
) -> Float[Array, "batch half_height half_width out"]:
    """A 4x4 convolution with stride 2 and a padding of 1.

    Args:
        x: the map; both sides are even.
        kernel: weights.
    """
    batch, height, width, channels = x.shape
    if not _transformed(x) or min(channels, kernel.shape[3]) < _MIN_CHANNELS:
        form = "plain"
    elif height % (2 * TILE) or width % (2 * TILE) or batch * height * width < _MIN_TILES * (2 * TILE) ** 2:
        form = "patches"
    else:
        form = "winograd"
    return HALVING_FORMS[form](x, kernel)


def _plain_halving(x: Array, kernel: Array) -> Array:
    return jax.lax.conv_general_dilated(x, kernel, (2, 2), [(1, 1)] * 2, dimension_numbers=_LAYOUT)


def _winograd_halving(x: Array, kernel: Array) -> Array:
    return winograd_conv(*_as_stride_1(x, kernel))


def _patches_halving(x: Array, kernel: Array) -> Array:
    """Its input's gradient as a product too: XLA's own is up to fifty times slower where the map is tiny."""
    x, kernel = _as_stride_1(x, kernel)
    batch, height, width = x.shape[0], x.shape[1] - 1, x.shape[2] - 1
    patches = [x[:, i : i + height, j : j + width] for i in range(2) for j in range(2)]
    rows = jnp.concatenate(patches, axis=-1).reshape(batch * height * width, -1)
    return (rows @ kernel.reshape(rows.shape[-1], -1)).reshape(batch, height, width, -1)


def _as_stride_1(x: Array, kernel: Array) -> tuple[Array, Array]:
    """The same convolution with a 2x2 kernel, stride 1 and no padding: squares of four places become channels."""
    batch, height, width, channels = x.shape
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    x = x.reshape(batch, height // 2 + 1, 2, width // 2 + 1, 2, channels).transpose(0, 1, 3, 2, 4, 5)
    kernel = kernel.reshape(2, 2, 2, 2, channels, -1).transpose(0, 2, 1, 3, 4, 5)
    return x.reshape(batch, height // 2 + 1, width // 2 + 1, -1), kernel.reshape(2, 2, 4 * channels, -1)


HALVING_FORMS: dict[str, Callable[[Array, Array], Array]] = {
    "plain": _plain_halving,
    "winograd": _winograd_halving,
    "patches": _patches_halving,
}


class Conv3x3(nn.Module):
    """`conv_3x3` with its weights.

    Attributes:
        features: output channels.
        dilation: distance of the taps.
        kernel_init: initial weights.
    """

    features: int
    dilation: int
    kernel_init: nn.initializers.Initializer

    @nn.compact
    def __call__(self, x: Float[Array, "batch height width channel"]) -> Float[Array, "batch height width out"]:
        """Returns the convolved map, without an offset."""
        kernel = self.param("kernel", self.kernel_init, (3, 3, x.shape[-1], self.features))
        return conv_3x3(x, jnp.asarray(kernel, x.dtype), dilation=self.dilation)


class HalvingConv(nn.Module):
    """`halving_conv` with its weights.

    Attributes:
        features: output channels.
        kernel_init: initial weights.
    """

    features: int
    kernel_init: nn.initializers.Initializer

    @nn.compact
    def __call__(self, x: Float[Array, "batch height width channel"]) -> Float[Array, "batch h w out"]:
        """Returns the convolved map at half the resolution, without an offset."""
        kernel = self.param("kernel", self.kernel_init, (4, 4, x.shape[-1], self.features))
        return halving_conv(x, jnp.asarray(kernel, x.dtype))
