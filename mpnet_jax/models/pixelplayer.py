"""PixelPlayer's networks: masks of all sounds from one pass over the mixture, none of them subtracted.

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
    """Weighs each feature map by a visual vector and by a learnt scale, and adds a learnt bias."""

    @nn.compact
    def __call__(
        self, vectors: Float[Array, "batch candidate k"], features: Float[Array, "batch freq time k"]
    ) -> Float[Array, "batch candidate freq time"]:
        """Returns the masks' logits of each candidate: a clip, or a place of a picture."""
        scale = self.param("scale", nn.initializers.ones, (features.shape[-1],))
        bias = self.param("bias", nn.initializers.zeros, (1,))
        return jnp.einsum("bck,bftk->bcft", vectors * scale, features) + bias


class PixelPlayer(nn.Module):
    """The frame network, the sound network and the synthesizer.

    Attributes:
        visual_channels: length of a visual vector and number of feature maps.
        unet_depth: halvings of the sound network.
        unet_features: its first width.
        resnet_features: first width of the frame network.
        resnet_dilated: dilate the frame network's last stage.
        train: batch statistics instead of running ones.
        axis_name: pmap axis of the devices that share a batch.
        statistics_decay: share of the running statistics kept at each step.
        compute_dtype: see `unet.UNet`.
        log_epsilon: linear magnitude added before the logarithm.
        visual_pooling, visual_activation: see `visual.clip_vectors`.
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
        """Builds the networks."""
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
        """The masks' logits of all clips.

        Args:
            frames: uint8 (batch, source, frame, height, width, 3).
            mixture: linear magnitudes on the network's axis.
        """
        vectors = clip_vectors(self.frame_net, frames, pooling=self.visual_pooling, activation=self.visual_activation)
        features = self.sound_net(log_magnitude(mixture, epsilon=self.log_epsilon)[..., None])
        return self.synthesizer(vectors, features)
