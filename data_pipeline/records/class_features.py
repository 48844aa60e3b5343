"""Makes features of classes from the weights of a classifier, in place of the features of stored frames.

The weights of a class in the last layer of a classifier point to the features of that class's pictures. Clips whose
features are made from them teach a network to recognise instruments in photographs although no photograph is in the
data set.
"""

import dataclasses

import numpy as np
from jaxtyping import Float, Float16

# Limits of the multiples of a class's weights, drawn on a logarithmic scale.
STRENGTH = (2.5, 20.0)
# Limits of the object's radius, as a share of the map's side.
RADIUS = (0.15, 0.5)


@dataclasses.dataclass(frozen=True)
class ObjectPlan:
    """An object to make.

    Attributes:
        middle: Position of its middle, (down, right), each 0 to 1.
        radius: Radius as a share of the map's side.
        strength: Multiple of the class's weights.
    """

    middle: tuple[float, float]
    radius: float
    strength: float


def draw_object(rng: np.random.Generator) -> ObjectPlan:
    """Draws position, size and strength of an object."""
    middle = (float(rng.uniform()), float(rng.uniform()))
    strength = float(np.exp(rng.uniform(*np.log(STRENGTH))))
    return ObjectPlan(middle, float(rng.uniform(*RADIUS)), strength)


@dataclasses.dataclass(frozen=True, eq=False)
class ClassFeatures:
    """Makes features of the classes that the classifier knows.

    Attributes:
        background: Features of every place around the object.
        weights: The classifier's weights of each class of the data set, less their mean over all its classes; NaN for
            classes that it does not know.
    """

    background: Float[np.ndarray, " channel"]
    weights: Float[np.ndarray, "class channel"]

    def known(self, label: int) -> bool:
        """Returns whether the classifier knows a class."""
        return bool(np.isfinite(self.weights[label]).all())

    def write(self, label: int, plan: ObjectPlan, out: Float16[np.ndarray, "frame h w channel"]) -> None:
        """Writes the features of an object of a class; they are never negative, like those behind a rectifier.

        Args:
            label: A known class.
            plan: Where and how.
            out: Result, the same for all frames.
        """
        height, width = out.shape[1:3]
        down = (np.arange(height) + 0.5) / height - plan.middle[0]
        right = (np.arange(width) + 0.5) / width - plan.middle[1]
        distance = np.hypot(down[:, None], right)
        inside = distance <= max(plan.radius, distance.min())  # at least one place
        shown = np.maximum(self.background + plan.strength * self.weights[label], 0)
        out[...] = np.where(inside[..., None], shown, self.background)
