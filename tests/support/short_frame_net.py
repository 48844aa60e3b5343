"""A small network in the place of the ResNet, whose gradient takes half a minute to compile."""

from typing import Any

import flax.linen as nn

from mpnet_jax.models.layers.batch_norm import BatchNorm


class ShortFrameNet(nn.Module):
    """One patch convolution, one normalisation, one convolution; the ResNet's arguments."""

    out_channels: int
    features: int
    dilated: bool
    train: bool
    axis_name: str | None
    statistics_decay: float
    compute_dtype: Any = None

    @nn.compact
    def __call__(self, pictures):
        """Feature maps of pictures, a quarter of their size."""
        x = nn.Conv(4, (4, 4), strides=4, use_bias=False)(pictures)
        x = BatchNorm(self.train, self.axis_name, decay=self.statistics_decay)(x)
        return nn.Conv(self.out_channels, (3, 3), padding=1)(x)
