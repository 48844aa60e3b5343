"""Draws shapes in a figure's own coordinates and records which part of the frame they cover."""

import colorsys
from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image, ImageDraw

Colour = tuple[int, int, int]
Point = tuple[float, float]
# Position of a figure's feet, in figure units below its chest.
FLOOR_Y = 1.25
# Width of the line around a shape, in figure units.
_EDGE = 0.022


def shade(colour: Colour, factor: float) -> Colour:
    """Darkens a colour (factor below 1) or lightens it towards white (above 1; 2 is white)."""
    if factor <= 1:
        red, green, blue = (round(c * factor) for c in colour)
    else:
        red, green, blue = (round(c + (255 - c) * min(factor - 1, 1)) for c in colour)
    return red, green, blue


def from_hsv(hue: float, saturation: float, value: float) -> Colour:
    """Returns a colour from hue (turns), saturation and value (0 to 1)."""
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, min(max(saturation, 0), 1), min(max(value, 0), 1))
    return round(255 * red), round(255 * green), round(255 * blue)


class Pen:
    """A pen in figure coordinates: x to the right, y down; the unit is about the length of a player's arm.

    Attributes:
        of_person: Whether the next shapes belong to a person, and not to an instrument.
    """

    def __init__(
        self,
        canvas: ImageDraw.ImageDraw | None,
        *,
        image: Image.Image | None = None,
        origin_px: Point = (0.0, 0.0),
        unit_px: float = 1.0,
        angle: float = 0.0,
        mirror: bool = False,
        lean: float = 0.0,
        instrument_only: bool = False,
    ) -> None:
        """Creates a pen.

        Args:
            canvas: Canvas to draw on; None only measures.
            image: Image of the canvas, for `paste`.
            origin_px: Position of the figure's origin, in pixels.
            unit_px: Pixels per figure unit.
            angle: Tilt of the figure in radians, clockwise.
            mirror: Whether left and right are swapped.
            lean: How far the figure leans to the right per unit above the floor; the feet stay.
            instrument_only: Whether shapes of persons are left out.
        """
        self.of_person = False
        self._instrument_only = instrument_only
        self._canvas = canvas
        self._image = image
        self._unit_px = unit_px
        self._offset = np.array(origin_px, dtype=float)
        flip = -1.0 if mirror else 1.0
        cos, sin = np.cos(angle) * unit_px, np.sin(angle) * unit_px
        turn = np.array([[flip * cos, flip * sin], [-sin, cos]])
        self._matrix = np.array([[1.0, 0.0], [-lean, 1.0]]) @ turn
        self._offset += np.array([lean * FLOOR_Y, 0.0]) @ turn
        self._reached: list[np.ndarray] = []
        self._margins_px: list[float] = []
        self._reached_by_person: list[bool] = []

    def polygon(self, points: Sequence[Point] | np.ndarray, fill: Colour, edge: Colour | None = None) -> None:
        """Fills a polygon, with a thin outline when an edge colour is given."""
        pixels = self._place(points, 0.0)
        if self._canvas is None or self._is_left_out:
            return
        self._fill_polygon(self._canvas, pixels, fill)
        if edge is not None:
            flat = pixels.ravel().tolist()
            width = max(1, round(_EDGE * self._unit_px))
            self._canvas.line([*flat, *flat[:4]], fill=edge, width=width, joint="curve")

    def line(self, points: Sequence[Point] | np.ndarray, width: float, fill: Colour) -> None:
        """Draws a line with round ends and joints; the width is in figure units."""
        pixels = self._place(points, width / 2)
        if self._canvas is not None and not self._is_left_out:
            self._draw_line(self._canvas, pixels, max(1, round(width * self._unit_px)), fill)

    def disc(self, centre: Point, radius: float, fill: Colour, edge: Colour | None = None) -> None:
        """Fills a circle, with a thin outline when an edge colour is given."""
        x, y = self._place([centre], radius)[0].tolist()
        if self._canvas is not None and not self._is_left_out:
            self._draw_disc(self._canvas, (x, y), radius * self._unit_px, fill, edge)

    def tube(self, points: Sequence[Point] | np.ndarray, widths: Sequence[float], fill: Colour) -> None:
        """Fills a tube whose width changes along a smooth line through the points."""
        path = smooth(points)
        places = np.linspace(0, len(widths) - 1, len(path))
        half = np.interp(places, np.arange(len(widths)), np.array(widths)) / 2
        tangent = np.gradient(path, axis=0)
        tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-9)
        normal = np.stack([-tangent[:, 1], tangent[:, 0]], axis=1) * half[:, None]
        self.polygon(np.concatenate([path + normal, (path - normal)[::-1]]), fill)

    def paste(self, picture: Image.Image, outline: np.ndarray, transform: np.ndarray) -> None:
        """Draws an RGBA image, transformed to figure coordinates.

        Args:
            picture: RGBA image.
            outline: (points, 2) positions in the image, in pixels, whose extent is that of its visible part.
            transform: (3, 2) matrix from (x, y, 1) in the image to figure coordinates.
        """
        corners = self._place(outline @ transform[:2] + transform[2], 0.0)
        if self._image is None:
            return
        matrix = transform[:2] @ self._matrix
        offset = transform[2] @ self._matrix + self._offset
        low = np.maximum(np.floor(corners.min(axis=0)).astype(int) - 1, 0)
        high = np.minimum(np.ceil(corners.max(axis=0)).astype(int) + 1, self._image.size)
        if (high <= low).any():
            return
        back = np.linalg.inv(matrix)
        shift = (low - offset) @ back
        coefficients = (back[0, 0], back[1, 0], shift[0], back[0, 1], back[1, 1], shift[1])
        size = (int(high[0] - low[0]), int(high[1] - low[1]))
        placed = picture.transform(size, Image.Transform.AFFINE, coefficients, Image.Resampling.BICUBIC)
        self._image.paste(placed, (int(low[0]), int(low[1])), placed)

    def to_pixels(self, points: Sequence[Point] | np.ndarray) -> np.ndarray:
        """Converts points in figure coordinates to pixels, (points, 2)."""
        return np.asarray(points, dtype=float) @ self._matrix + self._offset

    def _place(self, points: Sequence[Point] | np.ndarray, margin: float) -> np.ndarray:
        pixels = self.to_pixels(points)
        if not self._is_left_out:
            self._reached.append(pixels)
            self._margins_px.append(margin * self._unit_px)
            self._reached_by_person.append(self.of_person)
        return pixels

    @property
    def _is_left_out(self) -> bool:
        return self._instrument_only and self.of_person

    def _fill_polygon(self, canvas: ImageDraw.ImageDraw, pixels: np.ndarray, fill: Colour) -> None:
        canvas.polygon(pixels.ravel().tolist(), fill=fill)

    def _draw_line(self, canvas: ImageDraw.ImageDraw, pixels: np.ndarray, width_px: int, fill: Colour) -> None:
        canvas.line(pixels.ravel().tolist(), fill=fill, width=width_px, joint="curve")
        if width_px > 3:
            radius = width_px / 2 - 0.5
            for x, y in (pixels[0], pixels[-1]):
                canvas.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)

    def _draw_disc(
        self, canvas: ImageDraw.ImageDraw, centre: Point, radius_px: float, fill: Colour, edge: Colour | None
    ) -> None:
        x, y = centre
        width = max(1, round(_EDGE * self._unit_px))
        corners = (x - radius_px, y - radius_px, x + radius_px, y + radius_px)
        canvas.ellipse(corners, fill=fill, outline=edge, width=width)

    @property
    def unit_px(self) -> float:
        """Pixels per figure unit."""
        return self._unit_px

    def extent(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns the smallest and the largest (x, y) in pixels of all shapes so far, (2,) each."""
        margins = np.repeat(self._margins_px, [len(pixels) for pixels in self._reached])[:, None]
        pixels = np.concatenate(self._reached)
        return (pixels - margins).min(axis=0), (pixels + margins).max(axis=0)

    def shape_boxes(self, *, without_person: bool = False) -> np.ndarray:
        """Returns (shapes, 4) boxes (left, top, right, bottom) in pixels of the shapes so far.

        Args:
            without_person: Whether the shapes of persons are left out.
        """
        starts = np.cumsum([0, *(len(pixels) for pixels in self._reached[:-1])])
        pixels, margins = np.concatenate(self._reached), np.array(self._margins_px)[:, None]
        low, high = np.minimum.reduceat(pixels, starts) - margins, np.maximum.reduceat(pixels, starts) + margins
        boxes = np.concatenate([low, high], axis=1)
        return boxes[~np.array(self._reached_by_person)] if without_person else boxes


_TURN = np.linspace(0, 2 * np.pi, 28, endpoint=False)


def oval(centre: Point, radius_x: float, radius_y: float, angle: float = 0.0) -> np.ndarray:
    """Returns (28, 2) points on an ellipse whose x axis is rotated clockwise by an angle in radians."""
    points = np.stack([radius_x * np.cos(_TURN), radius_y * np.sin(_TURN)], axis=1)
    return rotate(points, angle) + np.array(centre)


def rotate(points: Sequence[Point] | np.ndarray, angle: float, about: Point = (0.0, 0.0)) -> np.ndarray:
    """Rotates points clockwise (on a screen) by an angle in radians."""
    cos, sin = np.cos(angle), np.sin(angle)
    centre = np.array(about)
    return (np.asarray(points, dtype=float) - centre) @ np.array([[cos, sin], [-sin, cos]]) + centre


def box(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    """Returns the (4, 2) corners of an upright rectangle."""
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)])


def smooth(points: Iterable[Point] | np.ndarray, *, per_piece: int = 6) -> np.ndarray:
    """Returns a smooth line through points (Catmull-Rom): (pieces * per_piece + 1, 2)."""
    given = np.asarray(list(points), dtype=float)
    padded = np.concatenate([given[:1] * 2 - given[1:2], given, given[-1:] * 2 - given[-2:-1]])
    share = np.arange(per_piece)[:, None] / per_piece
    pieces = []
    for a, b, c, d in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        pieces.append(
            0.5
            * (2 * b + (c - a) * share + (2 * a - 5 * b + 4 * c - d) * share**2 + (3 * b - a - 3 * c + d) * share**3)
        )
    return np.concatenate([*pieces, given[-1:]])


def fiddle_outline(length: float, width: float) -> np.ndarray:
    """Returns the (points, 2) outline of a figure-eight body along y, centred at the origin, the neck towards -y."""
    profile = [
        (-0.50, 0.0), (-0.485, 0.22), (-0.40, 0.38), (-0.27, 0.41), (-0.14, 0.34), (-0.04, 0.26),
        (0.06, 0.27), (0.16, 0.40), (0.28, 0.50), (0.41, 0.45), (0.485, 0.26), (0.50, 0.0),
    ]  # fmt: skip
    right = smooth([(half * width, y * length) for y, half in profile], per_piece=3)
    left = right[::-1] * np.array([-1.0, 1.0])
    return np.concatenate([right, left])
