"""Depthwise convolution in the form that is fastest on the backend; the forms differ only by rounding.

XLA's CPU backend computes grouped convolutions without vector instructions. A sum of one shifted product for each tap
becomes a single vectorised loop over the channels, which is 10 to 50 times as fast. On other backends XLA's libraries
choose the algorithm themselves.
"""

from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

# Each output channel depends on one input channel, so the fan-in is the number of taps.
_he_normal = nn.initializers.variance_scaling(2.0, "fan_in", "normal")


class Window(NamedTuple):
    """Places that a convolution's window takes along one axis, in TensorFlow's "SAME" convention.

    Attributes:
        outputs: Number of output places: the input places divided by the stride, rounded up.
        before, after: Zeros that are added on either side. The sides differ by at most one; `after` is the larger.
    """

    outputs: int
    before: int
    after: int


def same_window(size: int, kernel_size: int, *, stride: int = 1, dilation: int = 1) -> Window:
    """Returns the output size and padding of a convolution along one axis.

    Args:
        size: Input places.
        kernel_size: Taps of the kernel.
        stride: Distance between outputs, in input places.
        dilation: Distance between taps, in input places.
    """
    outputs = -(-size // stride)
    padding = max((outputs - 1) * stride + (kernel_size - 1) * dilation + 1 - size, 0)
    return Window(outputs, padding // 2, padding - padding // 2)


def depthwise_conv(
    x: Float[Array, "batch height width channel"],
    kernel: Float[Array, "side side 1 channel"],
    *,
    stride: int = 1,
    dilation: int = 1,
) -> Float[Array, "batch h w channel"]:
    """Convolves every channel with its own kernel; the padding is that of `same_window`.

    Args:
        x: The map.
        kernel: The weights.
        stride: Distance between outputs, in places.
        dilation: Distance between the kernel's taps, in places.
    """
    return FORMS["shifts" if jax.default_backend() == "cpu" else "plain"](x, kernel, stride, dilation)


def _windows(x: Array, kernel: Array, stride: int, dilation: int) -> list[Window]:
    return [same_window(size, kernel.shape[0], stride=stride, dilation=dilation) for size in x.shape[1:3]]


def _plain(x: Array, kernel: Array, stride: int, dilation: int) -> Array:
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        [(window.before, window.after) for window in _windows(x, kernel, stride, dilation)],
        rhs_dilation=(dilation, dilation),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=x.shape[-1],
    )


def _shifts(x: Array, kernel: Array, stride: int, dilation: int) -> Array:
    down, across = _windows(x, kernel, stride, dilation)
    given = x.dtype
    x = jnp.pad(x, ((0, 0), (down.before, down.after), (across.before, across.after), (0, 0)))
    # The sum of up to 25 products is kept in float32 or a wider type, as XLA's convolutions do.
    x, kernel = (value.astype(jnp.promote_types(given, jnp.float32)) for value in (x, kernel))
    taps = [(i, j) for i in range(kernel.shape[0]) for j in range(kernel.shape[1])]
    products = []
    for i, j in taps:
        # Every output's input under tap (i, j): (batch, h, w, channel).
        top, left = i * dilation, j * dilation
        rows, columns = top + (down.outputs - 1) * stride + 1, left + (across.outputs - 1) * stride + 1
        products.append(
            jax.lax.slice(x, (0, top, left, 0), (x.shape[0], rows, columns, x.shape[3]), (1, stride, stride, 1))
            * kernel[i, j, 0]
        )
    return sum(products[1:], products[0]).astype(given)


FORMS: dict[str, Callable[[Array, Array, int, int], Array]] = {"plain": _plain, "shifts": _shifts}


class DepthwiseConv(nn.Module):
    """`depthwise_conv` as a module.

    Attributes:
        kernel_size: Side of the kernel.
        stride: Distance between outputs, in places.
        dilation: Distance between the kernel's taps, in places.
    """

    kernel_size: int
    stride: int = 1
    dilation: int = 1

    @nn.compact
    def __call__(self, x: Float[Array, "batch height width channel"]) -> Float[Array, "batch h w channel"]:
        """Returns the convolved map; there is no bias."""
        kernel = self.param("kernel", _he_normal, (self.kernel_size, self.kernel_size, 1, x.shape[-1]))
        return depthwise_conv(x, jnp.asarray(kernel, x.dtype), stride=self.stride, dilation=self.dilation)
