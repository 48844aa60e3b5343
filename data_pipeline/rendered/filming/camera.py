"""Moves the camera: which square of the drawn scene each frame shows, and where a box of the scene lies in it."""

import numpy as np
from jaxtyping import Float
from PIL import Image

from data_pipeline.rendered.filming.ranges import SceneRanges

# (left, top, side) of the view in pixels of the scene, one row per frame.
Views = Float[np.ndarray, "frames 3"]
# (left, top, right, bottom).
Edges = tuple[float, float, float, float]
_STILL_SHARE = 0.35
_SHAKE_SHARE = 0.35
_SHAKE_FRAMES = 6


def choose_views(rng: np.random.Generator, ranges: SceneRanges, *, frames: int, scene_px: int) -> Views:
    """Draws the path of the camera: at rest, or with a slow zoom and pan, or in a hand that shakes.

    Args:
        rng: Random generator.
        ranges: Ranges of size, drift and shake.
        frames: Number of frames.
        scene_px: Side of the drawn scene.

    Returns:
        Views that lie within the scene.
    """
    side = rng.uniform(*ranges.window, 2)
    corner = rng.uniform(0, 1, 2) * (1 - side[0])
    ends = np.stack([corner, corner + rng.uniform(-ranges.drift, ranges.drift, 2)])
    if rng.random() < _STILL_SHARE:
        side[1], ends[1] = side[0], ends[0]
    time = np.linspace(0, 1, frames)
    if rng.random() < 0.5:  # there and back
        time = np.sin(np.pi * time)
    place = ends[0] + time[:, None] * (ends[1] - ends[0])
    if rng.random() < _SHAKE_SHARE:
        steps = rng.standard_normal((frames + _SHAKE_FRAMES, 2))
        window = np.hanning(_SHAKE_FRAMES + 2)[1:-1]
        smooth = np.stack([np.convolve(column, window / np.linalg.norm(window), "same") for column in steps.T], axis=1)
        place = place + rng.uniform(0.2, 1) * ranges.shake * smooth[:frames]
    sides = side[0] + time * (side[1] - side[0])
    place = np.clip(place, 0, 1 - sides[:, None])
    return np.concatenate([place, sides[:, None]], axis=1) * scene_px


def in_view(boxes: Float[np.ndarray, "shapes 4"], view: Float[np.ndarray, "3"], opening: Edges) -> Edges:
    """Returns the box around the visible part of shapes.

    Args:
        boxes: (left, top, right, bottom) of each shape in pixels of the scene.
        view: (left, top, side) of the view.
        opening: Part of the frame that no bar hides, in shares of the frame.

    Returns:
        The box in shares of the frame. It has no area when nothing is visible.
    """
    shares = (boxes - view[[0, 1, 0, 1]]) / view[2]
    left, top, right, bottom = opening
    clipped = np.clip(shares, (left, top, left, top), (right, bottom, right, bottom))
    visible = clipped[(clipped[:, :2] < clipped[:, 2:]).all(axis=1)]
    if not visible.size:
        return left, top, left, top
    (low_x, low_y), (high_x, high_y) = visible[:, :2].min(axis=0).tolist(), visible[:, 2:].max(axis=0).tolist()
    return low_x, low_y, high_x, high_y


def changed_part(
    changed: Image.Image, view: Float[np.ndarray, "3"], opening: Edges, *, cell_px: int
) -> Float[np.ndarray, "4"]:
    """Returns the box of what is not black in a coarse image of the scene, within the view.

    Args:
        changed: Grey image with one pixel for each square cell of the scene.
        view: (left, top, side) of the view in pixels of the scene.
        cell_px: Side of a cell.
        opening: Part of the frame that no bar hides, in shares of the frame.

    Returns:
        (left, top, right, bottom) in pixels of the scene. It has no area when everything is black.
    """
    low, high = np.array(opening[:2]), np.array(opening[2:])
    first = np.floor((view[:2] + low * view[2]) / cell_px).astype(int)
    last = np.ceil((view[:2] + high * view[2]) / cell_px).astype(int)
    found = changed.crop((*first.tolist(), *last.tolist())).getbbox() or (0, 0, 0, 0)
    return (np.array(found, dtype=float) + np.tile(first, 2)) * cell_px


def least_visible(box: Edges, views: Views, opening: Edges) -> float:
    """Returns the smallest visible share of a box over all views; the covered share of the frame counts if larger."""
    found = 1.0
    for view in views[:: max(1, len(views) // 24)]:
        left, top, right, bottom = in_view(np.array([box]), view, opening)
        covered = (right - left) * (bottom - top)
        whole = (box[2] - box[0]) * (box[3] - box[1]) / view[2] ** 2
        found = min(found, max(covered / max(whole, 1e-9), covered))
    return found
