"""Backgrounds: a wall and a floor or a park, with things in them that are no instruments."""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

from data_pipeline.rendered.pen import Colour, from_hsv, shade


def draw_background(rng: np.random.Generator, *, size_px: int) -> Image.Image:
    """Draws a still background.

    Args:
        rng: source of every choice.
        size_px: side of the square picture.

    Returns:
        An RGB picture: a textured wall and floor, or a meadow under a sky, with two to five distracting things.
    """
    wall = from_hsv(rng.uniform(0, 1), rng.uniform(0.06, 0.4), rng.uniform(0.5, 0.92))
    horizon = rng.uniform(0.62, 0.85)
    image = Image.fromarray(_gradient(rng, wall, size_px))
    canvas = ImageDraw.Draw(image)
    patterns: tuple[Callable[..., None], ...] = (_plain, _stripes, _tiles, _curtain, _dots, _park)
    pattern = patterns[int(rng.integers(len(patterns)))]
    pattern(canvas, rng, wall, size_px)
    if pattern is not _park:
        _floor(canvas, rng, size_px, horizon)
    things: tuple[Callable[..., None], ...] = (_frame, _plant, _lamp, _cushion, _window, _books, _frame, _plant)
    for _ in range(int(rng.integers(2, 6))):
        things[int(rng.integers(len(things)))](canvas, rng, size_px, horizon)
    return Image.fromarray(_grain(rng, np.asarray(image)))


def _gradient(rng: np.random.Generator, colour: Colour, size_px: int) -> np.ndarray:
    """(size, size, 3) uint8: the colour, lighter towards one side."""
    axis = np.linspace(-1, 1, size_px, dtype=np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    slope = np.cos(angle) * axis[None, :] + np.sin(angle) * axis[:, None]
    light = 1 + rng.uniform(0.05, 0.2) * slope
    return np.clip(np.array(colour, dtype=np.float32) * light[..., None], 0, 255).astype(np.uint8)


def _grain(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """Multiplies with soft blotches and fine grain, like paint and light."""
    size_px = picture.shape[0]
    light = np.ones((size_px, size_px), dtype=np.float32)
    for cells, strength in ((6, 0.06), (24, 0.04), (128, 0.05)):
        blotches = Image.fromarray(rng.standard_normal((cells, cells), dtype=np.float32))
        light += strength * np.asarray(blotches.resize((size_px, size_px), Image.Resampling.BILINEAR))
    return np.clip(picture * light[..., None], 0, 255).astype(np.uint8)


def _plain(*_: object) -> None:
    """A painted wall: the gradient alone."""


def _stripes(canvas: ImageDraw.ImageDraw, rng: np.random.Generator, wall: Colour, size_px: int) -> None:
    width = size_px * rng.uniform(0.03, 0.09)
    colour = shade(wall, float(rng.choice([0.88, 1.25])))
    slant = size_px * float(rng.choice([0.0, 0.0, 0.5]))
    for k in range(-20, 40):
        x = 2 * k * width
        canvas.polygon([x, 0, x + width, 0, x + width - slant, size_px, x - slant, size_px], fill=colour)


def _tiles(canvas: ImageDraw.ImageDraw, rng: np.random.Generator, wall: Colour, size_px: int) -> None:
    width, height = size_px * rng.uniform(0.08, 0.16), size_px * rng.uniform(0.05, 0.12)
    colour = shade(wall, 0.85)
    line = max(1, size_px // 200)
    for row in range(int(size_px / height) + 1):
        canvas.line([0, row * height, size_px, row * height], fill=colour, width=line)
        for column in range(-1, int(size_px / width) + 1):
            x = (column + 0.5 * (row % 2)) * width
            canvas.line([x, row * height, x, (row + 1) * height], fill=colour, width=line)


def _curtain(canvas: ImageDraw.ImageDraw, rng: np.random.Generator, wall: Colour, size_px: int) -> None:
    folds = rng.uniform(6, 14)
    step = max(1, size_px // 128)
    for x in range(0, size_px, step):
        light = 1 + 0.16 * np.sin(2 * np.pi * folds * x / size_px + 0.7 * np.sin(9 * x / size_px))
        canvas.rectangle([x, 0, x + step, size_px], fill=shade(wall, float(light)))


def _dots(canvas: ImageDraw.ImageDraw, rng: np.random.Generator, wall: Colour, size_px: int) -> None:
    step, radius = size_px * rng.uniform(0.07, 0.12), size_px * rng.uniform(0.01, 0.022)
    colour = shade(wall, float(rng.choice([0.85, 1.3])))
    for row in range(int(size_px / step) + 1):
        for column in range(int(size_px / step) + 2):
            x, y = (column - 0.5 * (row % 2)) * step, (row + 0.5) * step
            canvas.ellipse([x - radius, y - radius, x + radius, y + radius], fill=colour)


def _park(canvas: ImageDraw.ImageDraw, rng: np.random.Generator, wall: Colour, size_px: int) -> None:
    sky = from_hsv(rng.uniform(0.52, 0.6), rng.uniform(0.15, 0.4), rng.uniform(0.8, 0.97))
    grass = from_hsv(rng.uniform(0.22, 0.34), rng.uniform(0.3, 0.55), rng.uniform(0.5, 0.75))
    canvas.rectangle([0, 0, size_px, size_px], fill=sky)
    horizon = size_px * rng.uniform(0.5, 0.7)
    hill = size_px * rng.uniform(0.3, 0.7)
    canvas.ellipse([hill - size_px, horizon - 0.12 * size_px, hill + 0.6 * size_px, 1.5 * size_px], fill=shade(grass, 0.85))
    canvas.rectangle([0, horizon, size_px, size_px], fill=grass)
    for _ in range(int(rng.integers(2, 6))):
        x, radius = size_px * rng.uniform(0, 1), size_px * rng.uniform(0.05, 0.1)
        canvas.rectangle([x - 0.15 * radius, horizon - radius, x + 0.15 * radius, horizon + 0.4 * radius], fill=shade(wall, 0.5))
        leaf = shade(grass, float(rng.uniform(0.55, 0.85)))
        canvas.ellipse([x - radius, horizon - 2.6 * radius, x + radius, horizon - 0.5 * radius], fill=leaf)


def _floor(canvas: ImageDraw.ImageDraw, rng: np.random.Generator, size_px: int, horizon: float) -> None:
    floor = from_hsv(rng.uniform(0.04, 0.14), rng.uniform(0.1, 0.35), rng.uniform(0.4, 0.72))
    top = horizon * size_px
    canvas.rectangle([0, top, size_px, size_px], fill=floor)
    for k in range(1, 5):
        y = top + (size_px - top) * (k / 5) ** 1.5
        canvas.line([0, y, size_px, y], fill=shade(floor, 0.85), width=max(1, size_px // 200))
    canvas.rectangle([0, top - 0.015 * size_px, size_px, top], fill=shade(floor, 1.4))


def _frame(canvas: ImageDraw.ImageDraw, rng: np.random.Generator, size_px: int, horizon: float) -> None:
    x, y = size_px * rng.uniform(0, 0.85), size_px * rng.uniform(0, horizon - 0.3)
    width, height = size_px * rng.uniform(0.1, 0.24, size=2)
    edge = size_px * 0.012
    canvas.rectangle([x, y, x + width, y + height], fill=_muted(rng, 0.35))
    canvas.rectangle([x + edge, y + edge, x + width - edge, y + height - edge], fill=_muted(rng, 0.85))
    for _ in range(3):
        left, top = x + width * rng.uniform(0.15, 0.55), y + height * rng.uniform(0.15, 0.55)
        shape = [left, top, left + 0.3 * width, top + 0.3 * height]
        canvas.ellipse(shape, fill=_muted(rng, rng.uniform(0.4, 0.9)))


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
    pot = [x - 0.3 * size, y - 0.45 * size, x + 0.3 * size, y - 0.45 * size, x + 0.22 * size, y, x - 0.22 * size, y]
    canvas.polygon(pot, fill=_muted(rng, 0.6))


def _lamp(canvas: ImageDraw.ImageDraw, rng: np.random.Generator, size_px: int, horizon: float) -> None:
    x, top = size_px * rng.uniform(0.05, 0.95), size_px * rng.uniform(0.1, 0.4)
    size = size_px * rng.uniform(0.05, 0.09)
    canvas.line([x, top, x, size_px * horizon], fill=_muted(rng, 0.4), width=max(1, size_px // 90))
    canvas.polygon([x - 0.5 * size, top, x + 0.5 * size, top, x + size, top + size, x - size, top + size], fill=_muted(rng, 0.95))


def _cushion(canvas: ImageDraw.ImageDraw, rng: np.random.Generator, size_px: int, horizon: float) -> None:
    x, y = size_px * rng.uniform(0.05, 0.95), size_px * rng.uniform(horizon, 0.97)
    width, height = size_px * rng.uniform(0.05, 0.12), size_px * rng.uniform(0.03, 0.06)
    canvas.ellipse([x - width, y - height, x + width, y + height], fill=_muted(rng, rng.uniform(0.4, 0.9)))


def _window(canvas: ImageDraw.ImageDraw, rng: np.random.Generator, size_px: int, horizon: float) -> None:
    x, y = size_px * rng.uniform(0, 0.7), size_px * rng.uniform(0.02, 0.2)
    width, height = size_px * rng.uniform(0.18, 0.28), size_px * min(rng.uniform(0.22, 0.36), horizon - 0.25)
    canvas.rectangle([x, y, x + width, y + height], fill=from_hsv(rng.uniform(0.5, 0.62), 0.25, 0.95))
    line = max(2, size_px // 70)
    frame = _muted(rng, 0.97)
    canvas.rectangle([x, y, x + width, y + height], outline=frame, width=line)
    canvas.line([x + width / 2, y, x + width / 2, y + height], fill=frame, width=line)
    canvas.line([x, y + height / 2, x + width, y + height / 2], fill=frame, width=line)


def _books(canvas: ImageDraw.ImageDraw, rng: np.random.Generator, size_px: int, horizon: float) -> None:
    x, base = size_px * rng.uniform(0, 0.75), size_px * rng.uniform(0.2, horizon - 0.1)
    canvas.rectangle([x, base, x + 0.24 * size_px, base + 0.015 * size_px], fill=_muted(rng, 0.4))
    place = x + 0.01 * size_px
    while place < x + 0.2 * size_px:
        width, height = size_px * rng.uniform(0.012, 0.03), size_px * rng.uniform(0.07, 0.11)
        canvas.rectangle([place, base - height, place + width, base], fill=_muted(rng, rng.uniform(0.35, 0.85)))
        place += width + 0.003 * size_px


def _muted(rng: np.random.Generator, value: float) -> Colour:
    """A colour of little saturation, so that things stay behind the player."""
    return from_hsv(rng.uniform(0, 1), rng.uniform(0.05, 0.35), value)
