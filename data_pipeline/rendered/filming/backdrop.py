"""Draws what stands behind the players: rooms, stages, gardens, studios, and lights out of focus."""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from data_pipeline.rendered.drawing.background import draw_background
from data_pipeline.rendered.drawing.pen import from_hsv
from data_pipeline.rendered.filming import furniture, textures
from data_pipeline.rendered.filming.shaded_pen import ShadedPen, Surfaces
from data_pipeline.rendered.filming.textures import Texture

# Texture images are made at half of the scene's resolution.
_COARSE = 2


def draw_backdrop(rng: np.random.Generator, surfaces: Surfaces, *, size_px: int, feet_y: float) -> Image.Image:
    """Draws a still background.

    Args:
        rng: Random generator of all choices.
        surfaces: Surfaces and light of the scene.
        size_px: Side of the square image.
        feet_y: Vertical position of the player's feet as a share of the image; it may lie outside.
    """
    horizon = float(np.clip(feet_y - rng.uniform(0.02, 0.14), 0.35, 1.1))
    make = _PLACES[int(rng.choice(len(_PLACES), p=_PROBABILITIES))]
    return make(rng, surfaces, size_px, horizon)


def _room(rng: np.random.Generator, surfaces: Surfaces, size_px: int, horizon: float) -> Image.Image:
    walls: tuple[Callable[[np.random.Generator, int], Texture], ...] = (
        textures.plaster,
        textures.plaster,
        textures.brick,
        textures.planks,
        textures.panes,
    )
    saturation = float(rng.beta(1.2, 4))
    image = _paint(walls[int(rng.integers(len(walls)))], rng, size_px, saturation, rng.uniform(0.25, 0.95))
    furniture.hang(_pen(image, surfaces), rng, size_px, horizon)
    if horizon < 1:
        _lay_floor(image, rng, horizon)
    furniture.place(lambda **placement: ShadedPen(image, surfaces, **placement), rng, size_px, horizon)
    return _light(image, rng, float(rng.uniform(0.1, 0.4)))


def _stage(rng: np.random.Generator, surfaces: Surfaces, size_px: int, horizon: float) -> Image.Image:
    """Draws a dark stage with curtains, beams of coloured light and loudspeakers."""
    image = _paint(textures.panes, rng, size_px, rng.uniform(0.2, 0.9), rng.uniform(0.04, 0.3))
    if horizon < 1:
        _lay_floor(image, rng, horizon)
    furniture.place(
        lambda **placement: ShadedPen(image, surfaces, **placement), rng, size_px, horizon, things=furniture.STAGE
    )
    beams = Image.new("RGB", image.size)
    canvas = ImageDraw.Draw(beams)
    for _ in range(int(rng.integers(1, 5))):
        x, target = size_px * rng.uniform(0, 1), size_px * rng.uniform(0, 1)
        width = size_px * rng.uniform(0.08, 0.25)
        colour = from_hsv(rng.random(), rng.uniform(0, 0.9), rng.uniform(0.25, 0.7))
        layer = Image.new("RGB", image.size)
        ImageDraw.Draw(layer).polygon([x, -9, target + width, size_px, target - width, size_px], fill=colour)
        beams = ImageChops.add(beams, layer)
        canvas = ImageDraw.Draw(beams)
        canvas.ellipse((x - 9, 0, x + 9, 14), fill=(255, 250, 235))
    return ImageChops.screen(image, beams.filter(ImageFilter.GaussianBlur(float(rng.uniform(4, 14)))))


def _garden(rng: np.random.Generator, surfaces: Surfaces, size_px: int, horizon: float) -> Image.Image:
    """Draws leaves or a sky with clouds above a meadow or pavement, with trunks of trees or a wall."""
    horizon = float(np.clip(horizon, 0.35, 0.9))
    if rng.random() < 0.5:
        image = _tinted(
            textures.foliage(rng, size_px // _COARSE), (0.2, 0.36), rng, 0.55, rng.uniform(0.25, 0.6), size_px
        )
    else:
        sky = 1 + 0.2 * np.maximum(textures.clouds(rng, size_px // _COARSE), 0)
        image = _tinted(sky, (0.52, 0.62), rng, rng.uniform(0.1, 0.5), rng.uniform(0.6, 0.9), size_px)
        strip = _tinted(textures.foliage(rng, size_px // _COARSE), (0.2, 0.4), rng, 0.4, 0.4, size_px)
        image.paste(strip, (0, int(size_px * (horizon - rng.uniform(0.05, 0.3)))))
    ground = textures.foliage if rng.random() < 0.6 else textures.plaster
    hue = (0.2, 0.33) if ground is textures.foliage else (0.05, 0.15)
    meadow = _tinted(ground(rng, size_px // _COARSE), hue, rng, rng.uniform(0.1, 0.5), rng.uniform(0.35, 0.7), size_px)
    image.paste(meadow, (0, int(size_px * horizon)))
    pen = _pen(image, surfaces)
    for _ in range(int(rng.integers(0, 4))):
        x, width = size_px * rng.uniform(0, 1), size_px * rng.uniform(0.02, 0.06)
        pen.line([(x, -20.0), (x + rng.uniform(-20, 20), size_px * horizon)], width, (86, 66, 50))
    return _light(image, rng, 0.3)


def _studio(rng: np.random.Generator, _: Surfaces, size_px: int, __: float) -> Image.Image:
    """Draws a plain wall: a gradient around a bright spot."""
    down, right = np.mgrid[0:size_px, 0:size_px].astype(np.float32) / size_px
    x, y, reach = rng.uniform(0, 1), rng.uniform(0, 1), rng.uniform(0.3, 1.2)
    spot = np.exp(-((right - x) ** 2 + (down - y) ** 2) / reach**2)
    low = rng.uniform(0.2, 1)
    colour = np.array(from_hsv(rng.random(), float(rng.beta(1, 3)), rng.uniform(0.05, 1)), dtype=np.float32)
    return Image.fromarray(np.clip(colour * (low + (1.1 - low) * spot)[..., None], 0, 255).astype(np.uint8))


def _bokeh(rng: np.random.Generator, _: Surfaces, size_px: int, __: float) -> Image.Image:
    """Draws blurred shapes and discs of light, far out of focus."""
    image = _abstract(rng, size_px)
    canvas = ImageDraw.Draw(image, "RGBA")
    for _k in range(int(rng.integers(4, 40))):
        x, y = size_px * rng.uniform(0, 1, 2)
        radius = size_px * rng.uniform(0.01, 0.05)
        colour = from_hsv(rng.uniform(0, 1), rng.uniform(0.1, 0.8), rng.uniform(0.6, 1))
        canvas.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(*colour, int(rng.integers(40, 160))))
    return image.filter(ImageFilter.GaussianBlur(float(rng.uniform(1, 4))))


def _abstract(rng: np.random.Generator, size_px: int) -> Image.Image:
    """Returns patches of colours that flow into each other, over a rough ground."""
    side = size_px // _COARSE
    base = np.array(from_hsv(rng.random(), rng.uniform(0, 0.6), rng.uniform(0.15, 0.8)), dtype=np.float32)
    noise = np.stack([textures.clouds(rng, side, octaves=4) for _ in range(3)], axis=2)
    grey = textures.clouds(rng, side, coarsest=4, rough=0.75)
    levels = base + rng.uniform(5, 25) * noise + rng.uniform(10, 40) * grey[..., None]
    image = Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8)).resize(
        (size_px, size_px), Image.Resampling.BICUBIC
    )
    canvas = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(0, 9))):
        x, y, width, height = size_px * rng.uniform(-0.2, 1, 4)
        colour = from_hsv(rng.random(), float(rng.beta(1, 3)), rng.uniform(0.05, 0.95))
        canvas.rectangle((x, y, x + abs(width), y + abs(height)), fill=colour)
    return image.filter(ImageFilter.GaussianBlur(float(rng.uniform(2, 12))))


def _drawn(rng: np.random.Generator, _: Surfaces, size_px: int, horizon: float) -> Image.Image:
    """Draws a background of the varieties without scenes."""
    return draw_background(rng, size_px=size_px, feet_y=horizon)


def _paint(
    make: Callable[[np.random.Generator, int], Texture],
    rng: np.random.Generator,
    size_px: int,
    saturation: float,
    value: float,
) -> Image.Image:
    return _tinted(make(rng, size_px // _COARSE), (0.0, 1.0), rng, saturation, value, size_px)


def _tinted(
    texture: Texture,
    hues: tuple[float, float],
    rng: np.random.Generator,
    saturation: float,
    value: float,
    size_px: int,
) -> Image.Image:
    """Returns a texture in a colour, enlarged to the scene."""
    colour = np.array(from_hsv(rng.uniform(*hues), saturation, value), dtype=np.float32)
    levels = np.clip(texture[..., None] * colour, 0, 255).astype(np.uint8)
    return Image.fromarray(levels).resize((size_px, size_px), Image.Resampling.BICUBIC)


def _lay_floor(image: Image.Image, rng: np.random.Generator, horizon: float) -> None:
    """Covers the part below the horizon with boards, carpet or stone in perspective."""
    size_px = image.width
    top = int(size_px * horizon)
    make = (textures.planks, textures.cloth, textures.plaster, textures.planks)[int(rng.integers(4))]
    hue = (0.03, 0.14) if rng.random() < 0.7 else (0.0, 1.0)
    floor = _tinted(make(rng, size_px // _COARSE), hue, rng, rng.uniform(0.05, 0.6), rng.uniform(0.2, 0.8), size_px)
    inset = 0.3 * size_px
    corners = (inset, 0, 0, size_px, size_px, size_px, size_px - inset, 0)
    floor = floor.transform((size_px, size_px - top), Image.Transform.QUAD, corners, Image.Resampling.BILINEAR)
    image.paste(floor, (0, top))
    edge = from_hsv(rng.random(), 0.1, rng.uniform(0.2, 0.95))
    ImageDraw.Draw(image).rectangle((0, top - 0.02 * size_px, size_px, top), fill=edge)


def _light(image: Image.Image, rng: np.random.Generator, strength: float) -> Image.Image:
    """Multiplies the image by soft light and shadow."""
    soft = textures.clouds(rng, 64, coarsest=2, octaves=2)
    levels = np.clip(210 * (1 + strength * soft), 40, 255).astype(np.uint8)
    veil = Image.fromarray(levels).resize(image.size, Image.Resampling.BICUBIC)
    return ImageChops.multiply(image, veil.convert("RGB"))


def _pen(image: Image.Image, surfaces: Surfaces) -> ShadedPen:
    """Returns a pen whose unit is a pixel of the image."""
    return ShadedPen(image, surfaces)


_PLACES = (_room, _stage, _garden, _studio, _bokeh, _drawn)
_PROBABILITIES = (0.48, 0.12, 0.12, 0.08, 0.1, 0.1)
