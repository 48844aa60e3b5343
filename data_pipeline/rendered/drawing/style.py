"""Drawing styles: functions that are applied in the same way to every frame of a solo."""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageChops, ImageEnhance, ImageFilter, ImageOps

Style = Callable[[Image.Image], Image.Image]


def _plain(_: np.random.Generator) -> Style:
    return lambda picture: picture


def _tinted(rng: np.random.Generator) -> Style:
    """Returns a style with another colour of light, contrast and saturation."""
    gains = np.exp2(rng.uniform(-0.4, 0.4, 3))
    bend = float(np.exp2(rng.uniform(-0.7, 0.7)))
    levels = np.arange(256) / 255
    table = np.concatenate([np.clip(gain * levels**bend, 0, 1) * 255 for gain in gains]).round().astype(int).tolist()
    saturation = float(rng.uniform(0.3, 1.5))
    return lambda picture: ImageEnhance.Color(picture).enhance(saturation).point(table)


def _grey(rng: np.random.Generator) -> Style:
    """Returns a style without colours, or in sepia."""
    if rng.random() < 0.5:
        return lambda picture: ImageOps.grayscale(picture).convert("RGB")
    return lambda picture: ImageOps.colorize(ImageOps.grayscale(picture), (40, 26, 13), (255, 240, 214))


def _blurred(rng: np.random.Generator) -> Style:
    """Returns a style that is out of focus."""
    radius = float(rng.uniform(0.8, 2.2))
    return lambda picture: picture.filter(ImageFilter.GaussianBlur(radius))


def _grainy(rng: np.random.Generator) -> Style:
    """Returns a style with a camera's noise in the dark, equal in every frame, and less contrast."""
    strength, contrast = rng.uniform(8, 24), float(rng.uniform(0.5, 0.9))
    seed = int(rng.integers(2**32))

    def style(picture: Image.Image) -> Image.Image:
        noise = np.random.default_rng(seed).normal(0, strength, (picture.height, picture.width, 1))
        values = np.asarray(ImageEnhance.Contrast(picture).enhance(contrast), dtype=np.float32) + noise
        return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))

    return style


def _sketched(rng: np.random.Generator) -> Style:
    """Returns a style of pencil lines on paper, with a little of the colours."""
    colour = float(rng.uniform(0.0, 0.35))

    def style(picture: Image.Image) -> Image.Image:
        lines = ImageOps.invert(ImageOps.grayscale(picture).filter(ImageFilter.FIND_EDGES))
        drawn = ImageOps.autocontrast(lines, cutoff=(4, 0)).convert("RGB")
        return Image.blend(drawn, ImageChops.multiply(drawn, picture), colour)

    return style


def _posterised(rng: np.random.Generator) -> Style:
    """Returns a style with few colours, hard edges and large grains."""
    bits, cell = int(rng.integers(2, 4)), int(rng.integers(2, 4))

    def style(picture: Image.Image) -> Image.Image:
        small = picture.resize((picture.width // cell, picture.height // cell), Image.Resampling.BOX)
        return ImageOps.posterize(small, bits).resize(picture.size, Image.Resampling.NEAREST)

    return style


def _night(rng: np.random.Generator) -> Style:
    """Returns a blue and dark style, brighter around one position."""
    x, y, reach = rng.uniform(0.3, 0.7), rng.uniform(0.3, 0.7), rng.uniform(0.35, 0.6)
    dark = rng.uniform(0.1, 0.3)

    def style(picture: Image.Image) -> Image.Image:
        down, right = np.mgrid[0 : picture.height, 0 : picture.width] / picture.height
        light = dark + (1 - dark) * np.exp(-((down - y) ** 2 + (right - x) ** 2) / reach**2)
        values = np.asarray(picture, dtype=np.float32) * light[..., None] * (0.55, 0.65, 1.0)
        return Image.fromarray(values.astype(np.uint8))

    return style


STYLES: dict[str, Callable[[np.random.Generator], Style]] = {
    "plain": _plain,
    "tinted": _tinted,
    "grey": _grey,
    "blurred": _blurred,
    "grainy": _grainy,
    "sketched": _sketched,
    "posterised": _posterised,
    "night": _night,
}


def choose_style(names: tuple[str, ...], rng: np.random.Generator) -> tuple[str, Style]:
    """Draws one of the named styles and its strength.

    Returns:
        The name, and a function from RGB images of any size to RGB images.
    """
    name = names[int(rng.integers(len(names)))]
    return name, STYLES[name](rng)
