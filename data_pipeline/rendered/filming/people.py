"""Adds what does not sound: listeners, an instrument that lies about, and heads of an audience in front."""

import dataclasses

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from data_pipeline.rendered.drawing import person
from data_pipeline.rendered.drawing.animation import FIGURES
from data_pipeline.rendered.drawing.look import Look, choose_look
from data_pipeline.rendered.drawing.motion import Pose
from data_pipeline.rendered.drawing.pen import FLOOR_Y, from_hsv
from data_pipeline.rendered.filming.ranges import SceneRanges
from data_pipeline.rendered.filming.shaded_pen import MATERIAL_OF, ShadedPen, Surfaces
from data_pipeline.rendered.filming.shot import Shot

_AT_REST = Pose(False, 0.0, 0.5, 0.0, 0.3, 0.0, (1.0, 1.0), 0)
# Positions of the right hand of a listener: at the side, folded, on the hip, at the chin.
_HANDS = ((0.5, 0.42), (0.1, 0.18), (0.42, 0.3), (0.12, -0.6))


def add_bystanders(
    scene: Image.Image,
    rng: np.random.Generator,
    surfaces: Surfaces,
    ranges: SceneRanges,
    *,
    player: Shot,
    name: str,
) -> None:
    """Draws persons without instruments, and seldom another instrument without a person, behind the player.

    Args:
        scene: Image to draw on.
        rng: Random generator.
        surfaces: Surfaces and light of the scene.
        ranges: Probabilities and sizes.
        player: Position and size of the player.
        name: Class name of the player's instrument; the other instrument is of another class.
    """
    if rng.random() < ranges.silent_instrument:
        others = [other for other in FIGURES if other != name]
        _add_instrument(scene, rng, surfaces, others[int(rng.integers(len(others)))], ranges)
    floor_y = player.origin_px[1] + FLOOR_Y * player.unit_px
    for _ in range(int(rng.choice(len(ranges.listeners), p=ranges.listeners))):
        unit_px = min(player.unit_px, 0.32 * scene.width) * float(rng.uniform(0.5, 1.05))
        # A person that stands further away is smaller, and its feet are higher in the frame.
        y = min(floor_y, 1.3 * scene.height) - (player.unit_px - unit_px) * float(rng.uniform(0.0, 0.6))
        x = scene.width * float(rng.uniform(-0.05, 1.05))
        _add_listener(scene, rng, surfaces, (x, y - FLOOR_Y * unit_px), unit_px)


def draw_heads(rng: np.random.Generator, ranges: SceneRanges, *, size_px: int) -> Image.Image | None:
    """Returns a layer with dark heads and shoulders of an audience at the lower edge, seen from behind, or None."""
    if rng.random() >= ranges.heads:
        return None
    layer = Image.new("RGBA", (size_px, size_px))
    canvas = ImageDraw.Draw(layer)
    for _ in range(int(rng.integers(1, 5))):
        x, radius = size_px * rng.uniform(0, 1), size_px * rng.uniform(0.05, 0.09)
        y = size_px * rng.uniform(0.84, 0.97)
        colour = (*from_hsv(rng.uniform(0, 0.12), rng.uniform(0.1, 0.6), rng.uniform(0.05, 0.3)), 255)
        coat = (*from_hsv(rng.random(), rng.uniform(0.1, 0.5), rng.uniform(0.08, 0.35)), 255)
        canvas.ellipse((x - 2.2 * radius, y + 0.9 * radius, x + 2.2 * radius, y + 5 * radius), fill=coat)
        canvas.ellipse((x - 0.85 * radius, y - 1.1 * radius, x + 0.85 * radius, y + 1.2 * radius), fill=colour)
    return layer.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.5, 4))))


def _add_listener(
    scene: Image.Image, rng: np.random.Generator, surfaces: Surfaces, origin_px: tuple[float, float], unit_px: float
) -> None:
    look = _other_look(rng, "violin")
    pen = ShadedPen(
        scene, surfaces, origin_px=origin_px, unit_px=unit_px, angle=float(rng.uniform(-0.08, 0.08)), mirror=look.mirror
    )
    (person.draw_seated if rng.random() < 0.35 else person.draw_standing)(pen, look)
    person.draw_head(pen, look, _AT_REST, lean=float(rng.uniform(-0.08, 0.08)))
    for side in (-1, 1):
        x, y = _HANDS[int(rng.integers(len(_HANDS)))]
        person.draw_arm(pen, look, side, (side * x, y), bend=float(rng.uniform(0.05, 0.25)))


def _add_instrument(
    scene: Image.Image, rng: np.random.Generator, surfaces: Surfaces, name: str, ranges: SceneRanges
) -> None:
    look = _other_look(rng, name)
    angle = float(rng.uniform(-np.pi, np.pi))

    def pen(image: Image.Image | None, origin_px: tuple[float, float], unit_px: float) -> ShadedPen:
        return ShadedPen(
            image,
            surfaces,
            material=MATERIAL_OF[name],
            origin_px=origin_px,
            unit_px=unit_px,
            angle=angle,
            mirror=look.mirror,
            instrument_only=True,
        )

    measuring = pen(None, (0.0, 0.0), 1.0)
    FIGURES[name](measuring, look, _AT_REST)
    low, high = measuring.extent()
    unit_px = scene.width * float(rng.uniform(*ranges.silent_length)) / float((high - low).max())
    x, y = scene.width * rng.uniform(0.05, 0.95), scene.height * rng.uniform(0.55, 0.95)
    origin = np.array([x, y]) - (low + high) / 2 * unit_px
    drawing = pen(scene, (float(origin[0]), float(origin[1])), unit_px)
    FIGURES[name](drawing, look, _AT_REST)


def _other_look(rng: np.random.Generator, name: str) -> Look:
    look = choose_look(name, 0, rng, phase=(0.0, 0.0))
    shirt = from_hsv(rng.random(), rng.uniform(0, 0.7), rng.uniform(0.1, 0.95))
    return dataclasses.replace(look, shirt=shirt, stripe=shirt)
