"""The U-Net of the sound networks: a spectrogram in, k feature maps of the same size out."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from mpnet_jax.models.layers.batch_norm import BatchNorm
from mpnet_jax.models.layers.conv import HalvingConv
from mpnet_jax.models.layers.upsample import UpsampleConv

MAX_WIDTH = 8  # channels grow with depth up to this multiple of the first width


class UNet(nn.Module):
    """An encoder of 4x4 stride-2 convolutions and a decoder of bilinear doublings and 3x3 convolutions.

    Source: Sec. 3.1; sizes as in the released code (PixelPlayer's U-Net).

    Attributes:
        depth: halvings; both sides of the input must divide by 2**depth.
        features: channels of the first convolution; doubled up to eight times that.
        out_channels: feature maps (the paper's k).
        bias: initial offset of these.
        train: batch statistics (recorded) instead of running ones.
        axis_name: pmap axis of the devices that share a batch.
        statistics_decay: share of the running statistics kept at each step.
        compute_dtype: of maps and products (bfloat16); parameters, statistics and the result keep theirs. None computes
            in the input's type.
    """

    depth: int
    features: int
    out_channels: int
    train: bool
    bias: float = 0.0
    axis_name: str | None = None
    statistics_decay: float = 0.9
    compute_dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "batch freq time channel"]) -> Float[Array, "batch freq time out"]:
        """Returns feature maps, without a final nonlinearity.

        Raises:
            ValueError: a side that does not divide by 2**depth.
        """
        step = 2**self.depth
        if x.shape[1] % step or x.shape[2] % step:
            raise ValueError(
                f"a U-Net of depth {self.depth} needs sides that divide by {step}, got {x.shape[1]} x {x.shape[2]}; "
                "change frequency_rows, the clip's samples or the depth"
            )
        norm = functools.partial(BatchNorm, self.train, self.axis_name, decay=self.statistics_decay, scale_std=0.02)
        widths = [self.features * min(2**level, MAX_WIDTH) for level in range(self.depth)]
        given = x.dtype
        x = norm(name="norm_in")(x).astype(self.compute_dtype or given)
        skips = []
        for level, width in enumerate(widths):
            if level > 0:
                skips.append(x)
                x = nn.leaky_relu(x, 0.2)
            x = HalvingConv(width, nn.initializers.normal(1e-3), name=f"down_{level}")(x)
            if 0 < level < self.depth - 1:
                x = norm(name=f"down_norm_{level}")(x)
        parts = [jax.nn.relu(x)]
        for level in reversed(range(1, self.depth)):
            x = UpsampleConv(widths[level - 1], name=f"up_{level}")(parts)
            x = norm(name=f"up_norm_{level}")(x)
            parts = [jax.nn.relu(skips[level - 1]), jax.nn.relu(x)]
        return UpsampleConv(self.out_channels, use_bias=True, bias=self.bias, name="up_0")(parts).astype(given)


def log_magnitude(magnitude: Float[Array, "*shape"], *, epsilon: float) -> Float[Array, "*shape"]:
    """Natural logarithm of a magnitude, as the U-Nets take it; `epsilon` is added first. Source: Sec. 3.1."""
    return jnp.log(magnitude + epsilon)
