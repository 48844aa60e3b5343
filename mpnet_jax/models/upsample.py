"""Bilinear doubling followed by a 3x3 convolution, computed at low resolution."""

from collections.abc import Sequence

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float


def _double_and_sum_taps(taps: Sequence[Array], axis: int) -> Array:
    """Doubles three tap maps along an axis and sums them, each shifted by its tap.

    With u_t the bilinear doubling (corners aligned) of tap map t, the result at i is
    u_-1[i-1] + u_0[i] + u_1[i+1], where u is zero outside: one axis of a padded 3-tap convolution.
    """
    size = taps[0].shape[axis]
    shape = [1] * taps[0].ndim
    shape[axis] = size
    position = jnp.arange(size, dtype=taps[0].dtype).reshape(shape)
    towards_previous = position / (2 * size - 1)
    towards_next = (size - 1 - position) / (2 * size - 1)

    def pad(x: Array, before: int, after: int) -> Array:
        widths = [(0, 0)] * x.ndim
        widths[axis] = (before, after)
        return jnp.pad(x, widths)

    def cut(x: Array, start: int, stop: int) -> Array:
        index = [slice(None)] * x.ndim
        index[axis] = slice(start, stop)
        return x[tuple(index)]

    def even(x: Array) -> Array:  # u[2k], between k-1 and k; the weight of k-1 is zero at k = 0
        return x + towards_previous * (pad(cut(x, 0, size - 1), 1, 0) - x)

    def odd(x: Array) -> Array:  # u[2k+1], between k and k+1; the weight of k+1 is zero at the end
        return x + towards_next * (pad(cut(x, 1, size), 0, 1) - x)

    before, centre, after = taps
    at_even = pad(cut(odd(before), 0, size - 1), 1, 0) + even(centre) + odd(after)
    at_odd = even(before) + odd(centre) + pad(cut(even(after), 1, size), 0, 1)
    doubled = jnp.stack([at_even, at_odd], axis=axis + 1)
    return doubled.reshape(*doubled.shape[:axis], 2 * size, *doubled.shape[axis + 2 :])


def upsample_conv(
    parts: Sequence[Float[Array, "batch freq time _"]], kernel: Float[Array, "3 3 channel out"]
) -> Float[Array, "batch freq_doubled time_doubled out"]:
    """Doubles a map bilinearly (corners aligned) and convolves it 3x3 with zero padding.

    Both steps are linear, so the channels are mixed first, at low resolution, one map a tap; the taps are then
    shifted into the doubled grid axis by axis. A quarter of the multiplications, the doubled input never exists,
    and the backward pass is plain matrix products. Equal to the plain form, border included (tested).

    Args:
        parts: maps whose channels, concatenated in this order, are the input; a skip connection needs no copy.
        kernel: convolution weights.

    Returns:
        The convolved map at twice the resolution.
    """
    out = kernel.shape[-1]
    mixed = None
    first = 0
    for part in parts:
        channels = part.shape[-1]
        weights = kernel[:, :, first : first + channels].transpose(2, 0, 1, 3).reshape(channels, 9 * out)
        product = part @ weights
        mixed = product if mixed is None else mixed + product
        first += channels
    assert mixed is not None and first == kernel.shape[2]
    maps = mixed.reshape(*mixed.shape[:-1], 3, 3 * out)
    rows = _double_and_sum_taps([maps[..., tap, :] for tap in range(3)], axis=1)
    maps = rows.reshape(*rows.shape[:-1], 3, out)
    return _double_and_sum_taps([maps[..., tap, :] for tap in range(3)], axis=2)


class UpsampleConv(nn.Module):
    """`upsample_conv` with its weights.

    Attributes:
        features: output channels.
        use_bias: add an offset a channel.
        kernel_std: standard deviation of the initial weights.
    """

    features: int
    use_bias: bool = False
    kernel_std: float = 1e-3

    @nn.compact
    def __call__(self, parts: Sequence[Float[Array, "batch freq time _"]]) -> Float[Array, "batch freq2 time2 out"]:
        """Returns the map at twice the resolution; `parts` are concatenated along the channels."""
        channels = sum(part.shape[-1] for part in parts)
        kernel = self.param("kernel", nn.initializers.normal(self.kernel_std), (3, 3, channels, self.features))
        y = upsample_conv(parts, kernel)
        if self.use_bias:
            y = y + self.param("bias", nn.initializers.zeros, (self.features,))
        return y
