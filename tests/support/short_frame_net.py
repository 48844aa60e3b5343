"""A small network that replaces the ResNet, whose gradient takes half a minute to compile."""

from typing import Any

import flax.linen as nn

from mpnet_jax.models.layers.batch_norm import BatchNorm
from mpnet_jax.models.resnet import normalise_pictures


class ShortFrameNet(nn.Module):
    """A patch convolution, a normalisation and a convolution; takes the ResNet's arguments."""

    out_channels: int
    features: int
    dilated: bool
    train: bool
    axis_name: str | None
    statistics_decay: float
    compute_dtype: Any = None
    frozen_trunk: bool = False

    @nn.compact
    def __call__(self, pictures):
        """Returns feature maps with a quarter of the resolution."""
        x = nn.Conv(4, (4, 4), strides=4, use_bias=False)(pictures)
        x = BatchNorm(self.train, self.axis_name, decay=self.statistics_decay)(x)
        return nn.Conv(self.out_channels, (3, 3), padding=1)(x)

    def pooled(self, pictures, pool, *, average):
        """Returns pooled maps, as the ResNet does."""
        del average
        return pool(self(normalise_pictures(pictures)))
