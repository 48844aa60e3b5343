"""MIML's network: which class each basis of a clip belongs to, learnt from the classes of whole clips.

Source: "Learning to separate object sounds by watching unlabeled video" (ECCV 2018), Sec. 3.3.
"""

from typing import cast

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from mpnet_jax.models.layers.batch_norm import BatchNorm


class RelationNet(nn.Module):
    """How much each basis has of each class: two layers over frequency, the same for every basis.

    Attributes:
        classes: number of classes (the paper's L).
        concepts: ways in which a class may sound (K); the best one counts.
        features: width of the first layer.
        train: batch statistics instead of running ones.
        axis_name: pmap axis of the devices that share a batch.
        statistics_decay: share of the running statistics kept at each step.
    """

    classes: int
    concepts: int
    features: int
    train: bool = False
    axis_name: str | None = None
    statistics_decay: float = 0.9

    @nn.compact
    def __call__(self, bases: Float[Array, "*batch basis freq"]) -> Float[Array, "*batch basis class"]:
        """Returns the relations, not negative."""
        x = bases
        for width in (self.features, self.classes * self.concepts):
            x = nn.Dense(width)(x)
            x = nn.relu(BatchNorm(self.train, self.axis_name, self.statistics_decay)(x))
        return _greatest(x.reshape(*x.shape[:-1], self.classes, self.concepts), -1)


class MIML(nn.Module):
    """Classes of a clip (a bag of bases, several classes in one bag) by the basis that has most of each.

    Attributes:
        classes, concepts, features, train, axis_name, statistics_decay: see `RelationNet`.
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
        """How much each basis has of each class; see `RelationNet`."""
        return cast(Array, self.relation_net(bases))

    def __call__(self, bases: Float[Array, "batch basis freq"]) -> Float[Array, "batch class"]:
        """How much each clip has of each class.

        Args:
            bases: spectra with a greatest value of 1, or of 0.
        """
        return _greatest(self.relate(bases), -2)


def _greatest(x: Array, axis: int) -> Array:
    # The derivative of jnp.max looks for values equal to the maximum. A compiler that computes the values anew, rounded
    # otherwise, may find none: 0 / 0.
    return jnp.take_along_axis(x, jnp.argmax(x, axis, keepdims=True), axis).squeeze(axis)
