"""MIML's network, which learns the class of each basis from the classes of complete clips.

Source: "Learning to separate object sounds by watching unlabeled video" (ECCV 2018), Sec. 3.3.
"""

from typing import cast

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from mpnet_jax.models.layers.batch_norm import BatchNorm


class RelationNet(nn.Module):
    """Relates each basis to each class by two dense layers over frequency, which all bases share.

    Attributes:
        classes: Number of classes (the paper's L).
        concepts: Number of sub-concepts of a class (K); the greatest score among them counts.
        features: Width of the first layer.
        train: Whether to use batch statistics instead of running statistics.
        axis_name: Mapped axis of the devices that share a batch.
        statistics_decay: Decay of the running statistics at each step.
    """

    classes: int
    concepts: int
    features: int
    train: bool = False
    axis_name: str | None = None
    statistics_decay: float = 0.9

    @nn.compact
    def __call__(self, bases: Float[Array, "*batch basis freq"]) -> Float[Array, "*batch basis class"]:
        """Returns the relations of each basis to each class, which are not negative."""
        x = bases
        for width in (self.features, self.classes * self.concepts):
            x = nn.Dense(width)(x)
            x = nn.relu(BatchNorm(self.train, self.axis_name, self.statistics_decay)(x))
        return _greatest(x.reshape(*x.shape[:-1], self.classes, self.concepts), -1)


class MIML(nn.Module):
    """Multi-instance multi-label classification of clips: the score of a class is that of its best basis.

    Attributes:
        classes, concepts, features, train, axis_name, statistics_decay: See `RelationNet`.
    """

    classes: int
    concepts: int
    features: int
    train: bool = False
    axis_name: str | None = None
    statistics_decay: float = 0.9

    def setup(self) -> None:
        """Builds the network."""
        self.relation_net = RelationNet(
            self.classes, self.concepts, self.features, self.train, self.axis_name, self.statistics_decay
        )

    def relate(self, bases: Float[Array, "*batch basis freq"]) -> Float[Array, "*batch basis class"]:
        """Returns the relations of each basis to each class; see `RelationNet`."""
        return cast(Array, self.relation_net(bases))

    def __call__(self, bases: Float[Array, "batch basis freq"]) -> Float[Array, "batch class"]:
        """Returns the score of each class in each clip.

        Args:
            bases: Bases with a maximum of 1, or zeros.
        """
        return _greatest(self.relate(bases), -2)


def _greatest(x: Array, axis: int) -> Array:
    # The derivative of jnp.max compares values with the maximum. If the compiler recomputes the values with another
    # rounding, none may be equal, and the derivative is 0 / 0.
    return jnp.take_along_axis(x, jnp.argmax(x, axis, keepdims=True), axis).squeeze(axis)
