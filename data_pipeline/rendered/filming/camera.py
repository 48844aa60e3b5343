"""Moves the camera: which square of the drawn scene each frame shows, and where a box of the scene lies in it."""

import numpy as np
from jaxtyping import Float

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


def in_view(box: Edges, view: np.ndarray, opening: Edges) -> Edges:
    """Converts a box of the scene to shares of the frame and clips it to the visible part.

    Args:
        box: Box in pixels of the scene.
        view: (left, top, side) of the view.
        opening: Part of the frame that no bar hides, in shares of the frame.

    Returns:
        The box in shares of the frame. It has no area when nothing of it is visible.
    """
    corner = view[[0, 1, 0, 1]]
    low_x, low_y, high_x, high_y = ((np.array(box) - corner) / view[2]).tolist()
    left, top, right, bottom = opening
    return (
        min(max(low_x, left), right),
        min(max(low_y, top), bottom),
        min(max(high_x, left), right),
        min(max(high_y, top), bottom),
    )


def least_visible(box: Edges, views: Views, opening: Edges) -> float:
    """Returns the smallest visible share of a box over all views, or the share of the frame that it covers if larger."""
    found = 1.0
    for view in views[:: max(1, len(views) // 24)]:
        left, top, right, bottom = in_view(box, view, opening)
        covered = (right - left) * (bottom - top)
        whole = (box[2] - box[0]) * (box[3] - box[1]) / view[2] ** 2
        found = min(found, max(covered / max(whole, 1e-9), covered))
    return found
