"""Convolutions with fewer multiplications, by Winograd's minimal filtering.

A tile of m x m outputs of an r x r kernel needs (m + r - 1)^2 inputs. After a linear transform along both axes, the
convolution is an elementwise product: (m + r - 1)^2 matrix products over the channels instead of m^2 r^2. The gradients
have the same form.

Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (CVPR 2016).
"""

import dataclasses
import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

TILE = 4  # Outputs of a tile along each axis. A tile of 6 would lose one more digit in float32.
_POINTS = (0.0, 1.0, -1.0, 2.0, -2.0)  # The polynomials are multiplied at these points and at infinity.


@dataclasses.dataclass(frozen=True)
class _Transforms:
    """The transforms along one axis, as matrices.

    Attributes:
        from_input: Transform of the inputs, (product, input).
        from_kernel: Transform of the kernel, (product, tap).
        to_output: Transform of the products, (output, product).
    """

    from_input: np.ndarray
    from_kernel: np.ndarray
    to_output: np.ndarray


@functools.cache
def transforms(taps: int) -> _Transforms:
    """Returns the transforms for a number of taps, by the Toom-Cook construction."""
    places = TILE + taps - 1
    points = np.array(_POINTS[: places - 1])
    others = [np.delete(points, i) for i in range(len(points))]
    scale = np.array([np.prod(point - rest) for point, rest in zip(points, others, strict=True)])
    polynomials = [np.append(np.poly(rest)[::-1], 0.0) for rest in others]
    return _Transforms(
        from_input=np.array([*polynomials, np.poly(points)[::-1]]),
        from_kernel=np.vstack([np.vander(points, taps, increasing=True) / scale[:, None], np.eye(taps)[-1]]),
        to_output=np.column_stack([np.vander(points, TILE, increasing=True).T, np.eye(TILE)[-1]]),
    )


@jax.custom_vjp
def winograd_conv(
    x: Float[Array, "batch height width channel"], kernel: Float[Array, "tap tap channel out"]
) -> Float[Array, "batch height_out width_out out"]:
    """Convolves with stride 1 and no padding.

    Args:
        x: The map; both sides are a multiple of `TILE`, plus `tap` - 1.
        kernel: The weights.

    Returns:
        The convolved map, whose sides are shorter by `tap` - 1.
    """
    return _forward(x, kernel)[0]


def _forward(x: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
    inputs, weights = _transform_input(x, len(kernel)), _transform_kernel(kernel)
    # (product, row, channel) x (product, channel, out) -> (product, row, out); a row is one tile of one sample.
    products = jax.lax.dot_general(inputs, weights, (((2,), (1,)), ((0,), (0,))))
    return _transform_output(products, x.shape, len(kernel)), (inputs, weights)


def _backward(residuals: tuple[Array, Array], dy: Array) -> tuple[Array, Array]:
    inputs, weights = residuals
    taps = round(len(inputs) ** 0.5) - TILE + 1
    d_products = _output_adjoint(dy, taps)
    # (product, row, out) x (product, channel, out) -> (product, row, channel)
    d_inputs = jax.lax.dot_general(d_products, weights, (((2,), (2,)), ((0,), (0,))))
    # (product, row, channel) x (product, row, out) -> (product, channel, out)
    d_weights = jax.lax.dot_general(inputs, d_products, (((1,), (1,)), ((0,), (0,))))
    return _input_adjoint(d_inputs, dy.shape, taps), _kernel_adjoint(d_weights, taps)


winograd_conv.defvjp(_forward, _backward)


# Each transform works on one axis at a time and puts the product axis first: (product, before, tile, behind), where
# `before` and `behind` stand for the axes on either side. There are P = TILE + taps - 1 products along each axis, P^2
# together; the columns' products are the outer index, the rows' products the inner one.


def _combine(matrix: np.ndarray, parts: Sequence[Array]) -> list[Array]:
    """Returns, for each row of the matrix, the sum of the parts weighted by it; zero weights cost nothing."""
    return [sum(part * weight for weight, part in zip(row.tolist(), parts, strict=True) if weight) for row in matrix]  # pyright: ignore[reportReturnType]


def _transform_input(x: Array, taps: int) -> Float[Array, "product row channel"]:
    batch, height, width, channels = x.shape
    # Rows: (batch, height, width * channel) -> (P, batch, tiles down, width * channel).
    x = _along_input(x.reshape(batch, height, width * channels), taps)
    # Columns: (P * batch * tiles down, width, channel) -> (P, P * batch * tiles down, tiles across, channel).
    x = _along_input(x.reshape(-1, width, channels), taps)
    return x.reshape((TILE + taps - 1) ** 2, -1, channels)


def _along_input(x: Float[Array, "before place behind"], taps: int) -> Float[Array, "product before tile behind"]:
    end = x.shape[1] - taps + 1
    # Input i of every tile, each (before, tile, behind). Tiles overlap: the last inputs of one are also the next one's.
    places = [x[:, i : i + end : TILE] for i in range(TILE + taps - 1)]
    return jnp.stack(_combine(transforms(taps).from_input, places))


def _input_adjoint(d_inputs: Float[Array, "product row channel"], shape: tuple[int, ...], taps: int) -> Array:
    batch, height, width = shape[:3]
    products, channels = TILE + taps - 1, d_inputs.shape[-1]
    # Columns: (P, P * batch * tiles down, tiles across, channel) -> (P * batch * tiles down, columns, channel).
    x = _along_input_adjoint(d_inputs.reshape(products, -1, width // TILE, channels), taps)
    # Rows: (P, batch, tiles down, columns * channel) -> (batch, rows, columns * channel).
    x = _along_input_adjoint(x.reshape(products, batch, height // TILE, -1), taps)
    return x.reshape(batch, height + taps - 1, width + taps - 1, channels)


def _along_input_adjoint(
    d_inputs: Float[Array, "product before tile behind"], taps: int
) -> Float[Array, "before place behind"]:
    _, before, tiles, behind = d_inputs.shape
    places = _combine(transforms(taps).from_input.T, list(d_inputs))
    # The places that a tile shares with the next one are added to that tile's first places.
    own = [jnp.pad(place, ((0, 0), (0, 1), (0, 0))) for place in places[:TILE]]
    for i, place in enumerate(places[TILE:]):
        own[i] += jnp.pad(place, ((0, 0), (1, 0), (0, 0)))
    # (before, tile + 1, TILE, behind) -> (before, place, behind)
    return jnp.stack(own, axis=2).reshape(before, -1, behind)[:, : TILE * tiles + taps - 1]


def _transform_output(products: Float[Array, "product row out"], shape: tuple[int, ...], taps: int) -> Array:
    batch, height, width = shape[0], shape[1] - taps + 1, shape[2] - taps + 1
    places, out = TILE + taps - 1, products.shape[-1]
    # Columns: (P, P * batch * tiles down, tiles across, out) -> (P * batch * tiles down, width, out).
    y = _along_output(products.reshape(places, -1, width // TILE, out), taps)
    # Rows: (P, batch, tiles down, width * out) -> (batch, height, width * out).
    y = _along_output(y.reshape(places, batch, height // TILE, width * out), taps)
    return y.reshape(batch, height, width, out)


def _along_output(
    products: Float[Array, "product before tile behind"], taps: int
) -> Float[Array, "before place behind"]:
    _, before, _, behind = products.shape
    # (before, tile, TILE, behind) -> (before, place, behind)
    return jnp.stack(_combine(transforms(taps).to_output, list(products)), axis=2).reshape(before, -1, behind)


def _output_adjoint(dy: Float[Array, "batch height width out"], taps: int) -> Float[Array, "product row out"]:
    batch, _, width, out = dy.shape
    # Rows: (batch, tiles down, TILE, width * out) -> (P, batch, tiles down, width * out).
    dy = _along_output_adjoint(dy.reshape(batch, -1, TILE, width * out), taps)
    # Columns: (P * batch * tiles down, tiles across, TILE, out) -> (P, P * batch * tiles down, tiles across, out).
    dy = _along_output_adjoint(dy.reshape(-1, width // TILE, TILE, out), taps)
    return dy.reshape((TILE + taps - 1) ** 2, -1, out)


def _along_output_adjoint(
    dy: Float[Array, "before tile place behind"], taps: int
) -> Float[Array, "product before tile behind"]:
    return jnp.stack(_combine(transforms(taps).to_output.T, [dy[:, :, i] for i in range(TILE)]))


def _kernel_matrix(taps: int) -> np.ndarray:
    one = transforms(taps).from_kernel
    # Both axes at once: (P columns, P rows, row tap, column tap) -> (P^2, taps^2).
    return np.einsum("ra,cb->crab", one, one).reshape(-1, taps**2)


def _transform_kernel(kernel: Array) -> Float[Array, "product channel out"]:
    matrix = jnp.asarray(_kernel_matrix(len(kernel)), kernel.dtype)
    # (P^2, taps^2) x (taps^2, channel * out) -> (P^2, channel, out)
    return (matrix @ kernel.reshape(matrix.shape[1], -1)).reshape(-1, *kernel.shape[2:])


def _kernel_adjoint(d_weights: Float[Array, "product channel out"], taps: int) -> Array:
    matrix = jnp.asarray(_kernel_matrix(taps).T, d_weights.dtype)
    # (taps^2, P^2) x (P^2, channel * out) -> (taps, taps, channel, out)
    return (matrix @ d_weights.reshape(len(d_weights), -1)).reshape(taps, taps, *d_weights.shape[1:])
