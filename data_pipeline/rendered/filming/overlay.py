"""Puts bars, captions and logos over the frames."""

import dataclasses

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from data_pipeline.rendered.drawing.pen import from_hsv
from data_pipeline.rendered.filming.camera import Edges
from data_pipeline.rendered.filming.ranges import SceneRanges

_SYLLABLES = ("la", "mo", "ri", "ten", "so", "ka", "be", "lun", "di", "ar", "no", "vi", "sol", "ta", "er", "us")
_WHOLE: Edges = (0.0, 0.0, 1.0, 1.0)


@dataclasses.dataclass(frozen=True)
class Overlay:
    """What lies over every frame of a solo.

    Attributes:
        layer: RGBA image of the frame's size; None for nothing.
        opening: Part of the frame that no bar hides, (left, top, right, bottom) in shares of the frame.
    """

    layer: Image.Image | None
    opening: Edges


def choose_overlay(rng: np.random.Generator, ranges: SceneRanges, *, size_px: int) -> Overlay:
    """Draws bars, a caption or a logo, or nothing.

    Args:
        rng: Random generator.
        ranges: Probabilities and sizes.
        size_px: Side of the frame.
    """
    layer = Image.new("RGBA", (size_px, size_px))
    opening = _WHOLE
    with_bars, with_text = rng.random() < ranges.bars, rng.random() < ranges.caption
    if with_text:
        (_draw_logo if rng.random() < 0.4 else _draw_caption)(layer, rng)
    if with_bars:
        opening = _draw_bars(layer, rng, float(rng.uniform(*ranges.bar_width)))
    return Overlay(layer if with_bars or with_text else None, opening)


def _draw_bars(layer: Image.Image, rng: np.random.Generator, width: float) -> Edges:
    size_px = layer.width
    edge = round(width * size_px)
    width = edge / size_px
    colour = (0, 0, 0, 255) if rng.random() < 0.8 else (*from_hsv(rng.random(), 0.2, rng.uniform(0.05, 0.9)), 255)
    canvas = ImageDraw.Draw(layer)
    far = size_px - edge
    if rng.random() < 0.5:
        for top in (0, far):
            canvas.rectangle((0, top, size_px, top + edge - 1), fill=colour)
        return 0.0, width, 1.0, 1 - width
    for left in (0, far):
        canvas.rectangle((left, 0, left + edge - 1, size_px), fill=colour)
    return width, 0.0, 1 - width, 1.0


def _draw_caption(layer: Image.Image, rng: np.random.Generator) -> None:
    size_px = layer.width
    font = ImageFont.load_default(float(rng.uniform(10, 22)))
    words = ["".join(rng.choice(_SYLLABLES, int(rng.integers(1, 4)))) for _ in range(int(rng.integers(1, 5)))]
    text = " ".join(words).title() if rng.random() < 0.5 else " ".join(words)
    canvas = ImageDraw.Draw(layer)
    x, y = size_px * rng.uniform(0.03, 0.3), size_px * (rng.uniform(0.8, 0.9) if rng.random() < 0.8 else 0.04)
    left, top, right, bottom = canvas.textbbox((x, y), text, font=font)
    if rng.random() < 0.5:
        ground = (*from_hsv(rng.random(), rng.uniform(0, 0.8), rng.uniform(0, 0.6)), int(rng.integers(110, 256)))
        canvas.rectangle((left - 4, top - 3, right + 4, bottom + 3), fill=ground)
    canvas.text(
        (x, y),
        text,
        font=font,
        fill=(255, 255, int(rng.choice([255, 120])), 255),
        stroke_width=1,
        stroke_fill=(0, 0, 0, 255),
    )


def _draw_logo(layer: Image.Image, rng: np.random.Generator) -> None:
    size_px = layer.width
    canvas = ImageDraw.Draw(layer)
    radius = size_px * rng.uniform(0.03, 0.07)
    x, y = (size_px * (rng.uniform(0.07, 0.14) if low else rng.uniform(0.86, 0.93)) for low in rng.integers(0, 2, 2))
    alpha = int(rng.integers(120, 256))
    for share in (1.0, 0.6):
        colour = (*from_hsv(rng.random(), rng.uniform(0, 0.9), rng.uniform(0.3, 1)), alpha)
        reach = share * radius
        shape = (x - reach, y - reach, x + reach, y + reach)
        (canvas.ellipse if rng.random() < 0.5 else canvas.rectangle)(shape, fill=colour)
