"""PixelPlayer's networks, which predict the masks of all sounds in one pass, without subtraction.

Source: "The Sound of Pixels" (ECCV 2018), Sec. 3.1, and its released code.
"""

from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from mpnet_jax.models.frame_net import FrameNetSpec
from mpnet_jax.models.unet import UNet, log_magnitude
from mpnet_jax.models.visual import clip_vectors


class Synthesizer(nn.Module):
    """Sums the feature maps, weighted by a visual vector and a learnt scale, and adds a learnt bias."""

    @nn.compact
    def __call__(
        self,
        vectors: Float[Array, "batch candidate k"],
        sums: Callable[[Float[Array, "batch k candidate"]], Float[Array, "batch freq time candidate"]],
    ) -> Float[Array, "batch candidate freq time"]:
        """Returns the mask logits of each candidate.

        Args:
            vectors: Visual vectors of the clips.
            sums: Maps weights to weighted sums of the feature maps, as `unet.UNet` computes them.
        """
        scale = self.param("scale", nn.initializers.ones, (vectors.shape[-1],), jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (1,), jnp.float32)
        return jnp.moveaxis(sums((vectors * scale).swapaxes(1, 2)), -1, 1) + bias


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
    frame_spec: FrameNetSpec
    classes: int = 0
    initial_weights: str = "released"
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
        self.frame_net = self.frame_spec.build(self.visual_channels, **shared)
        if self.classes:
            self.class_head = nn.Dense(self.classes)
        shared["initial_weights"] = self.initial_weights
        self.sound_net = UNet(self.unet_depth, self.unet_features, self.visual_channels, **shared)
        self.synthesizer = Synthesizer()

    def __call__(
        self, seen: Array, mixture: Float[Array, "batch freq time"]
    ) -> tuple[Float[Array, "batch source freq time"], Float[Array, "batch source class"] | None]:
        """Returns the mask logits of all clips, and the class logits of their visual vectors where classes are learnt.

        Args:
            seen: Frames of the clips, or features of them; see `visual.clip_vectors`.
            mixture: Linear magnitudes on the network's frequency axis.
        """
        vectors = clip_vectors(self.frame_net, seen, pooling=self.visual_pooling, activation=self.visual_activation)
        spectrogram = log_magnitude(mixture, epsilon=self.log_epsilon)[..., None]  # (batch, freq, time, 1)
        logits = self.synthesizer(vectors, lambda weights: self.sound_net(spectrogram, weights))
        return logits, self.class_head(vectors) if self.classes else None
