"""Bilinear upsampling by 2 followed by a 3x3 convolution, computed at the low resolution."""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

# Padding the input costs multiplications; padding the products' nine maps costs memory traffic. The maps are padded if
# the input's channels, times the fraction that padding adds to its size, exceed this number.
_PADDED_CHANNELS = 40
# On a CPU, the backward pass takes one sample at a time if the nine tap maps of a sample exceed this size; those of a
# whole batch would not stay in the cache between the steps of the pass.
_CACHED_BYTES = 2**21


def _weights(size: int) -> np.ndarray:
    """Returns the weights of bilinear upsampling (aligned corners) followed by a 3-tap sum, (term, place, parity).

    With span = 2 * size - 1, upsampled place 2k lies k / span of the way from input k to input k - 1, and upsampled
    place 2k + 1 lies (size - 1 - k) / span of the way from k to k + 1. Output 2k + parity is the sum of seven terms:
    tap -1 at inputs k - 1 and k, tap 0 at k - 1, k and k + 1, tap +1 at k and k + 1.
    """
    k = np.arange(size)
    span = 2 * size - 1
    to_previous, to_next = k / span, (size - 1 - k) / span
    inner_start, inner_end = (k > 0).astype(float), (k < size - 1).astype(float)
    before, after = np.roll(to_next, 1), np.roll(to_previous, -1)
    none = np.zeros(size)
    even_and_odd = [
        # Tap -1 of output 2k reads upsampled place 2k - 1, which does not exist for k = 0; of output 2k + 1, place 2k.
        (inner_start * (1 - before), to_previous),
        (inner_start * before, 1 - to_previous),
        (to_previous, none),
        (1 - to_previous, 1 - to_next),
        (none, to_next),
        # Tap +1 of output 2k reads place 2k + 1; of output 2k + 1, place 2k + 2, which does not exist at the end.
        (1 - to_next, inner_end * after),
        (to_next, inner_end * (1 - after)),
    ]
    return np.array(even_and_odd).swapaxes(1, 2)  # (term, parity, place) -> (term, place, parity)


def _adjoint_weights(size: int, dtype: np.dtype) -> list[Array]:
    """Returns the weights of input place k in upsampled places 2k - 1, 2k, 2k + 1 and 2k + 2, each (size, 1)."""
    k = np.arange(size)
    span = 2 * size - 1
    inner_start, inner_end = (k > 0).astype(float), (k < size - 1).astype(float)
    weights = [inner_start * (size - k) / span, 1 - k / span, (size + k) / span, inner_end * (k + 1) / span]
    return [jnp.asarray(w[:, None], dtype) for w in weights]


def _neighbours(x: Float[Array, "row place inner"]) -> tuple[Array, Array, Array]:
    """Returns x[k - 1], x[k] and x[k + 1] for every place k; values outside are zero."""
    # The barrier stores the padded array once. Fused into a loop, padding would cost a comparison for each element.
    padded = jax.lax.optimization_barrier(jnp.pad(x, ((0, 0), (1, 1), (0, 0))))
    return padded[:, :-2], padded[:, 1:-1], padded[:, 2:]


def _double(taps: Sequence[Float[Array, "row place_padded inner"]]) -> Float[Array, "row place_doubled inner"]:
    """Upsamples three tap maps along an axis and sums them, each shifted by its tap.

    With u_t the upsampled map of tap t, the result at i is u_-1[i - 1] + u_0[i] + u_1[i + 1], where u is zero outside.
    This is one axis of a zero-padded 3-tap convolution.

    Args:
        taps: The maps of taps -1, 0 and 1, with one place of zeros at both ends.
    """
    size = taps[0].shape[1] - 2
    weights = jnp.asarray(_weights(size)[..., None], taps[0].dtype)
    # Even and odd outputs form an axis of their own: interleaving two arrays would cost more than all sums.
    # (place, parity, 1) * (row, place, 1, inner) -> (row, place, parity, inner)
    terms = [taps[tap][:, shift : shift + size, None] for tap, shift in _TERMS]
    doubled = sum(weight * term for weight, term in zip(weights, terms, strict=True))
    # Places and parities together are the upsampled axis: (row, 2 * place, inner).
    return jnp.reshape(doubled, (len(taps[0]), 2 * size, -1))


# For each term of `_weights`: its tap, and the offset of its place from k - 1.
_TERMS = ((0, 0), (0, 1), (1, 0), (1, 1), (1, 2), (2, 1), (2, 2))


def _double_adjoint(dy: Float[Array, "row place_doubled inner"]) -> list[Float[Array, "row place inner"]]:
    """Applies the transpose of `_double`; the result lacks the places of zeros at both ends."""
    rows, doubled, inner = dy.shape
    # Even and odd outputs apart: (row, place, 2, inner).
    pairs = dy.reshape(rows, doubled // 2, 2, inner)
    a, b, c, d = _adjoint_weights(doubled // 2, dy.dtype)
    # e and o are outputs 2k and 2k + 1; the others are those of places k - 1 and k + 1.
    (e_previous, e, e_next), (o_previous, o, o_next) = _neighbours(pairs[:, :, 0]), _neighbours(pairs[:, :, 1])
    return [
        a * e + b * o + c * e_next + d * o_next,
        a * o_previous + b * e + c * o + d * e_next,
        a * e_previous + b * o_previous + c * e + d * o,
    ]


@jax.custom_vjp
def _doubled_conv(
    x: Float[Array, "batch freq time channel"], kernel: Float[Array, "3 3 channel out"]
) -> Float[Array, "batch freq2 time2 out"]:
    """Computes `upsample_conv` of one part.

    The backward pass is written by hand, because automatic differentiation of this one is several times slower.
    """
    batch, freq, time, channels = x.shape
    out = kernel.shape[-1]
    padding = ((0, 0), (1, 1), (1, 1), (0, 0))
    added_share = (freq + 2) * (time + 2) / (freq * time) - 1
    if channels * added_share < _PADDED_CHANNELS:
        # One product for each row of taps, in the memory layout that `_double` reads:
        # (batch, freq + 2, time + 2, channel) x (channel, 3 * out) -> (batch, freq + 2, time + 2, 3 * out).
        x = jnp.pad(x, padding)
        rows = [_product(x, row.transpose(1, 0, 2).reshape(channels, 3 * out)) for row in kernel]
    else:
        # One product for all taps:
        # (batch, freq, time, channel) x (channel, 9 * out) -> (batch, freq, time, 3, 3 * out).
        taps = kernel.transpose(2, 0, 1, 3).reshape(channels, 9 * out)
        maps = _product(x, taps).reshape(batch, freq, time, 3, -1)
        rows = [jax.lax.optimization_barrier(jnp.pad(maps[:, :, :, row], padding)) for row in range(3)]
    # Frequencies first: three (batch, freq + 2, (time + 2) * 3 * out) -> (batch, 2 * freq, (time + 2) * 3 * out).
    rows = [maps.reshape(batch, freq + 2, -1) for maps in rows]
    columns = _double(rows).reshape(batch * 2 * freq, time + 2, 3, out)
    # Then times: three (batch * 2 * freq, time + 2, out) -> (batch * 2 * freq, 2 * time, out).
    return _double([columns[:, :, tap] for tap in range(3)]).reshape(batch, 2 * freq, 2 * time, out)


def _product(
    x: Float[Array, "batch freq time _"], matrix: Float[Array, "_ out"]
) -> Float[Array, "batch freq time out"]:
    # The product is 2-d: XLA's CPU backend is far slower in the weight gradient of a 4-d product.
    return (x.reshape(-1, len(matrix)) @ matrix).reshape(*x.shape[:-1], -1)


def _doubled_conv_backward(residuals: tuple[Array, Array], dy: Array) -> tuple[Array, Array]:
    x, kernel = residuals
    map_bytes = 9 * kernel.shape[-1] * x[0, ..., 0].size * x.dtype.itemsize
    if jax.default_backend() != "cpu" or map_bytes < _CACHED_BYTES:
        return _backward(x, kernel, dy)

    def add(d_kernel: Array, sample: tuple[Array, Array]) -> tuple[Array, Array]:
        dx, of_sample = _backward(sample[0][None], kernel, sample[1][None])
        return d_kernel + of_sample, dx[0]

    d_kernel, dx = jax.lax.scan(add, jnp.zeros_like(kernel), (x, dy))
    return dx, d_kernel


def _backward(x: Array, kernel: Array, dy: Array) -> tuple[Array, Array]:
    channels, out = kernel.shape[2:]
    batch, freq2, time2, _ = dy.shape
    # The steps of the forward pass transposed, in reverse order. Times: (batch * freq2, time, 3, out).
    columns = jnp.stack(_double_adjoint(dy.reshape(batch * freq2, time2, out)), axis=2)
    # Frequencies: three (batch, freq, time * 3 * out).
    rows = _double_adjoint(columns.reshape(batch, freq2, -1))
    # All nine taps: (batch, freq, time, 3, 3 * out) -> (batch, freq, time, 9 * out).
    maps = jnp.stack([tap.reshape(batch, freq2 // 2, time2 // 2, 3 * out) for tap in rows], axis=3)
    maps = maps.reshape(*x.shape[:-1], 9 * out)
    taps = kernel.transpose(2, 0, 1, 3).reshape(channels, 9 * out)
    # (channel, batch * freq * time) x (batch * freq * time, 9 * out) -> (channel, 9 * out)
    d_taps = x.reshape(-1, channels).T @ maps.reshape(-1, 9 * out)
    return _product(maps, taps.T), d_taps.reshape(channels, 3, 3, out).transpose(1, 2, 0, 3)


_doubled_conv.defvjp(lambda x, kernel: (_doubled_conv(x, kernel), (x, kernel)), _doubled_conv_backward)


def upsample_conv(
    parts: Sequence[Float[Array, "batch freq time _"]], kernel: Float[Array, "3 3 channel out"]
) -> Float[Array, "batch freq_doubled time_doubled out"]:
    """Upsamples a map bilinearly by 2 (aligned corners) and convolves it with a 3x3 kernel and zero padding.

    Both steps are linear, so their order can be exchanged: the channels are mixed at the low resolution, into one map
    for each tap, and these maps are then upsampled, shifted and summed, axis by axis. That takes a quarter of the
    multiplications and never stores the upsampled input. The result is equal, including the border.

    Args:
        parts: Maps whose channels, concatenated in this order, are the input.
        kernel: The weights.

    Returns:
        The convolved map at twice the resolution.
    """
    # The input is small compared with its nine tap maps, so concatenating is cheaper than adding products of the parts.
    return _doubled_conv(jnp.concatenate(parts, axis=-1), kernel)


class UpsampleConv(nn.Module):
    """`upsample_conv` as a module.

    Attributes:
        features: Number of output channels.
        use_bias: Whether a bias is added to each channel.
        bias: Initial bias.
        kernel_init: Initialiser of the weights.
    """

    features: int
    use_bias: bool = False
    bias: float = 0.0
    kernel_init: nn.initializers.Initializer = nn.initializers.normal(1e-3)

    @nn.compact
    def __call__(
        self, parts: Sequence[Float[Array, "batch freq time _"]], weights: Float[Array, "batch out sum"] | None = None
    ) -> Float[Array, "batch freq2 time2 _"]:
        """Returns the map at twice the resolution, (batch, freq2, time2, out); with weights, sums of its channels.

        Args:
            parts: Maps that are concatenated along the channels.
            weights: Weights of sums over the output channels of each sample. The result is then (batch, freq2, time2,
                sum). The sums are taken of the kernels, so the channels themselves are never computed.
        """
        channels = sum(part.shape[-1] for part in parts)
        kernel = self.param("kernel", self.kernel_init, (3, 3, channels, self.features), jnp.float32)
        bias = None
        if self.use_bias:
            bias = self.param("bias", nn.initializers.constant(self.bias), (self.features,), jnp.float32)
        dtype = parts[0].dtype
        if weights is None:
            y = upsample_conv(parts, jnp.asarray(kernel, dtype))
            return y if bias is None else y + jnp.asarray(bias, dtype)
        # (3, 3, channel, out) x (batch, out, sum) -> (batch, 3, 3, channel, sum)
        kernels = jnp.einsum("ijco,bos->bijcs", kernel, weights)
        x = jnp.concatenate(parts, axis=-1)
        y = jax.vmap(lambda x, kernel: upsample_conv([x[None]], kernel)[0])(x, jnp.asarray(kernels, dtype))
        if bias is None:
            return y
        # (out,) x (batch, out, sum) -> (batch, 1, 1, sum)
        return y + jnp.asarray(bias @ weights, dtype)[:, None, None]
