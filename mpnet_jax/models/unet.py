"""The U-Net of the sound networks, from a spectrogram to k feature maps of the same size."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from mpnet_jax.models.layers.batch_norm import BatchNorm
from mpnet_jax.models.layers.conv import HalvingConv
from mpnet_jax.models.layers.upsample import UpsampleConv

MAX_WIDTH = 8  # Channels double with each level, up to this multiple of the first level's.
# Initial weights of the kernels: of the released code, or of the size that keeps the variance from layer to layer.
INITIAL_WEIGHTS = {"released": nn.initializers.normal(1e-3), "he": nn.initializers.he_normal()}


class UNet(nn.Module):
    """A U-Net with 4x4 stride-2 convolutions as encoder, bilinear upsampling and 3x3 convolutions as decoder.

    Source: Sec. 3.1; sizes as in the released code (PixelPlayer's U-Net).

    Attributes:
        depth: Number of halvings; both sides of the input must be multiples of 2**depth.
        features: Channels of the first convolution.
        out_channels: Number of feature maps (the paper's k).
        bias: Initial bias of the feature maps.
        initial_weights: Initial weights: "released" (normal with a standard deviation of 0.001) or "he" (normal with a
            variance of 2 over the number of inputs; He et al. 2015).
        train: Whether batch statistics are used and recorded, instead of running statistics.
        axis_name: The pmap axis of the devices that share a batch.
        statistics_decay: Weight of the old running statistics in each update.
        compute_dtype: Type of maps and products, for example bfloat16. Parameters, statistics and results keep their
            types. None computes in the input's type.
    """

    depth: int
    features: int
    out_channels: int
    train: bool
    bias: float = 0.0
    initial_weights: str = "released"
    axis_name: str | None = None
    statistics_decay: float = 0.9
    compute_dtype: DTypeLike | None = None

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch freq time channel"], weights: Float[Array, "batch out sum"] | None = None
    ) -> Float[Array, "batch freq time _"]:
        """Returns the feature maps (batch, freq, time, out), without a final nonlinearity, or weighted sums of them.

        Args:
            x: The input.
            weights: Weights of sums of the feature maps, (batch, freq, time, sum), which are then computed directly.
                The last layer's maps are the largest of the network, and would take much of a training step.

        Raises:
            ValueError: A side of the input is no multiple of 2**depth.
        """
        step = 2**self.depth
        if x.shape[1] % step or x.shape[2] % step:
            raise ValueError(
                f"a U-Net of depth {self.depth} needs sides that divide by {step}, got {x.shape[1]} x {x.shape[2]}; "
                "change frequency_rows, the clip's samples or the depth"
            )
        norm = functools.partial(BatchNorm, self.train, self.axis_name, decay=self.statistics_decay, scale_std=0.02)
        kernel_init = INITIAL_WEIGHTS[self.initial_weights]
        widths = [self.features * min(2**level, MAX_WIDTH) for level in range(self.depth)]
        given = x.dtype
        # Normalised in float32, before the conversion to a type with fewer digits.
        x = norm(name="norm_in")(x).astype(self.compute_dtype or given)
        skips = []
        # Encoder: each level halves both sides, (batch, freq / 2^(level + 1), time / 2^(level + 1), width).
        for level, width in enumerate(widths):
            if level > 0:
                # The skip connection branches off before the activation: the decoder applies a ReLU of its own.
                skips.append(x)
                x = nn.leaky_relu(x, 0.2)
            x = HalvingConv(width, kernel_init, name=f"down_{level}")(x)
            # As in PixelPlayer, the outermost and the innermost convolution have no normalisation.
            if 0 < level < self.depth - 1:
                x = norm(name=f"down_norm_{level}")(x)
        # Decoder: each level doubles both sides and returns to the channels of the encoder's next outer level.
        parts = [jax.nn.relu(x)]
        for level in reversed(range(1, self.depth)):
            x = UpsampleConv(widths[level - 1], kernel_init=kernel_init, name=f"up_{level}")(parts)
            x = norm(name=f"up_norm_{level}")(x)  # (batch, freq / 2^level, time / 2^level, widths[level - 1])
            # The next level takes the skip connection and this map, whose sides and channels are equal.
            parts = [jax.nn.relu(skips[level - 1]), jax.nn.relu(x)]
        # The last upsampling restores the input's sides: (batch, freq, time, out_channels).
        last = UpsampleConv(self.out_channels, use_bias=True, bias=self.bias, kernel_init=kernel_init, name="up_0")
        return last(parts, weights).astype(given)


def log_magnitude(magnitude: Float[Array, "*shape"], *, epsilon: float) -> Float[Array, "*shape"]:
    """Returns log(magnitude + epsilon), the input of the U-Nets. Source: Sec. 3.1."""
    return jnp.log(magnitude + epsilon)
