"""Chooses a shot: the whole player, a part, a close view of the instrument, or the instrument alone."""

import dataclasses
from collections.abc import Callable

import numpy as np

from data_pipeline.rendered.filming.camera import Edges, Views, choose_views, least_visible
from data_pipeline.rendered.filming.ranges import SceneRanges

SHOTS = ("full", "part", "close", "alone")
_ATTEMPTS = 12
_MARGIN = 0.02


@dataclasses.dataclass(frozen=True)
class Extents:
    """Extents of a figure over its movements, (left, top, right, bottom) in figure units.

    Attributes:
        figure: Of player and instrument.
        instrument: Of the instrument.
    """

    figure: Edges
    instrument: Edges


@dataclasses.dataclass(frozen=True)
class Shot:
    """How the player is shown.

    Attributes:
        name: One of `SHOTS`.
        unit_px: Pixels of the scene per figure unit.
        origin_px: Position of the figure's origin in the scene.
        angle: Tilt of the figure in radians.
        views: The camera's view in each frame.
    """

    name: str
    unit_px: float
    origin_px: tuple[float, float]
    angle: float
    views: Views

    @property
    def alone(self) -> bool:
        """Whether the instrument is shown without a player."""
        return self.name == "alone"


@dataclasses.dataclass(frozen=True)
class Framing:
    """What a shot is chosen for.

    Attributes:
        measure: Returns the extents for a tilt, and without the player if the second argument is true.
        area: Share of the frame that a player of full size takes.
        tilt: Tilt of a player in radians.
        opening: Part of the frame that no bar hides.
        frames: Number of frames.
        scene_px: Side of the drawn scene.
    """

    measure: Callable[[float, bool], Extents]
    area: float
    tilt: float
    opening: Edges
    frames: int
    scene_px: int


def choose_shot(rng: np.random.Generator, ranges: SceneRanges, framing: Framing) -> Shot:
    """Draws a shot in which enough of the instrument is visible all the time.

    Args:
        rng: Random generator.
        ranges: Probabilities and sizes.
        framing: The figure and the frame.

    Returns:
        The shot. When no attempt shows enough, the instrument stands in the middle of a view at rest.
    """
    name = SHOTS[int(rng.choice(len(SHOTS), p=ranges.shots))]
    alone = name == "alone"
    angle = framing.tilt
    if alone:
        angle = float(rng.uniform(-np.pi, np.pi) if rng.random() < 0.25 else rng.normal(0, 0.35))
    extents = framing.measure(angle, alone)
    instrument = np.array(extents.instrument)
    unit_px = 1.0
    for _ in range(_ATTEMPTS):
        views = choose_views(rng, ranges, frames=framing.frames, scene_px=framing.scene_px)
        unit_px = _unit_px(name, rng, ranges, framing, extents)
        origin = _origin(name, rng, framing, extents, unit_px)
        box = instrument * unit_px + np.tile(origin, 2)
        if least_visible(tuple(box.tolist()), views, framing.opening) >= ranges.least_visible:
            return Shot(name, unit_px, (float(origin[0]), float(origin[1])), angle, views)
    middle = (instrument[:2] + instrument[2:]) / 2
    x, y = framing.scene_px / 2 - middle * unit_px
    still = np.tile([0.0, 0.0, float(framing.scene_px)], (framing.frames, 1))
    return Shot(name, unit_px, (float(x), float(y)), angle, still)


def _unit_px(name: str, rng: np.random.Generator, ranges: SceneRanges, framing: Framing, extents: Extents) -> float:
    whole = np.ptp(np.reshape(extents.figure, (2, 2)), axis=0)
    longest = float(np.ptp(np.reshape(extents.instrument, (2, 2)), axis=0).max())
    if name == "close":
        return framing.scene_px * float(rng.uniform(*ranges.close_length)) / longest
    if name == "alone":
        return framing.scene_px * float(rng.uniform(*ranges.alone_length)) / longest
    unit = framing.scene_px * float(np.sqrt(framing.area / np.prod(whole)))
    unit = min(unit, framing.scene_px * (1 - 2 * _MARGIN) / float(whole.max()))
    return unit * float(rng.uniform(*(ranges.full_scale if name == "full" else ranges.part_scale)))


def _origin(name: str, rng: np.random.Generator, framing: Framing, extents: Extents, unit_px: float) -> np.ndarray:
    side = framing.scene_px
    if name == "full":
        low, high = (np.array(edge) * unit_px for edge in (extents.figure[:2], extents.figure[2:]))
        free = side * (1 - 2 * _MARGIN) - (high - low)
        return side * _MARGIN + rng.uniform(0, 1, 2) * free - low
    box = np.reshape(extents.instrument, (2, 2))
    target = box[0] + rng.uniform(0.3, 0.7, 2) * (box[1] - box[0])
    if name == "part":  # between the instrument and the middle of the player
        person = np.reshape(extents.figure, (2, 2)).mean(axis=0)
        target = target + rng.uniform(0, 0.6) * (person - target)
    reach = {"part": 0.2, "close": 0.12, "alone": 0.16}[name]
    return side * (0.5 + rng.uniform(-reach, reach, 2)) - target * unit_px
