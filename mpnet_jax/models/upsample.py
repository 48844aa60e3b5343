"""Bilinear doubling followed by a 3x3 convolution, computed at low resolution."""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


def _weights(size: int, dtype: np.dtype) -> tuple[list[Array], list[Array]]:
    """Weights of bilinear doubling with aligned corners, for every low-resolution place k, each (size, 1).

    Output 2k lies `to_previous[k]` of the way from k to k - 1, output 2k + 1 `to_next[k]` from k to k + 1.

    Returns:
        (to_previous, to_next, and the same moved to the neighbour that reads them), and the four weights with which
        outputs 2k - 1 to 2k + 2 reach place k (the adjoint).
    """
    k = np.arange(size)
    span = 2 * size - 1
    to_previous, to_next = k / span, (size - 1 - k) / span
    inner_start, inner_end = (k > 0).astype(float), (k < size - 1).astype(float)
    forward = [
        1 - to_previous,
        to_previous,
        1 - to_next,
        to_next,
        # Tap -1 of output 2k reads output 2k - 1 = (1 - to_next[k-1]) x[k-1] + to_next[k-1] x[k]: nothing at k = 0.
        inner_start * (1 - np.roll(to_next, 1)),
        inner_start * np.roll(to_next, 1),
        # Tap +1 of output 2k + 1 reads output 2k + 2: nothing at the end.
        inner_end * (1 - np.roll(to_previous, -1)),
        inner_end * np.roll(to_previous, -1),
    ]
    adjoint = [inner_start * (size - k) / span, 1 - to_previous, 1 - to_next, inner_end * (k + 1) / span]
    return tuple([jnp.asarray(w[:, None], dtype) for w in weights] for weights in (forward, adjoint))  # pyright: ignore[reportReturnType]


def _neighbours(x: Float[Array, "row place inner"]) -> tuple[Array, Array, Array]:
    """x[k-1], x[k] and x[k+1] for every place k, zero outside."""
    # Padding inside a fused loop costs a comparison an element; padded once in memory, the loops are plain.
    padded = jax.lax.optimization_barrier(jnp.pad(x, ((0, 0), (1, 1), (0, 0))))
    return padded[:, :-2], padded[:, 1:-1], padded[:, 2:]


def _double(taps: Sequence[Float[Array, "row place inner"]]) -> Float[Array, "row place_doubled inner"]:
    """Doubles three tap maps along an axis and sums them, each shifted by its tap.

    With u_t the bilinear doubling of tap map t, the result at i is u_-1[i-1] + u_0[i] + u_1[i+1], where u is zero
    outside: one axis of a padded 3-tap convolution.
    """
    rows, size, inner = taps[0].shape
    stay_p, to_p, stay_n, to_n, stay_before, to_before, stay_after, to_after = _weights(size, taps[0].dtype)[0]
    (m_previous, m, _), (z_previous, z, z_next), (_, p, p_next) = map(_neighbours, taps)  # taps -1, 0, +1
    even = stay_before * m_previous + to_before * m + stay_p * z + to_p * z_previous + stay_n * p + to_n * p_next
    odd = stay_p * m + to_p * m_previous + stay_n * z + to_n * z_next + stay_after * p_next + to_after * p
    return jnp.stack([even, odd], axis=2).reshape(rows, 2 * size, inner)


def _double_adjoint(dy: Float[Array, "row place_doubled inner"]) -> list[Float[Array, "row place inner"]]:
    """The transpose of `_double`."""
    rows, doubled, inner = dy.shape
    pairs = dy.reshape(rows, doubled // 2, 2, inner)
    a, b, c, d = _weights(doubled // 2, dy.dtype)[1]
    (e_previous, e, e_next), (o_previous, o, o_next) = _neighbours(pairs[:, :, 0]), _neighbours(pairs[:, :, 1])
    return [
        a * e + b * o + c * e_next + d * o_next,
        a * o_previous + b * e + c * o + d * e_next,
        a * e_previous + b * o_previous + c * e + d * o,
    ]


@jax.custom_vjp
def _spread_taps(maps: Float[Array, "batch freq time 3 3 out"]) -> Float[Array, "batch freq2 time2 out"]:
    """Doubles the nine tap maps along both axes and sums them, each shifted by its tap.

    The backward pass is written by hand: differentiating this one takes several times as long.
    """
    batch, freq, time, _, _, out = maps.shape
    by_row = maps.reshape(batch, freq, time, 3, 3 * out)
    rows = _double([by_row[:, :, :, tap].reshape(batch, freq, time * 3 * out) for tap in range(3)])
    rows = rows.reshape(batch * 2 * freq, time, 3, out)
    return _double([rows[:, :, tap] for tap in range(3)]).reshape(batch, 2 * freq, 2 * time, out)


def _spread_taps_backward(_: None, dy: Array) -> tuple[Array]:
    batch, freq2, time2, out = dy.shape
    columns = jnp.stack(_double_adjoint(dy.reshape(batch * freq2, time2, out)), axis=2)
    rows = _double_adjoint(columns.reshape(batch, freq2, -1))
    maps = jnp.stack([tap.reshape(batch, freq2 // 2, time2 // 2, 3 * out) for tap in rows], axis=3)
    return (maps.reshape(*maps.shape[:-1], 3, out),)


_spread_taps.defvjp(lambda maps: (_spread_taps(maps), None), _spread_taps_backward)


def upsample_conv(
    parts: Sequence[Float[Array, "batch freq time _"]], kernel: Float[Array, "3 3 channel out"]
) -> Float[Array, "batch freq_doubled time_doubled out"]:
    """Doubles a map bilinearly (corners aligned) and convolves it 3x3 with zero padding.

    Both steps are linear, so the channels are mixed first, at low resolution, one map a tap; the taps are then
    shifted into the doubled grid axis by axis. A quarter of the multiplications, the doubled input never exists,
    and the backward pass is plain matrix products. Equal to the plain form, border included (tested).

    Args:
        parts: maps whose channels, concatenated in this order, are the input.
        kernel: convolution weights.

    Returns:
        The convolved map at twice the resolution.
    """
    channels, out = kernel.shape[2:]
    # The input is small beside its nine tap maps: joining it is cheaper than adding products of its parts.
    x = jnp.concatenate(parts, axis=-1)
    taps = kernel.transpose(2, 0, 1, 3).reshape(channels, 9 * out)
    # Two dimensions on purpose: XLA's CPU backend takes a far slower path for the weight gradient of a 4-d product.
    return _spread_taps((x.reshape(-1, channels) @ taps).reshape(*x.shape[:-1], 3, 3, out))


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
