"""A pen that draws shapes as lit bodies with the surface of their material, instead of in flat colours."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from data_pipeline.rendered.drawing.pen import Colour, Pen, Point, shade, smooth
from data_pipeline.rendered.filming import textures
from data_pipeline.rendered.filming.textures import Texture

_SIDE_PX = 160
# Shapes smaller than this have one colour.
_LEAST_PX = 7
_MIDDLE = 110
# Sizes and colours of shapes are rounded to these steps, so that their surfaces can be used again.
_STEP_PX = 8
_STEP_LEVELS = 6
_MOST_PIECES = 300
_MATERIALS: dict[str, Callable[[np.random.Generator, int], Texture]] = {
    "wood": textures.wood,
    "metal": textures.metal,
    "lacquer": textures.lacquer,
    "cloth": textures.cloth,
}
MATERIAL_OF = {
    "accordion": "lacquer",
    "acoustic_guitar": "wood",
    "cello": "wood",
    "clarinet": "lacquer",
    "erhu": "wood",
    "flute": "metal",
    "saxophone": "metal",
    "trumpet": "metal",
    "tuba": "metal",
    "violin": "wood",
    "xylophone": "wood",
}
# Width (share of the shape's), shift towards the light (share of it) and brightness of the layers of a round body.
_LAYERS = {
    "matt": ((1.0, 0.0, 0.72), (0.74, 0.09, 1.0), (0.34, 0.2, 1.14)),
    "glossy": ((1.0, 0.0, 0.5), (0.8, 0.06, 0.95), (0.5, 0.15, 1.25), (0.16, 0.24, 1.85)),
}


@dataclasses.dataclass(frozen=True)
class Surfaces:
    """Surfaces and light of one scene.

    Attributes:
        tiles: Material -> grey image whose level `_MIDDLE` leaves a colour as it is.
        light: (x, y) direction towards the light, of length 1, in the frame.
    """

    tiles: dict[str, Image.Image]
    light: tuple[float, float]
    _cache: dict[tuple[str, Colour, int, int], Image.Image] = dataclasses.field(default_factory=dict)

    def cut(self, material: str, fill: Colour, size: tuple[int, int]) -> Image.Image:
        """Returns a piece of a surface in a colour, of the size or up to `_STEP_PX` larger.

        Most shapes have the same size and colour in many frames, so pieces are kept.
        """
        width, height = (-(-side // _STEP_PX) * _STEP_PX for side in size)
        red, green, blue = (min((c + _STEP_LEVELS // 2) // _STEP_LEVELS * _STEP_LEVELS, 255) for c in fill)
        key = (material, (red, green, blue), width, height)
        if key not in self._cache:
            if len(self._cache) >= _MOST_PIECES:
                self._cache.clear()
            levels = self.tiles[material].resize((width, height), Image.Resampling.BILINEAR)
            self._cache[key] = coloured(levels, (red, green, blue))
        return self._cache[key]


def choose_surfaces(rng: np.random.Generator) -> Surfaces:
    """Draws the surfaces of all materials, and the direction of the light, which comes from above."""
    tiles: dict[str, Image.Image] = {}
    for name, make in _MATERIALS.items():
        strength = float(rng.uniform(0.5, 1.3))
        down, right = np.mgrid[0:_SIDE_PX, 0:_SIDE_PX].astype(np.float32) / _SIDE_PX - 0.5
        angle = rng.uniform(0, 2 * np.pi)
        slope = 1 + 0.35 * strength * (np.cos(angle) * right + np.sin(angle) * down)
        levels = _MIDDLE * slope * (1 + strength * (make(rng, _SIDE_PX) - 1))
        tile = Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8))
        tiles[name] = tile.rotate(90, expand=True) if rng.random() < 0.5 else tile
    side = float(rng.uniform(-0.9, 0.9))
    return Surfaces(tiles, (side, -float(np.sqrt(1 - side**2))))


class ShadedPen(Pen):
    """A pen whose shapes have shadows, highlights and textures.

    Attributes:
        material: Material of the next shapes that do not belong to a person.
    """

    def __init__(
        self, image: Image.Image | None, surfaces: Surfaces, *, material: str = "wood", **placement: Any
    ) -> None:
        """Creates a pen.

        Args:
            image: Image to draw on; None only measures.
            surfaces: Surfaces and light of the scene.
            material: Material of shapes that do not belong to a person.
            **placement: Position and size, see `Pen`.
        """
        super().__init__(ImageDraw.Draw(image) if image else None, image=image, **placement)
        self._surfaces = surfaces
        self.material = material

    def tube(self, points: Sequence[Point] | np.ndarray, widths: Sequence[float], fill: Colour) -> None:
        """Draws a round tube whose width changes along a smooth line through the points."""
        line = smooth(points)
        path = self.to_pixels(line)
        places = np.linspace(0, len(widths) - 1, len(path))
        width = np.interp(places, np.arange(len(widths)), np.array(widths))
        tangent = np.gradient(path, axis=0)
        tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-9)
        normal = np.stack([-tangent[:, 1], tangent[:, 0]], axis=1)
        self._place(line, float(width.max()) / 2)
        if self._canvas is None or self._is_left_out:
            return
        width_px = width[:, None] * self.unit_px
        lit = normal @ np.array(self._surfaces.light)
        for share, shift, tone in self._layers():
            middle = path + normal * (lit[:, None] * shift * width_px)
            outline = np.concatenate(
                [middle + normal * share / 2 * width_px, (middle - normal * share / 2 * width_px)[::-1]]
            )
            self._canvas.polygon(outline.ravel().tolist(), fill=shade(fill, tone))

    def _fill_polygon(self, canvas: ImageDraw.ImageDraw, pixels: np.ndarray, fill: Colour) -> None:
        low = np.floor(pixels.min(axis=0)).astype(int)
        high = np.ceil(pixels.max(axis=0)).astype(int) + 1
        image = self._image
        assert image is not None
        shown_low, shown_high = np.maximum(low, 0), np.minimum(high, image.size)
        if (shown_high <= shown_low).any():
            return
        if (high - low).min() < _LEAST_PX:
            canvas.polygon(pixels.ravel().tolist(), fill=fill)
            return
        material = "cloth" if self.of_person else self.material
        surface = self._surfaces.cut(material, fill, (int(high[0] - low[0]), int(high[1] - low[1])))
        if (shown_low > low).any() or (shown_high < high).any():
            surface = surface.crop((*(shown_low - low).tolist(), *(shown_high - low).tolist()))
        size = (int(shown_high[0] - shown_low[0]), int(shown_high[1] - shown_low[1]))
        mask = Image.new("L", size)
        ImageDraw.Draw(mask).polygon((pixels - shown_low).ravel().tolist(), fill=255)
        corner = (int(shown_low[0]), int(shown_low[1]))
        image.paste(surface.crop((0, 0, *size)), corner, mask)

    def _draw_line(self, canvas: ImageDraw.ImageDraw, pixels: np.ndarray, width_px: int, fill: Colour) -> None:
        if width_px < _LEAST_PX:
            super()._draw_line(canvas, pixels, width_px, fill)
            return
        x, y = self._surfaces.light
        points = pixels.tolist()
        for layer, (share, shift, tone) in enumerate(self._layers()):
            part_px = max(1, round(share * width_px))
            if layer == 0:
                super()._draw_line(canvas, pixels, part_px, shade(fill, tone))
                continue
            dx, dy = shift * width_px * x, shift * width_px * y
            canvas.line([(px + dx, py + dy) for px, py in points], shade(fill, tone), part_px, "curve")

    def _draw_disc(
        self, canvas: ImageDraw.ImageDraw, centre: Point, radius_px: float, fill: Colour, edge: Colour | None
    ) -> None:
        if 2 * radius_px < _LEAST_PX:
            super()._draw_disc(canvas, centre, radius_px, fill, edge)
            return
        (x, y), (light_x, light_y) = centre, self._surfaces.light
        for share, shift, tone in self._layers():
            reach, away = share * radius_px, 2 * shift * radius_px
            middle_x, middle_y = x + away * light_x, y + away * light_y
            corners = (middle_x - reach, middle_y - reach, middle_x + reach, middle_y + reach)
            canvas.ellipse(corners, fill=shade(fill, tone))

    def _layers(self) -> tuple[tuple[float, float, float], ...]:
        glossy = not self.of_person and self.material in ("metal", "lacquer")
        return _LAYERS["glossy" if glossy else "matt"]


def coloured(levels: Image.Image, colour: Colour) -> Image.Image:
    """Returns a grey texture in a colour; the level `_MIDDLE` gives the colour itself, higher ones go towards white."""
    step = np.arange(256)[:, None] / _MIDDLE
    table = np.where(step < 1, np.array(colour) * step, np.minimum(np.array(colour) + 60 * (step - 1), 255))
    return Image.fromarray(table.astype(np.uint8)[np.asarray(levels)])
