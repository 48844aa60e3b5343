"""A network that classifies the frames of a clip."""

import flax.linen as nn
from jaxtyping import Array, Float

from mpnet_jax.models.frame_net import FrameNetSpec
from mpnet_jax.models.visual import clip_vectors


class ClassNet(nn.Module):
    """The frame network with one map for each class, averaged over frames and places.

    Source: "Learning to separate object sounds" (ECCV 2018), Sec. 3.2, takes a ResNet-152 that was trained on ImageNet.

    Attributes:
        classes: Number of classes.
        frame_spec: Kind and size of the frame network.
        train, axis_name, statistics_decay: See `resnet.ResNet18`.
    """

    classes: int
    frame_spec: FrameNetSpec
    train: bool = False
    axis_name: str | None = None
    statistics_decay: float = 0.9

    def setup(self) -> None:
        """Builds the network."""
        self.frame_net = self.frame_spec.build(
            self.classes,
            train=self.train,
            axis_name=self.axis_name,
            statistics_decay=self.statistics_decay,
        )

    def __call__(self, seen: Array) -> Float[Array, "batch source class"]:
        """Returns the class logits of frames or their features; see `visual.clip_vectors`."""
        return clip_vectors(self.frame_net, seen, pooling="mean", activation="none")
