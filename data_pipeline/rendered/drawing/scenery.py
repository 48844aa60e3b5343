"""Draws objects of the background that are not instruments, as distractions."""

import numpy as np
from PIL import ImageDraw

from data_pipeline.rendered.drawing.pen import Colour, from_hsv, shade

_Box = tuple[float, float, float, float]


def furnish_room(canvas: ImageDraw.ImageDraw, rng: np.random.Generator, size_px: int, horizon: float) -> None:
    """Hangs one to four objects on the wall without overlap, and places up to three on the floor.

    Args:
        canvas: Canvas to draw on.
        rng: Random generator of all choices.
        size_px: Side of the square image.
        horizon: Where the floor begins, as a share of the image.
    """
    hung: list[_Box] = []
    for _ in range(int(rng.integers(1, 5))):
        thing = (_frame, _frame, _window, _books)[int(rng.integers(4))]
        width, height = _SIZES[thing.__name__]
        width, height = width * rng.uniform(0.7, 1.1), height * rng.uniform(0.7, 1.1)
        left, top = rng.uniform(-0.03, 1.03 - width), rng.uniform(0.02, max(horizon - height - 0.04, 0.03))
        place = (left, top, left + width, top + height)
        if top + height < horizon and not any(_overlap(place, other) for other in hung):
            hung.append(place)
            thing(canvas, rng, size_px, place)
    for _ in range(int(rng.integers(0, 4))):
        thing = (_plant, _lamp, _cushion, _plant)[int(rng.integers(4))]
        thing(canvas, rng, size_px, horizon)


def draw_park(canvas: ImageDraw.ImageDraw, rng: np.random.Generator, size_px: int, horizon: float) -> None:
    """Draws a sky with clouds, a hill, a meadow, trees and flowers.

    Args:
        canvas: Canvas to draw on.
        rng: Random generator of all choices.
        size_px: Side of the square image.
        horizon: Where the meadow begins, as a share of the image.
    """
    sky = from_hsv(rng.uniform(0.52, 0.6), rng.uniform(0.15, 0.4), rng.uniform(0.8, 0.97))
    grass = from_hsv(rng.uniform(0.2, 0.33), rng.uniform(0.3, 0.5), rng.uniform(0.5, 0.72))
    canvas.rectangle([0, 0, size_px, size_px], fill=sky)
    for _ in range(int(rng.integers(1, 4))):
        x, y = size_px * rng.uniform(0, 1), size_px * rng.uniform(0.02, 0.6 * horizon)
        for shift in (-0.05, 0.0, 0.06):
            middle, radius = x + shift * size_px, size_px * rng.uniform(0.03, 0.05)
            canvas.ellipse([middle - 1.6 * radius, y - radius, middle + 1.6 * radius, y + radius], fill=shade(sky, 1.6))
    top, hill = size_px * horizon, size_px * rng.uniform(0.3, 0.7)
    canvas.ellipse([hill - size_px, top - 0.1 * size_px, hill + 0.6 * size_px, 1.5 * size_px], fill=shade(grass, 0.85))
    canvas.rectangle([0, top, size_px, size_px], fill=grass)
    for _ in range(int(rng.integers(2, 6))):
        _tree(canvas, rng, size_px, horizon, grass)
    for _ in range(int(rng.integers(5, 25))):
        x, y = size_px * rng.uniform(0, 1), size_px * rng.uniform(horizon, 1)
        radius = size_px * 0.006
        canvas.ellipse([x - radius, y - radius, x + radius, y + radius], fill=_muted(rng, 0.95))


def _tree(canvas: ImageDraw.ImageDraw, rng: np.random.Generator, size_px: int, horizon: float, grass: Colour) -> None:
    x, base, radius = (
        size_px * rng.uniform(0, 1),
        size_px * (horizon + 0.02),
        size_px * rng.uniform(0.05, 0.1),
    )
    canvas.rectangle([x - 0.15 * radius, base - 1.5 * radius, x + 0.15 * radius, base], fill=(92, 70, 54))
    leaf = shade(grass, float(rng.uniform(0.55, 0.85)))
    canvas.ellipse([x - radius, base - 3.0 * radius, x + radius, base - 0.9 * radius], fill=leaf)


def _overlap(one: _Box, other: _Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _frame(canvas: ImageDraw.ImageDraw, rng: np.random.Generator, size_px: int, place: _Box) -> None:
    left, top, right, bottom = (size_px * edge for edge in place)
    edge = size_px * 0.012
    canvas.rectangle([left, top, right, bottom], fill=_muted(rng, 0.35))
    canvas.rectangle([left + edge, top + edge, right - edge, bottom - edge], fill=_muted(rng, 0.85))
    width, height = right - left, bottom - top
    for _ in range(3):
        x, y = left + width * rng.uniform(0.15, 0.55), top + height * rng.uniform(0.15, 0.55)
        canvas.ellipse([x, y, x + 0.3 * width, y + 0.3 * height], fill=_muted(rng, rng.uniform(0.4, 0.9)))


def _window(canvas: ImageDraw.ImageDraw, rng: np.random.Generator, size_px: int, place: _Box) -> None:
    left, top, right, bottom = (size_px * edge for edge in place)
    line = max(2, size_px // 70)
    frame = from_hsv(rng.uniform(0, 1), 0.08, rng.uniform(0.8, 0.97))
    sky = from_hsv(rng.uniform(0.5, 0.62), 0.25, 0.95)
    canvas.rectangle([left, top, right, bottom], fill=sky, outline=frame, width=line)
    canvas.line([(left + right) / 2, top, (left + right) / 2, bottom], fill=frame, width=line)
    canvas.line([left, (top + bottom) / 2, right, (top + bottom) / 2], fill=frame, width=line)


def _books(canvas: ImageDraw.ImageDraw, rng: np.random.Generator, size_px: int, place: _Box) -> None:
    left, top, right, bottom = (size_px * edge for edge in place)
    canvas.rectangle([left, bottom - 0.015 * size_px, right, bottom], fill=_muted(rng, 0.4))
    x, base = left + 0.01 * size_px, bottom - 0.015 * size_px
    while x < right - 0.04 * size_px:
        width, height = size_px * rng.uniform(0.012, 0.03), (base - top) * rng.uniform(0.7, 1.0)
        canvas.rectangle([x, base - height, x + width, base], fill=_muted(rng, rng.uniform(0.35, 0.85)))
        x += width + 0.003 * size_px


def _plant(canvas: ImageDraw.ImageDraw, rng: np.random.Generator, size_px: int, horizon: float) -> None:
    x, y = size_px * rng.uniform(0.03, 0.97), size_px * min(horizon + rng.uniform(0.0, 0.12), 0.96)
    size = size_px * rng.uniform(0.08, 0.16)
    green = from_hsv(rng.uniform(0.25, 0.42), rng.uniform(0.35, 0.6), rng.uniform(0.3, 0.6))
    for angle in rng.uniform(-1.2, 1.2, size=8):
        tip = (x + 1.2 * size * np.sin(angle), y - 0.4 * size - 1.3 * size * np.cos(angle))
        side = 0.14 * size
        middle = (0.5 * (x + tip[0]), 0.5 * (y - 0.4 * size + tip[1]))
        points = [x, y - 0.4 * size, middle[0] - side, middle[1], *tip, middle[0] + side, middle[1]]
        canvas.polygon(points, fill=shade(green, float(rng.uniform(0.75, 1.15))))
    pot = [
        x - 0.3 * size,
        y - 0.45 * size,
        x + 0.3 * size,
        y - 0.45 * size,
        x + 0.22 * size,
        y,
        x - 0.22 * size,
        y,
    ]
    canvas.polygon(pot, fill=_muted(rng, 0.6))


def _lamp(canvas: ImageDraw.ImageDraw, rng: np.random.Generator, size_px: int, horizon: float) -> None:
    x, top = size_px * rng.uniform(0.05, 0.95), size_px * (horizon - rng.uniform(0.3, 0.42))
    size = size_px * rng.uniform(0.05, 0.09)
    canvas.line([x, top, x, size_px * (horizon + 0.02)], fill=_muted(rng, 0.4), width=max(1, size_px // 90))
    canvas.polygon(
        [x - 0.5 * size, top, x + 0.5 * size, top, x + size, top + size, x - size, top + size],
        fill=_muted(rng, 0.95),
    )


def _cushion(canvas: ImageDraw.ImageDraw, rng: np.random.Generator, size_px: int, horizon: float) -> None:
    x, y = size_px * rng.uniform(0.05, 0.95), size_px * rng.uniform(horizon, 0.97)
    width, height = size_px * rng.uniform(0.05, 0.12), size_px * rng.uniform(0.03, 0.06)
    canvas.ellipse([x - width, y - height, x + width, y + height], fill=_muted(rng, rng.uniform(0.4, 0.9)))


def _muted(rng: np.random.Generator, value: float) -> Colour:
    """Returns a colour of low saturation, so that objects are less prominent than the player."""
    return from_hsv(rng.uniform(0, 1), rng.uniform(0.05, 0.35), value)


# Width and height of the objects on a wall, as shares of the image.
_SIZES = {"_frame": (0.17, 0.2), "_window": (0.24, 0.32), "_books": (0.22, 0.11)}
