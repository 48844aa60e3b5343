"""Draws a player who holds a picture of an instrument, moved by the notes as the drawn instruments are."""

import dataclasses
from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image, ImageEnhance
from scipy import ndimage

from data_pipeline.rendered.drawing import person
from data_pipeline.rendered.drawing.figure_keys import draw_mallet
from data_pipeline.rendered.drawing.figure_strings import draw_bow
from data_pipeline.rendered.drawing.look import Look
from data_pipeline.rendered.drawing.motion import Pose
from data_pipeline.rendered.drawing.pen import Colour, Pen, Point, rotate
from data_pipeline.rendered.pictures.raster import Cutout

_RIGHT, _DOWN, _LEFT = 0.0, np.pi / 2, np.pi
# Ratio of length to width above which a shape has a direction.
_LONG = 1.35
_BEHIND_HEAD_SHARE = 0.2
_OVERHANG_SHARE = 0.2
# A shape whose colours are all darker than this is a silhouette, 0 to 255.
_SILHOUETTE = 70
_VISIBLE = 8
# Gaps up to twice this wide are closed before an outline is filled.
_LINE_GAP_PX = 7
# A silhouette whose filled shape is larger than the shape itself by this factor is an outline.
_OUTLINE_RATIO = 1.6


@dataclasses.dataclass(frozen=True)
class _Hold:
    """How an instrument is held, in figure coordinates.

    Attributes:
        centre: Position of the middle of the picture.
        length: Length of the instrument along its direction, or of the longer side of an upright picture.
        heavy: Direction of the wide end (the body or the bell), radians clockwise from the right; None for an
            instrument that is held as it stands in most pictures.
        seated: Whether the player sits.
        tilt: How far the start of a loud note turns the instrument, in radians.
        pivot: Position around which it turns, such as the mouth.
        hands: Draws what moves with the notes: arms, bow or mallets.
        bellows: Whether the picture is stretched and compressed like an accordion.
        behind_head: Whether the head always hides a part of the instrument; otherwise it does so at random.
    """

    centre: Point
    length: float
    heavy: float | None
    seated: bool
    tilt: float
    pivot: Point
    hands: Callable[["PictureFigure", Pen, Look, Pose], None]
    bellows: bool = False
    behind_head: bool = False


class PictureFigure:
    """A player with a picture in the hands.

    Attributes:
        overhang: Share of the figure's width that lies outside the frame, 0 to 1.
    """

    def __init__(self, name: str, cutout: Cutout, look: Look, rng: np.random.Generator) -> None:
        """Draws how the picture is held and how it looks.

        Args:
            name: Class name of the instrument.
            cutout: The picture.
            look: Appearance of the player; a silhouette takes the colour of the drawn instrument.
            rng: Random generator of position, size, mirroring, colours, light and occlusion.
        """
        self._hold = _HOLDS[name]
        alpha = np.asarray(cutout.image)[..., 3]
        direction, elongation = (0.0, 1.0) if cutout.card else _find_direction(alpha > 127)
        upright = self._hold.heavy is None or elongation < _LONG
        mirrored = bool(rng.integers(2))
        if upright:
            if self._hold.heavy is None and not cutout.card:
                mirrored = _mouthpiece_is_right(alpha > 127)
            self._to_local = np.diag([-1.0 if mirrored else 1.0, 1.0])
        else:
            # Mirrored across the long axis, so that the wide end keeps its direction.
            cos, sin = np.cos(direction), np.sin(direction)
            self._to_local = np.array([[cos, -sin], [sin, cos]]) @ np.diag([1.0, -1.0 if mirrored else 1.0])
        self._turn = (0.0 if upright else self._hold.heavy or 0.0) + float(rng.uniform(-0.16, 0.16))
        self._outline = _find_outline(alpha > _VISIBLE)
        local = self._outline @ self._to_local
        self._local_middle = (local.min(axis=0) + local.max(axis=0)) / 2
        self._local_extent = np.ptp(local, axis=0)
        length = self._hold.length * float(rng.uniform(0.88, 1.15)) * (0.8 if cutout.card else 1.0)
        if upright and self._hold.heavy is not None:
            length *= 0.75  # a square picture of the full length would cover the whole player
        self._scale = length / float(self._local_extent.max())
        self._centre = np.array(self._hold.centre) + rng.uniform(-0.07, 0.07, 2)
        self._behind_head = bool(rng.random() < _BEHIND_HEAD_SHARE) or self._hold.behind_head
        self.overhang = float(rng.uniform(0.06, 0.2)) if rng.random() < _OVERHANG_SHARE else 0.0
        self._picture = _change_look(cutout.image, look, rng)
        self._sized: tuple[Image.Image, float] | None = None

    def draw(self, pen: Pen, look: Look, pose: Pose) -> None:
        """Draws the player, the picture and what moves with the notes."""
        (person.draw_seated if self._hold.seated else person.draw_standing)(pen, look)
        if self._behind_head:
            self._draw_picture(pen, pose)
            person.draw_head(pen, look, pose)
        else:
            person.draw_head(pen, look, pose)
            self._draw_picture(pen, pose)
        self._hold.hands(self, pen, look, pose)

    def at(self, along: float, across: float, pose: Pose) -> Point:
        """Returns a point of the instrument in figure coordinates.

        Args:
            along: -0.5 at the narrow end (or the left), 0.5 at the wide end (or the right).
            across: -0.5 to 0.5 at a right angle to it, clockwise.
            pose: Pose of the player.
        """
        matrix, centre = self._placement(pose)
        x, y = ((self._local_extent * np.array([along, across])) @ matrix + centre).tolist()
        return x, y

    def _placement(self, pose: Pose) -> tuple[Float[np.ndarray, "2 2"], Float[np.ndarray, "2"]]:
        """Returns the matrix from the picture's own axes, in its pixels, to figure coordinates, and its centre."""
        swing = self._hold.tilt * pose.glow
        stretch = 0.8 + 0.4 * pose.bellows if self._hold.bellows else 1.0
        matrix = np.diag([self._scale * stretch, self._scale]) @ rotate(np.eye(2), self._turn + swing)
        return matrix, rotate([(self._centre[0], self._centre[1])], swing, self._hold.pivot)[0]

    def _draw_picture(self, pen: Pen, pose: Pose) -> None:
        matrix, centre = self._placement(pose)
        matrix, offset = self._to_local @ matrix, centre - self._local_middle @ matrix
        picture, factor = self._sized_for(pen.unit_px)
        glow = 0.25 * pose.glow
        if glow > 0.01:
            alpha = picture.getchannel("A")
            picture = Image.blend(picture, Image.new("RGBA", picture.size, (255, 255, 255, 255)), glow)
            picture.putalpha(alpha)
        pen.paste(picture, self._outline * factor, np.vstack([matrix / factor, offset]))

    def _sized_for(self, unit_px: float) -> tuple[Image.Image, float]:
        """Returns the picture at about the size at which it is drawn, without undersampling, and its factor."""
        factor = min(self._scale * unit_px, 1.0)
        if self._sized is None or self._sized[1] != factor:
            if factor > 0.9 or unit_px <= 1.0:  # a pen that only measures has one pixel per unit
                return self._picture, 1.0
            width, height = (max(1, round(side * factor)) for side in self._picture.size)
            self._sized = self._picture.resize((width, height), Image.Resampling.LANCZOS), factor
        return self._sized


def _find_direction(visible: Bool[np.ndarray, "height width"]) -> tuple[float, float]:
    """Returns the direction of a shape's wide end, radians clockwise from the right, and its length over its width.

    The wide end, a body or a bell, is that of the two outer quarters of the length which reaches further to the sides.
    """
    points = np.argwhere(visible)[:, ::-1].astype(float)
    points -= points.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov(points.T))
    across, along = (points @ vectors).T
    low, high = along.min(), along.max()
    quarter = (high - low) / 4
    sign = 1.0 if np.ptp(across[along > high - quarter]) >= np.ptp(across[along < low + quarter]) else -1.0
    x, y = sign * vectors[:, 1]
    return float(np.arctan2(y, x)), float(np.sqrt(values[1] / max(values[0], 1e-9)))


def _find_outline(visible: Bool[np.ndarray, "height width"]) -> Float[np.ndarray, "points 2"]:
    """Returns the corners of the first and the last visible pixel of each row."""
    rows = np.flatnonzero(visible.any(axis=1))
    first = visible[rows].argmax(axis=1)
    last = visible.shape[1] - visible[rows, ::-1].argmax(axis=1)
    corners = [np.stack([x, rows + down], axis=1) for x in (first, last) for down in (0, 1)]
    return np.concatenate(corners).astype(float)


def _mouthpiece_is_right(visible: Bool[np.ndarray, "height width"]) -> bool:
    """Returns whether the top of a shape lies in its right half, as the mouthpiece of a mirrored saxophone does."""
    top = np.nonzero(visible[: max(1, visible.shape[0] // 8)])[1]
    return bool(top.size and np.median(top) > visible.shape[1] / 2)


def _change_look(picture: Image.Image, look: Look, rng: np.random.Generator) -> Image.Image:
    """Changes hue, saturation, brightness and contrast, and lights the picture from one side."""
    picture = colour_if_silhouette(picture, look.body)
    alpha = picture.getchannel("A")
    colours = picture.convert("RGB")
    hue, saturation, value = colours.convert("HSV").split()
    shift = round(float(rng.uniform(-10, 10)))
    hue = hue.point([(level + shift) % 256 for level in range(256)])
    colours = Image.merge("HSV", (hue, saturation, value)).convert("RGB")
    colours = ImageEnhance.Color(colours).enhance(float(rng.uniform(0.7, 1.2)))
    colours = ImageEnhance.Contrast(colours).enhance(float(rng.uniform(0.8, 1.2)))
    colours = ImageEnhance.Brightness(colours).enhance(float(rng.uniform(0.8, 1.15)))
    down, right = (np.linspace(-1, 1, side) for side in (picture.height, picture.width))
    angle, strength = rng.uniform(0, 2 * np.pi), rng.uniform(0.05, 0.3)
    light = 1 + strength * (np.cos(angle) * right[None, :] + np.sin(angle) * down[:, None])
    lit = np.clip(np.asarray(colours, dtype=np.float32) * light[..., None], 0, 255).astype(np.uint8)
    return Image.merge("RGBA", (*Image.fromarray(lit).split(), alpha))


def colour_if_silhouette(picture: Image.Image, body: Colour) -> Image.Image:
    """Gives a black shape the colour of the instrument and leaves other pictures as they are.

    An outline keeps dark lines and is filled with the colour.
    """
    shape = np.asarray(picture)[..., 3] > 127
    if not shape.any() or np.percentile(np.asarray(picture)[shape, :3], 98) >= _SILHOUETTE:
        return picture
    reach = _LINE_GAP_PX
    closed = ndimage.binary_closing(np.pad(shape, 2 * reach), ndimage.generate_binary_structure(2, 1), reach)
    filled = ndimage.binary_fill_holes(closed)
    assert filled is not None
    filled = filled[2 * reach : -2 * reach, 2 * reach : -2 * reach]
    if filled.sum() < _OUTLINE_RATIO * shape.sum():
        coloured = Image.new("RGBA", picture.size, (*body, 255))
        coloured.putalpha(picture.getchannel("A"))
        return coloured
    under = Image.new("RGBA", picture.size, (*body, 255))
    under.putalpha(Image.fromarray(filled.astype(np.uint8) * 255))
    return Image.alpha_composite(under, picture)


def _hold_violin(figure: PictureFigure, pen: Pen, look: Look, pose: Pose) -> None:
    person.draw_arm(pen, look, 1, figure.at(-0.15 - 0.25 * (1 - pose.pitch), 0.0, pose), bend=0.3)
    hand = draw_bow(pen, figure.at(0.15, 0.0, pose), 1.95, pose.stroke, length=1.35)
    person.draw_arm(pen, look, -1, hand, bend=0.3)


def _hold_upright_string(figure: PictureFigure, pen: Pen, look: Look, pose: Pose) -> None:
    person.draw_arm(pen, look, 1, figure.at(-0.4 + 0.3 * pose.pitch, 0.0, pose), bend=0.25)
    hand = draw_bow(pen, figure.at(0.25, 0.0, pose), 0.1, pose.stroke, length=1.35)
    person.draw_arm(pen, look, -1, hand, bend=0.25)


def _hold_guitar(figure: PictureFigure, pen: Pen, look: Look, pose: Pose) -> None:
    person.draw_arm(pen, look, 1, figure.at(-0.4 + 0.25 * pose.pitch, 0.0, pose), bend=0.28)
    person.draw_arm(pen, look, -1, figure.at(0.25, 0.18 * pose.stroke, pose), bend=0.12)


def _hold_wind(figure: PictureFigure, pen: Pen, look: Look, pose: Pose) -> None:
    wiggle = 0.015 * (1 if pose.movement % 2 else -1)
    for side, along in ((1, 0.12 + wiggle), (-1, -0.14 - wiggle)):
        person.draw_arm(pen, look, side, figure.at(along, 0.1, pose), bend=0.28)


def _hold_upright_wind(figure: PictureFigure, pen: Pen, look: Look, pose: Pose) -> None:
    wiggle = 0.02 * (1 if pose.movement % 2 else -1)
    person.draw_arm(pen, look, 1, figure.at(0.05, -0.1 + wiggle, pose), bend=0.2)
    person.draw_arm(pen, look, -1, figure.at(-0.1, 0.18 - wiggle, pose), bend=0.22)


def _hold_accordion(figure: PictureFigure, pen: Pen, look: Look, pose: Pose) -> None:
    person.draw_arm(pen, look, 1, figure.at(0.42, 0.25 - 0.5 * pose.pitch, pose), bend=0.18)
    person.draw_arm(pen, look, -1, figure.at(-0.42, 0.0, pose), bend=0.2)


def _hold_xylophone(figure: PictureFigure, pen: Pen, look: Look, pose: Pose) -> None:
    striking = pose.movement % 2
    for hand, side in enumerate((-1, 1)):
        along = 0.8 * (pose.pitch - 0.5)
        along = along if hand == striking else along + 0.15 * side
        x, y = figure.at(float(np.clip(along, -0.45, 0.45)), -0.15, pose)
        draw_mallet(pen, look, side, (x, y - 0.36 * pose.lifts[hand]))


_HOLDS = {
    "accordion": _Hold((-0.03, 0.0), 1.35, None, False, 0.0, (0.0, 0.0), _hold_accordion, bellows=True),
    "acoustic_guitar": _Hold((0.2, 0.08), 2.1, _LEFT - 0.28, True, 0.02, (0.0, 0.2), _hold_guitar),
    "cello": _Hold((0.16, -0.2), 2.2, _DOWN + 0.1, True, 0.02, (0.1, 1.0), _hold_upright_string),
    "clarinet": _Hold((0.17, -0.05), 1.6, _DOWN - 0.2, False, -0.08, (0.0, -0.82), _hold_wind),
    "erhu": _Hold((0.4, -0.5), 2.2, _DOWN, True, 0.02, (0.4, 0.4), _hold_upright_string),
    "flute": _Hold((0.6, -0.74), 1.65, _RIGHT + 0.1, False, -0.08, (-0.2, -0.84), _hold_wind),
    "saxophone": _Hold((0.5, -0.12), 1.7, None, False, -0.1, (0.02, -0.8), _hold_upright_wind),
    "trumpet": _Hold((0.8, -0.76), 1.5, _RIGHT, False, -0.12, (0.04, -0.8), _hold_wind),
    "tuba": _Hold((0.42, -0.2), 1.8, None, True, 0.02, (0.0, 0.5), _hold_upright_wind, behind_head=True),
    "violin": _Hold((0.72, -0.55), 1.5, _LEFT - 0.1, False, 0.03, (0.0, -0.6), _hold_violin),
    "xylophone": _Hold((0.0, 0.4), 1.9, None, False, 0.0, (0.0, 0.4), _hold_xylophone),
}
