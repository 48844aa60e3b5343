"""Metrics of whether an energy map points to the player who makes a sound."""

import numpy as np
from jaxtyping import Bool, Float

DEFINITION = (
    "pointing: share of scenes in which the centre of the greatest place lies in the sounding player's box. IoU: of "
    "that box and the places of at least half the greatest energy, by area. AUC: chance that a place whose centre lies "
    "in the box has more energy than one outside. Right player: share in which the greatest place is nearer to the "
    "sounding player's box than to the other's; a tie counts half. One picture a clip (T = 1), energies by Eq. 7."
)

Map = Float[np.ndarray, "rows columns"]
Box = Float[np.ndarray, "4"]


def greatest_place(energy: Map) -> tuple[float, float]:
    """Returns the centre (down, right), in fractions of the frame, of the first place with the most energy."""
    row, column = np.unravel_index(np.argmax(energy), energy.shape)
    return (float(row) + 0.5) / energy.shape[0], (float(column) + 0.5) / energy.shape[1]


def pointing(energy: Map, box: Box) -> float:
    """Returns 1 if the centre of the place with the most energy lies in the box, else 0; NaN without a box.

    Args:
        energy: Energy of each place of the frame.
        box: Top, left, bottom and right in fractions of the frame, 0 to 1; NaN where unknown.

    Source: "Top-down neural attention by excitation backprop" (Zhang et al. 2016), the pointing game.
    """
    if not np.isfinite(box).all():
        return float("nan")
    down, right = greatest_place(energy)
    return float(box[0] <= down <= box[2] and box[1] <= right <= box[3])


def iou_at_half(energy: Map, box: Box) -> float:
    """Returns the intersection over union of the box and the places with at least half the maximum energy, by area.

    Args:
        energy: Energy of each place of the frame, not negative.
        box: See `pointing`.

    Returns:
        0 to 1; NaN without a box.
    """
    if not np.isfinite(box).all():
        return float("nan")
    rows, columns = energy.shape
    loud = energy >= 0.5 * energy.max()
    covered = np.outer(_covered(rows, box[0], box[2]), _covered(columns, box[1], box[3]))
    both = float(covered[loud].sum()) / (rows * columns)
    either = float(loud.mean() + (box[2] - box[0]) * (box[3] - box[1])) - both
    return both / either


def area_under_curve(energy: Map, box: Box) -> float:
    """Returns the probability that a place in the box has more energy than one outside; ties count half.

    Args:
        energy: Energy of each place of the frame.
        box: See `pointing`.

    Returns:
        0 to 1; NaN without a box, and if the centres of no place or of all places lie in it.
    """
    inside = centres_inside(energy.shape, box)
    if not np.isfinite(box).all() or inside.all() or not inside.any():
        return float("nan")
    # Every place inside against every place outside: (inside, 1) - (1, outside).
    above = energy[inside][:, None] - energy[~inside][None]
    return float(np.mean((above > 0) + 0.5 * (above == 0)))


def right_player(energy: Map, box: Box, other: Box) -> float:
    """Returns 1 if the place with the most energy is nearer to the box than to the other one, 0.5 at a tie, else 0.

    Args:
        energy: Energy of each place of the frame.
        box: Box of the sounding player; see `pointing`.
        other: Box of the silent player.
    """
    if not (np.isfinite(box).all() and np.isfinite(other).all()):
        return float("nan")
    place = greatest_place(energy)
    return 0.5 + 0.5 * float(np.sign(_distance(place, other) - _distance(place, box)))


def centres_inside(shape: tuple[int, int], box: Box) -> Bool[np.ndarray, "rows columns"]:
    """Returns which places of a map of this shape have their centre in the box."""
    down = (np.arange(shape[0]) + 0.5) / shape[0]
    right = (np.arange(shape[1]) + 0.5) / shape[1]
    return np.outer((down >= box[0]) & (down <= box[2]), (right >= box[1]) & (right <= box[3]))


def _covered(count: int, low: float, high: float) -> np.ndarray:
    """Returns which fraction of each of `count` equal cells of [0, 1] lies between low and high."""
    edges = np.clip(np.arange(count + 1) / count, low, high)
    return np.diff(edges) * count


def _distance(place: tuple[float, float], box: Box) -> float:
    down = max(box[0] - place[0], 0.0, place[0] - box[2])
    right = max(box[1] - place[1], 0.0, place[1] - box[3])
    return float(np.hypot(down, right))
