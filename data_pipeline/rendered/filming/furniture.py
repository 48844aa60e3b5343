"""Draws furniture and things on walls, lit and textured like the players."""

from collections.abc import Callable

import numpy as np

from data_pipeline.rendered.drawing.pen import Colour, box, from_hsv, shade
from data_pipeline.rendered.filming.shaded_pen import ShadedPen

Thing = Callable[[ShadedPen, np.random.Generator], None]
# Makes a pen for `origin_px` and `unit_px`.
MakePen = Callable[..., ShadedPen]


def hang(pen: ShadedPen, rng: np.random.Generator, size_px: int, horizon: float) -> None:
    """Hangs up to five things on the wall, which may hide each other.

    Args:
        pen: Pen whose unit is a pixel.
        rng: Random generator.
        size_px: Side of the scene.
        horizon: Where the floor begins, as a share of the scene.
    """
    for _ in range(int(rng.integers(0, 6))):
        width, height = size_px * rng.uniform(0.08, 0.35), size_px * rng.uniform(0.1, 0.4)
        left = rng.uniform(-0.3 * width, size_px - 0.7 * width)
        top = rng.uniform(-0.2 * height, max(horizon * size_px - height, 1))
        (_poster, _poster, _window, _shelf)[int(rng.integers(4))](pen, rng, (left, top, left + width, top + height))


def place(
    make_pen: MakePen, rng: np.random.Generator, size_px: int, horizon: float, *, things: tuple[Thing, ...] = ()
) -> None:
    """Places up to five things on the floor.

    Args:
        make_pen: Makes a pen whose origin stands on the floor; the unit is about the height of a table.
        rng: Random generator.
        size_px: Side of the scene.
        horizon: Where the floor begins, as a share of the scene.
        things: What to choose from; by default everything.
    """
    things = things or ROOM
    depths = np.sort(rng.uniform(0.0, 0.16, int(rng.integers(0, 6))))  # what is nearer hides what is behind it
    for depth in depths:
        unit_px = size_px * float(rng.uniform(0.14, 0.24)) * (1 + 2 * depth)
        pen = make_pen(
            origin_px=(size_px * float(rng.uniform(0.0, 1.0)), size_px * float(min(horizon, 1.05) + depth)),
            unit_px=unit_px,
            mirror=bool(rng.integers(2)),
        )
        things[int(rng.integers(len(things)))](pen, rng)


def _poster(pen: ShadedPen, rng: np.random.Generator, place: tuple[float, float, float, float]) -> None:
    left, top, right, bottom = place
    pen.material = "cloth"
    pen.polygon(box(left, top, right, bottom), _any(rng, rng.uniform(0.1, 0.9)))
    edge = 0.06 * (right - left)
    pen.polygon(box(left + edge, top + edge, right - edge, bottom - edge), _any(rng, rng.uniform(0.2, 1)))
    for _ in range(int(rng.integers(1, 7))):
        x, y = rng.uniform(left + edge, right - edge), rng.uniform(top + edge, bottom - edge)
        reach = min(x - left, right - x, y - top, bottom - y) * rng.uniform(0.3, 0.9)
        if rng.random() < 0.5:
            pen.disc((x, y), reach, _any(rng, rng.uniform(0.1, 1)))
        else:
            pen.polygon(box(x - reach, y - 0.6 * reach, x + reach, y + 0.6 * reach), _any(rng, rng.uniform(0.1, 1)))


def _window(pen: ShadedPen, rng: np.random.Generator, place: tuple[float, float, float, float]) -> None:
    left, top, right, bottom = place
    pen.material = "lacquer"
    frame = from_hsv(rng.uniform(0, 0.15), rng.uniform(0, 0.4), rng.uniform(0.3, 1))
    edge = 0.07 * (right - left)
    pen.polygon(box(left, top, right, bottom), frame)
    sky = from_hsv(rng.uniform(0.5, 0.65), rng.uniform(0, 0.4), rng.choice([0.1, 0.9, 1.0]))
    pen.material = "cloth"
    pen.polygon(box(left + edge, top + edge, right - edge, bottom - edge), sky)
    middle = (left + right) / 2
    pen.line([(middle, top + edge), (middle, bottom - edge)], edge, frame)
    if rng.random() < 0.5:
        curtain = _any(rng, rng.uniform(0.3, 0.95))
        width = rng.uniform(0.2, 0.45) * (right - left)
        pen.polygon(box(left - 0.2 * width, top - edge, left + width, bottom + 2 * edge), curtain)
        pen.polygon(box(right - width, top - edge, right + 0.2 * width, bottom + 2 * edge), curtain)


def _shelf(pen: ShadedPen, rng: np.random.Generator, place: tuple[float, float, float, float]) -> None:
    left, top, right, bottom = place
    pen.material = "wood"
    plank = from_hsv(rng.uniform(0.03, 0.12), rng.uniform(0.1, 0.6), rng.uniform(0.2, 0.8))
    pen.polygon(box(left, top, right, bottom), shade(plank, 0.6))
    rows = int(rng.integers(1, 4))
    height = (bottom - top) / rows
    for row in range(rows):
        base = top + (row + 1) * height
        x = left + 2
        pen.material = "cloth"
        while x < right - 9:
            width = float(rng.uniform(4, 13))
            if rng.random() < 0.85:
                book = _any(rng, rng.uniform(0.15, 0.9))
                pen.polygon(box(x, base - height * rng.uniform(0.5, 0.85), x + width - 1, base), book)
            x += width
        pen.material = "wood"
        pen.polygon(box(left, base - 0.06 * height, right, base + 2), plank)


def _table(pen: ShadedPen, rng: np.random.Generator) -> None:
    wood, width = _wood(rng), float(rng.uniform(0.6, 1.3))
    for x in (-0.9 * width, 0.9 * width):
        pen.line([(x, -0.9), (x, 0.0)], 0.09, shade(wood, 0.8))
    pen.polygon([(-width, -0.95), (width, -0.95), (0.92 * width, -1.1), (-0.92 * width, -1.1)], wood)
    pen.polygon(box(-width, -0.95, width, -0.85), shade(wood, 0.75))
    pen.material = "lacquer"
    for _ in range(int(rng.integers(0, 4))):
        x, size = float(rng.uniform(-0.8, 0.8)) * width, float(rng.uniform(0.08, 0.2))
        pen.polygon(box(x - size, -1.02 - 2 * size, x + size, -1.02), _any(rng, rng.uniform(0.2, 1)))


def _chair(pen: ShadedPen, rng: np.random.Generator) -> None:
    wood = _wood(rng)
    for x in (-0.38, 0.38):
        pen.line([(x, -1.5), (x, 0.0)], 0.08, shade(wood, 0.8))
    pen.polygon([(-0.42, -0.65), (0.42, -0.65), (0.36, -0.8), (-0.36, -0.8)], wood)
    for y in (-1.1, -1.3, -1.5):
        pen.line([(-0.38, y), (0.38, y)], 0.1, wood)


def _sofa(pen: ShadedPen, rng: np.random.Generator) -> None:
    pen.material = "cloth"
    cloth, width = _any(rng, rng.uniform(0.2, 0.8)), float(rng.uniform(0.9, 1.6))
    pen.polygon(box(-width, -1.2, width, -0.3), shade(cloth, 0.85))
    pen.polygon(box(-0.85 * width, -0.62, 0.85 * width, -0.15), cloth)
    for x in (-width, width):
        pen.line([(x, -0.75), (x, -0.2)], 0.4, cloth)
        pen.disc((x, -0.75), 0.22, shade(cloth, 1.1))
    for _ in range(int(rng.integers(0, 3))):
        pen.disc((float(rng.uniform(-0.7, 0.7)) * width, -0.75), 0.22, _any(rng, rng.uniform(0.3, 1)))


def _music_stand(pen: ShadedPen, rng: np.random.Generator) -> None:
    pen.material = "metal"
    dark = from_hsv(0.6, 0.05, rng.uniform(0.1, 0.5))
    pen.line([(0.0, 0.0), (0.0, -1.3)], 0.05, dark)
    for x in (-0.3, 0.3):
        pen.line([(0.0, -0.25), (x, 0.03)], 0.05, dark)
    pen.polygon([(-0.45, -1.3), (0.45, -1.3), (0.48, -1.85), (-0.48, -1.85)], dark)
    pen.material = "cloth"
    for x in (-0.38, 0.02):
        pen.polygon(box(x, -1.85, x + 0.36, -1.35), (240, 238, 230))
        for k in range(4):
            pen.line([(x + 0.04, -1.78 + 0.1 * k), (x + 0.32, -1.78 + 0.1 * k)], 0.02, (120, 120, 120))


def _microphone(pen: ShadedPen, rng: np.random.Generator) -> None:
    pen.material = "metal"
    dark, height = from_hsv(0.6, 0.05, rng.uniform(0.05, 0.4)), float(rng.uniform(1.4, 2.4))
    pen.line([(-0.3, 0.0), (0.3, 0.0)], 0.06, dark)
    pen.line([(0.0, 0.0), (0.0, -height)], 0.05, dark)
    pen.line([(0.0, -height), (0.4, -height - 0.15)], 0.04, dark)
    pen.line([(0.4, -height - 0.15), (0.55, -height - 0.2)], 0.12, shade(dark, 1.3))


def _loudspeaker(pen: ShadedPen, rng: np.random.Generator) -> None:
    pen.material = "cloth"
    dark, height = from_hsv(rng.random(), 0.1, rng.uniform(0.06, 0.3)), float(rng.uniform(0.8, 1.8))
    pen.polygon(box(-0.42, -height, 0.42, 0.0), dark, shade(dark, 1.5))
    pen.material = "lacquer"
    pen.disc((0.0, -0.35 * height), 0.3, shade(dark, 1.25))
    pen.disc((0.0, -0.35 * height), 0.1, shade(dark, 0.6))
    pen.disc((0.0, -0.78 * height), 0.14, shade(dark, 1.25))


def _lamp(pen: ShadedPen, rng: np.random.Generator) -> None:
    pen.material = "metal"
    height = float(rng.uniform(1.4, 2.2))
    pen.line([(0.0, 0.0), (0.0, -height)], 0.06, _any(rng, 0.5))
    pen.polygon(box(-0.25, -0.06, 0.25, 0.0), _any(rng, 0.4))
    pen.material = "cloth"
    glow = from_hsv(rng.uniform(0.08, 0.15), rng.uniform(0.05, 0.5), 1)
    pen.polygon([(-0.22, -height - 0.45), (0.22, -height - 0.45), (0.4, -height), (-0.4, -height)], glow)


def _plant(pen: ShadedPen, rng: np.random.Generator) -> None:
    pen.material = "lacquer"
    pen.polygon([(-0.25, -0.5), (0.25, -0.5), (0.18, 0.0), (-0.18, 0.0)], _any(rng, rng.uniform(0.3, 0.9)))
    pen.material = "cloth"
    green = from_hsv(rng.uniform(0.22, 0.42), rng.uniform(0.35, 0.75), rng.uniform(0.2, 0.6))
    for angle in rng.uniform(-1.3, 1.3, int(rng.integers(6, 18))):
        length = float(rng.uniform(0.5, 1.3))
        tip = (length * float(np.sin(angle)), -0.5 - length * float(np.cos(angle)))
        side = 0.12 * length
        leaf = [
            (0.0, -0.5),
            (0.5 * tip[0] - side, 0.5 * (tip[1] - 0.5)),
            tip,
            (0.5 * tip[0] + side, 0.5 * (tip[1] - 0.5)),
        ]
        pen.polygon(leaf, shade(green, float(rng.uniform(0.6, 1.3))))


def _piano(pen: ShadedPen, rng: np.random.Generator) -> None:
    pen.material = "lacquer"
    body = from_hsv(rng.uniform(0.02, 0.1), rng.uniform(0, 0.6), rng.uniform(0.06, 0.35))
    pen.polygon(box(-1.1, -1.6, 1.1, 0.0), body)
    pen.polygon(box(-1.15, -0.95, 1.15, -0.65), shade(body, 0.8))
    pen.material = "cloth"
    pen.polygon(box(-1.0, -0.92, 1.0, -0.78), (240, 238, 230))
    for k in range(24):
        x = -0.96 + 1.92 * k / 23
        if k % 7 not in (2, 6):
            pen.line([(x, -0.92), (x, -0.85)], 0.035, (20, 20, 22))


def _any(rng: np.random.Generator, value: float) -> Colour:
    """Returns a colour of any hue, seldom a saturated one."""
    return from_hsv(rng.random(), float(rng.beta(1.2, 3)), float(value))


def _wood(rng: np.random.Generator) -> Colour:
    return from_hsv(rng.uniform(0.02, 0.12), rng.uniform(0.1, 0.65), rng.uniform(0.15, 0.85))


ROOM: tuple[Thing, ...] = (
    _table, _chair, _chair, _sofa, _music_stand, _music_stand, _microphone, _loudspeaker, _lamp, _plant, _plant, _piano,
)  # fmt: skip
STAGE: tuple[Thing, ...] = (_chair, _music_stand, _music_stand, _microphone, _loudspeaker, _piano)
