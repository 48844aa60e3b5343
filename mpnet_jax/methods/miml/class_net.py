"""A network that classifies the frames of a clip."""

import flax.linen as nn
from jaxtyping import Array, Float

from mpnet_jax.models.resnet import ResNet18
from mpnet_jax.models.visual import clip_vectors


class ClassNet(nn.Module):
    """The frame network with one map for each class, averaged over frames and places.

    Source: "Learning to separate object sounds" (ECCV 2018), Sec. 3.2, takes a ResNet-152 that was trained on ImageNet.

    Attributes:
        classes: Number of classes.
        features, dilated, train, axis_name, statistics_decay: See `ResNet18`.
    """

    classes: int
    features: int
    dilated: bool
    train: bool = False
    axis_name: str | None = None
    statistics_decay: float = 0.9

    def setup(self) -> None:
        """Builds the network."""
        self.frame_net = ResNet18(
            self.classes,
            self.features,
            self.dilated,
            train=self.train,
            axis_name=self.axis_name,
            statistics_decay=self.statistics_decay,
        )

    def __call__(self, frames: Array) -> Float[Array, "batch source class"]:
        """Returns the class logits of uint8 frames (batch, source, frame, height, width, 3)."""
        return clip_vectors(self.frame_net, frames, pooling="mean", activation="none")
