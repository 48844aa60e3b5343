"""PixelPlayer's networks, which predict the masks of all sounds in one pass, without subtraction.

Source: "The Sound of Pixels" (ECCV 2018), Sec. 3.1, and its released code.
"""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from mpnet_jax.models.resnet import ResNet18
from mpnet_jax.models.unet import UNet, log_magnitude
from mpnet_jax.models.visual import clip_vectors


class Synthesizer(nn.Module):
    """Sums the feature maps, weighted by a visual vector and a learnt scale, and adds a learnt bias."""

    @nn.compact
    def __call__(
        self, vectors: Float[Array, "batch candidate k"], features: Float[Array, "batch freq time k"]
    ) -> Float[Array, "batch candidate freq time"]:
        """Returns the mask logits of each candidate; a candidate is a clip or a place of the frame."""
        scale = self.param("scale", nn.initializers.ones, (features.shape[-1],))
        bias = self.param("bias", nn.initializers.zeros, (1,))
        # (batch, candidate, k) x (batch, freq, time, k) -> (batch, candidate, freq, time): an inner product over k.
        return jnp.einsum("bck,bftk->bcft", vectors * scale, features) + bias


class PixelPlayer(nn.Module):
    """The frame network, the sound network and the synthesizer.

    Attributes:
        unet_depth: Number of halvings in the sound network.
        unet_features: Channels of the sound network's first layer.

    The other attributes are those of `mpnet.MPNet`.
    """

    visual_channels: int
    unet_depth: int
    unet_features: int
    resnet_features: int
    resnet_dilated: bool
    train: bool = False
    axis_name: str | None = None
    statistics_decay: float = 0.9
    compute_dtype: DTypeLike | None = None
    log_epsilon: float = 1e-6
    visual_pooling: str = "max"
    visual_activation: str = "sigmoid"

    def setup(self) -> None:
        """Builds the networks; their attribute names are the keys of `params` and `batch_stats`."""
        shared = {
            "train": self.train,
            "axis_name": self.axis_name,
            "statistics_decay": self.statistics_decay,
            "compute_dtype": self.compute_dtype,
        }
        self.frame_net = ResNet18(self.visual_channels, self.resnet_features, self.resnet_dilated, **shared)
        self.sound_net = UNet(self.unet_depth, self.unet_features, self.visual_channels, **shared)
        self.synthesizer = Synthesizer()

    def __call__(
        self, frames: Array, mixture: Float[Array, "batch freq time"]
    ) -> Float[Array, "batch source freq time"]:
        """Returns the mask logits of all clips.

        Args:
            frames: Frames of the clips, uint8 (batch, source, frame, height, width, 3).
            mixture: Linear magnitudes on the network's frequency axis.
        """
        # (batch, source, frame, height, width, 3) -> (batch, source, k)
        vectors = clip_vectors(self.frame_net, frames, pooling=self.visual_pooling, activation=self.visual_activation)
        # (batch, freq, time) -> (batch, freq, time, 1) -> (batch, freq, time, k)
        features = self.sound_net(log_magnitude(mixture, epsilon=self.log_epsilon)[..., None])
        return self.synthesizer(vectors, features)
