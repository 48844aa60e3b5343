"""Depthwise convolution in the form that is fastest on the backend; the forms differ only by rounding.

XLA's CPU backend computes grouped convolutions without vector instructions. A sum of one shifted product for each tap
becomes a single vectorised loop over the channels, which is 10 to 50 times as fast. On other backends XLA's libraries
choose the algorithm themselves.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
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


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _shifts(x: Array, kernel: Array, stride: int, dilation: int) -> Array:
    """Computes one vectorised loop over the output, with gradients of the same kind.

    Automatic differentiation would add one padded map for each tap and reduce the products of each tap separately.
    That is up to ten times as slow on XLA's CPU backend.
    """
    down, across = _windows(x, kernel, stride, dilation)
    padded = jnp.pad(_wide(x), ((0, 0), (down.before, down.after), (across.before, across.after), (0, 0)))
    return _sum_of_taps(padded, _wide(kernel), (down.outputs, across.outputs), stride, dilation).astype(x.dtype)


def _wide(values: Array) -> Array:
    """Sums of up to 25 products are kept in float32 or a wider type, as XLA's convolutions do."""
    return values.astype(jnp.promote_types(values.dtype, jnp.float32))


def _sum_of_taps(x: Array, kernel: Array, outputs: tuple[int, int], stride: int, dilation: int) -> Array:
    """Convolves a map that is padded already."""
    products = []
    for i, j in np.ndindex(kernel.shape[:2]):
        # Every output's input under tap (i, j): (batch, h, w, channel).
        top, left = i * dilation, j * dilation
        rows, columns = top + (outputs[0] - 1) * stride + 1, left + (outputs[1] - 1) * stride + 1
        products.append(
            jax.lax.slice(x, (0, top, left, 0), (x.shape[0], rows, columns, x.shape[3]), (1, stride, stride, 1))
            * kernel[i, j, 0]
        )
    return sum(products[1:], products[0])


def _shifts_forward(x: Array, kernel: Array, stride: int, dilation: int):
    return _shifts(x, kernel, stride, dilation), (x, kernel)


def _shifts_backward(stride: int, dilation: int, residuals: tuple[Array, Array], dy: Array) -> tuple[Array, Array]:
    x, kernel = residuals
    return _input_gradient(x, kernel, stride, dilation, dy), _kernel_gradient(x, kernel, stride, dilation, dy)


def _input_gradient(x: Array, kernel: Array, stride: int, dilation: int, dy: Array) -> Array:
    """Convolves the output's gradient with the reversed kernel, after spreading its places by the stride."""
    reach = (kernel.shape[0] - 1) * dilation
    places = [
        (reach - window.before, size + window.before - (window.outputs - 1) * stride - 1, stride - 1)
        for size, window in zip(x.shape[1:3], _windows(x, kernel, stride, dilation), strict=True)
    ]
    # The spread map has the shape (batch, height + reach, width + reach, channel).
    spread = jax.lax.pad(_wide(dy), jnp.zeros((), _wide(dy).dtype), ((0, 0, 0), *places, (0, 0, 0)))
    return _sum_of_taps(spread, _wide(kernel)[::-1, ::-1], (x.shape[1], x.shape[2]), 1, dilation).astype(x.dtype)


def _kernel_gradient(x: Array, kernel: Array, stride: int, dilation: int, dy: Array) -> Array:
    """Adds the products of each output row and the input rows under its taps, row by row."""
    down, across = _windows(x, kernel, stride, dilation)
    padded = jnp.pad(_wide(x), ((0, 0), (down.before, down.after), (across.before, across.after), (0, 0)))
    channels, side = x.shape[3], kernel.shape[0]
    reach = (side - 1) * dilation + 1
    taps = list(np.ndindex(side, side))

    def add_row(number: Array, sums: list[Array]) -> list[Array]:
        sample, row = number // down.outputs, number % down.outputs
        inputs = jax.lax.dynamic_slice(padded, (sample, row * stride, 0, 0), (1, reach, padded.shape[2], channels))[0]
        gradient = jax.lax.dynamic_slice(dy, (sample, row, 0, 0), (1, 1, across.outputs, channels))[
            0, 0
        ]  # (w, channel)
        last = (across.outputs - 1) * stride + 1
        return [
            total + inputs[i * dilation, j * dilation : j * dilation + last : stride] * gradient
            for total, (i, j) in zip(sums, taps, strict=True)
        ]

    # One sum for each tap, (w, channel): only one row is left to be reduced at the end.
    zeros = jnp.zeros((across.outputs, channels), padded.dtype)
    sums = jax.lax.fori_loop(0, x.shape[0] * down.outputs, add_row, [zeros] * len(taps))
    return jnp.stack([total.sum(0) for total in sums]).reshape(kernel.shape).astype(kernel.dtype)


_shifts.defvjp(_shifts_forward, _shifts_backward)


_Form = Callable[[Array, Array, int, int], Array]
FORMS: dict[str, _Form] = {"plain": _plain, "shifts": cast(_Form, _shifts)}


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
        kernel = self.param("kernel", _he_normal, (self.kernel_size, self.kernel_size, 1, x.shape[-1]), jnp.float32)
        return depthwise_conv(x, jnp.asarray(kernel, x.dtype), stride=self.stride, dilation=self.dilation)
