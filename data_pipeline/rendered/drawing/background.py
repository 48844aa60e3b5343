"""Draws backgrounds: a patterned wall and a floor, or a park, under uneven light; `scenery` adds objects."""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

from data_pipeline.rendered.drawing import scenery
from data_pipeline.rendered.drawing.pen import Colour, from_hsv, shade


def draw_background(rng: np.random.Generator, *, size_px: int, feet_y: float) -> Image.Image:
    """Draws a still background.

    Args:
        rng: Random generator of all choices.
        size_px: Side of the square image.
        feet_y: Vertical position of the player's feet as a share of the image; the floor begins above them.

    Returns:
        An RGB image: a textured wall and floor, or a meadow under a sky, with several distracting objects.
    """
    horizon = float(np.clip(feet_y - rng.uniform(0.02, 0.12), 0.3, 0.93))
    # Muted on purpose, as are the player's clothes, because instruments are recognised by their colours.
    wall = from_hsv(rng.uniform(0, 1), rng.uniform(0.02, 0.16), rng.uniform(0.55, 0.92))
    image = Image.fromarray(_gradient(rng, wall, size_px))
    canvas = ImageDraw.Draw(image)
    if rng.random() < 0.2:
        scenery.draw_park(canvas, rng, size_px, horizon)
    else:
        patterns: tuple[Callable[..., None], ...] = (_plain, _stripes, _tiles, _curtain, _dots)
        patterns[int(rng.integers(len(patterns)))](canvas, rng, wall, size_px)
        _floor(canvas, rng, size_px, horizon)
        scenery.furnish_room(canvas, rng, size_px, horizon)
    return Image.fromarray(_grain(rng, np.asarray(image)))


def _gradient(rng: np.random.Generator, colour: Colour, size_px: int) -> np.ndarray:
    """Returns (size, size, 3) uint8 of the colour, lighter towards one side."""
    axis = np.linspace(-1, 1, size_px, dtype=np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    slope = np.cos(angle) * axis[None, :] + np.sin(angle) * axis[:, None]
    light = 1 + rng.uniform(0.05, 0.2) * slope
    return np.clip(np.array(colour, dtype=np.float32) * light[..., None], 0, 255).astype(np.uint8)


def _grain(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """Multiplies the image by soft blotches and fine grain, like paint and light."""
    size_px = picture.shape[0]
    light = np.ones((size_px, size_px), dtype=np.float32)
    for cells, strength in ((6, 0.06), (24, 0.04), (128, 0.035)):
        blotches = Image.fromarray(rng.standard_normal((cells, cells), dtype=np.float32))
        light += strength * np.asarray(blotches.resize((size_px, size_px), Image.Resampling.BILINEAR))
    return np.clip(picture * light[..., None], 0, 255).astype(np.uint8)


def _plain(*_: object) -> None:
    """Leaves the gradient as it is."""


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


def _floor(canvas: ImageDraw.ImageDraw, rng: np.random.Generator, size_px: int, horizon: float) -> None:
    floor = from_hsv(rng.uniform(0.04, 0.14), rng.uniform(0.05, 0.18), rng.uniform(0.4, 0.72))
    top = horizon * size_px
    canvas.rectangle([0, top, size_px, size_px], fill=floor)
    for k in range(1, 5):
        y = top + (size_px - top) * (k / 5) ** 1.5
        canvas.line([0, y, size_px, y], fill=shade(floor, 0.85), width=max(1, size_px // 200))
    canvas.rectangle([0, top - 0.015 * size_px, size_px, top], fill=shade(floor, 1.4))
