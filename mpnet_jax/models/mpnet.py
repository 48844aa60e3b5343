"""MP-Net's networks in one module: pictures to visual vectors, a mixture to feature maps."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mpnet_jax.models.resnet import ResNet18, normalise_pictures
from mpnet_jax.models.unet import UNet, log_magnitude

VISUAL_POOLINGS = {"max": jnp.max, "mean": jnp.mean}
VISUAL_ACTIVATIONS = {"sigmoid": jax.nn.sigmoid, "none": lambda x: x}


class MPNet(nn.Module):
    """The frame network and the M-Net. Source: Sec. 3.1 and 3.2.

    Attributes:
        visual_channels: length of a visual vector and number of feature maps (the paper's k).
        unet_depth: halvings of the M-Net.
        unet_features: first width of the M-Net.
        resnet_features: first width of the frame network.
        resnet_dilated: dilate the frame network's last stage.
        train: batch statistics instead of running ones.
        axis_name: pmap axis of the devices that share a batch.
        statistics_decay: share of the running statistics kept at each step.
        stop_gradient_input: no gradient through the log-magnitude that enters the M-Net.
        visual_pooling: "max" or "mean" of a clip's map over frames and places.
        visual_activation: of a pooled visual vector: "sigmoid" or "none".
    """

    visual_channels: int
    unet_depth: int
    unet_features: int
    resnet_features: int
    resnet_dilated: bool
    train: bool = False
    axis_name: str | None = None
    statistics_decay: float = 0.9
    stop_gradient_input: bool = True
    visual_pooling: str = "max"
    visual_activation: str = "sigmoid"

    def setup(self) -> None:
        """Builds the two networks."""
        shared = {
            "train": self.train,
            "axis_name": self.axis_name,
            "statistics_decay": self.statistics_decay,
        }
        self.frame_net = ResNet18(self.visual_channels, self.resnet_features, self.resnet_dilated, **shared)
        self.minus_net = UNet(self.unet_depth, self.unet_features, self.visual_channels, **shared)

    def look(self, frames: Array) -> Float[Array, "batch source k"]:
        """Visual vectors of whole clips.

        Args:
            frames: uint8 (batch, source, frame, height, width, 3).

        Returns:
            Vectors: the map pooled over frames and places, then the activation.
        """
        batch, source, count = frames.shape[:3]
        maps = self.frame_net(normalise_pictures(frames.reshape(-1, *frames.shape[3:])))
        maps = maps.reshape(batch, source, count, *maps.shape[1:])
        pooled = VISUAL_POOLINGS[self.visual_pooling](maps, axis=(2, 3, 4))
        return VISUAL_ACTIVATIONS[self.visual_activation](pooled)

    def listen(self, remaining: Float[Array, "batch freq time"]) -> Float[Array, "batch freq time k"]:
        """Feature maps of a remaining mixture (linear magnitudes on the network's axis)."""
        log = log_magnitude(remaining)
        if self.stop_gradient_input:
            log = jax.lax.stop_gradient(log)
        return self.minus_net(log[..., None])

    def __call__(
        self, frames: Array, remaining: Float[Array, "batch freq time"]
    ) -> tuple[Float[Array, "batch source k"], Float[Array, "batch freq time k"]]:
        """Both networks once: what initialises their parameters."""
        return self.look(frames), self.listen(remaining)
