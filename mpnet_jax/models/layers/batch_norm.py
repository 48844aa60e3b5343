"""Batch normalisation with statistics over the batch of all devices."""

import functools
from typing import cast

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

EPSILON = 1e-5


def _mean_over_devices(values: Array, axis_name: str | None) -> Array:
    return values if axis_name is None else jax.lax.pmean(values, axis_name)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def normalise(
    x: Float[Array, "... channel"],
    scale: Float[Array, " channel"],
    bias: Float[Array, " channel"],
    axis_name: str | None,
    epsilon: float = EPSILON,
) -> tuple[Float[Array, "... channel"], Float[Array, " channel"], Float[Array, " channel"]]:
    """Normalises by the statistics of the batch of all devices.

    Each pass reads the data once. The backward pass is written by hand, as `a * dy + b * x + c` with
    three numbers for each channel, which is cheaper than automatic differentiation.

    Args:
        x: Values to normalise.
        scale: Gain of each channel.
        bias: Offset of each channel.
        axis_name: The pmap axis over which the statistics are averaged; None for one device.
        epsilon: Number added to the variance.

    Returns:
        The normalised values, the mean and the biased variance. No gradient flows through mean and variance.
    """
    return _normalise_forward(x, scale, bias, axis_name, epsilon)[0]


def _normalise_forward(x: Array, scale: Array, bias: Array, axis_name: str | None, epsilon: float):
    axes = tuple(range(x.ndim - 1))
    # First and second moment in one array, (2, channel): one pass over the data, one message between devices.
    moments = jnp.stack([jnp.mean(x, axes), jnp.mean(jnp.square(x), axes)])
    mean, square = _mean_over_devices(moments, axis_name)
    # Rounding may leave a difference slightly below zero.
    variance = jnp.maximum(square - jnp.square(mean), 0.0)
    rate = jax.lax.rsqrt(variance + epsilon)
    gain = scale * rate
    return (x * gain + (bias - mean * gain), mean, variance), (x, scale, mean, rate)


def _normalise_backward(axis_name: str | None, epsilon: float, residuals, cotangents):
    del epsilon  # The residuals hold the rate, which includes it.
    # Mean and variance only update the running statistics, so their cotangents are ignored.
    x, scale, mean, rate = residuals
    dy = cotangents[0]
    axes = tuple(range(x.ndim - 1))
    count = x.size // x.shape[-1]
    dy_sum = jnp.sum(dy, axes)
    dy_x_sum = jnp.sum(dy * x, axes)
    # Sum of dy times the normalised values, (channel,).
    d_scale = (dy_x_sum - mean * dy_sum) * rate
    dy_mean, d_scale_mean = _mean_over_devices(jnp.stack([dy_sum, d_scale]) / count, axis_name)
    # The input's gradient, scale * rate * (dy - mean(dy) - normalised * mean(dy * normalised)), sorted by dy, x and 1.
    a = scale * rate
    b = -a * rate * d_scale_mean
    c = -a * dy_mean - b * mean
    return a * dy + (b * x + c), d_scale, dy_sum


normalise.defvjp(_normalise_forward, _normalise_backward)


class BatchNorm(nn.Module):
    """Batch normalisation over all axes but the last.

    Training uses the statistics of the batch of all devices, evaluation the running statistics. The running variance is
    unbiased, as in PyTorch. Computation is in float32 or a wider type; the result has the input's type.

    Attributes:
        train: Whether batch statistics are used and recorded.
        axis_name: The pmap axis of the devices that share a batch; None for one device.
        decay: Weight of the old running statistics in each update.
        scale_std: Standard deviation of the initial gains, whose mean is 1.
        epsilon: Number added to the variance.
    """

    train: bool
    axis_name: str | None = None
    decay: float = 0.9
    scale_std: float = 0.0
    epsilon: float = EPSILON

    @nn.compact
    def __call__(self, x: Float[Array, "... channel"]) -> Float[Array, "... channel"]:
        """Returns the normalised values, in the shape and type of `x`."""
        given = x.dtype
        x = x.astype(jnp.promote_types(given, jnp.float32))
        channels = x.shape[-1:]
        scale = self.param("scale", lambda key: 1.0 + self.scale_std * jax.random.normal(key, channels, jnp.float32))
        bias = self.param("bias", nn.initializers.zeros, channels, jnp.float32)
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, channels, jnp.float32)
        running_variance = self.variable("batch_stats", "var", jnp.ones, channels, jnp.float32)
        if not self.train:
            gain = scale * jax.lax.rsqrt(running_variance.value + self.epsilon)
            return (x * gain + (bias - running_mean.value * gain)).astype(given)
        y, mean, variance = cast(tuple[Array, Array, Array], normalise(x, scale, bias, self.axis_name, self.epsilon))
        if not self.is_initializing():
            # Values of each channel on all devices.
            count = x.size // x.shape[-1] * (jax.lax.axis_size(self.axis_name) if self.axis_name else 1)
            unbiased = variance * (count / max(count - 1, 1))
            keep = self.decay
            running_mean.value = keep * running_mean.value + (1 - keep) * jax.lax.stop_gradient(mean)
            running_variance.value = keep * running_variance.value + (1 - keep) * jax.lax.stop_gradient(unbiased)
        return y.astype(given)
