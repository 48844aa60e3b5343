"""A network that names the class of what a clip shows."""

import flax.linen as nn
from jaxtyping import Array, Float

from mpnet_jax.models.resnet import ResNet18
from mpnet_jax.models.visual import clip_vectors


class ClassNet(nn.Module):
    """The frame network with a map for each class, averaged over frames and places.

    Source: "Learning to separate object sounds" (ECCV 2018), Sec. 3.2, takes a ResNet-152 that was trained on ImageNet.

    Attributes:
        classes: number of classes.
        features: see `ResNet18`.
        dilated: see `ResNet18`.
        train: see `ResNet18`.
        axis_name: see `ResNet18`.
        statistics_decay: see `ResNet18`.
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
        """Scores of the classes, before a softmax, of uint8 frames (batch, source, frame, height, width, 3)."""
        return clip_vectors(self.frame_net, frames, pooling="mean", activation="none")
