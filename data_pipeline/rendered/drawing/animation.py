"""Draws the frames of a solo: a still background and a player who moves with the notes, with the player's box."""

import dataclasses
import zlib
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image, ImageDraw

from data_pipeline.rendered.drawing import figure_keys, figure_strings, figure_winds
from data_pipeline.rendered.drawing.background import draw_background
from data_pipeline.rendered.drawing.figure_picture import PictureFigure
from data_pipeline.rendered.drawing.look import AREA, choose_look
from data_pipeline.rendered.drawing.motion import Pose, choreograph
from data_pipeline.rendered.drawing.pen import FLOOR_Y, Pen, oval
from data_pipeline.rendered.drawing.style import Style
from data_pipeline.rendered.pictures.raster import Cutout
from data_pipeline.rendered.sound.compose import Note

FRAME_PX = 256
FPS = 10
MAX_BOX_AREA = 0.38
# Shapes are drawn this many times larger and averaged, which smooths their edges.
OVERSAMPLE = 2
_MARGIN_PX = 4
LEAN = 0.035

FIGURES = {
    "accordion": figure_keys.draw_accordion,
    "acoustic_guitar": figure_strings.draw_guitar,
    "cello": figure_strings.draw_cello,
    "clarinet": figure_winds.draw_clarinet,
    "erhu": figure_strings.draw_erhu,
    "flute": figure_winds.draw_flute,
    "saxophone": figure_winds.draw_saxophone,
    "trumpet": figure_winds.draw_trumpet,
    "tuba": figure_winds.draw_tuba,
    "violin": figure_strings.draw_violin,
    "xylophone": figure_keys.draw_xylophone,
}


@dataclasses.dataclass(frozen=True)
class _Stage:
    """Position of the figure in oversampled pixels: origin, unit, feet, and the area in which it moves."""

    origin_px: tuple[float, float]
    unit_px: float
    feet_px: tuple[float, float]
    area_px: tuple[int, int, int, int]


@dataclasses.dataclass(frozen=True)
class Held:
    """A picture that a player holds.

    Attributes:
        cutout: The picture.
        rng: Random generator of its position, size, colours and light.
    """

    cutout: Cutout
    rng: np.random.Generator


@dataclasses.dataclass(frozen=True)
class Staging:
    """How a player is shown.

    Attributes:
        area: Smallest and largest share of the frame that the player takes.
        style: Function applied to each frame at the end; None for none.
        held: Picture that the player holds instead of the drawn instrument; None for the drawn instrument.
    """

    area: tuple[float, float] = AREA
    style: Style | None = None
    held: Held | None = None


class Animation:
    """Frames of one solo, drawn one after the other.

    Attributes:
        look: Appearance of the player.
        poses: One pose for every frame.
    """

    def __init__(
        self,
        name: str,
        notes: Sequence[Note],
        rng: np.random.Generator,
        *,
        index: int,
        seed: int,
        seconds: float,
        staging: Staging = Staging(),
    ) -> None:
        """Chooses appearance and background and positions the player.

        Args:
            name: Class name of the instrument.
            notes: Notes that are played, in the order of their starts.
            rng: Random generator of appearance and background.
            index: Number of the solo in its class.
            seed: Shifts the positions of all solos.
            seconds: Length of the video.
            staging: Size, style and held picture.
        """
        self._style = staging.style
        phase = np.random.default_rng([seed, zlib.crc32(name.encode())]).random(2)
        self.look = choose_look(name, index, rng, phase=(float(phase[0]), float(phase[1])), area=staging.area)
        self.poses = choreograph(notes, frames=round(seconds * FPS), fps=FPS)
        self._draw_figure = FIGURES[name]
        self._overhang = 0.0
        if staging.held is not None:
            figure = PictureFigure(name, staging.held.cutout, self.look, staging.held.rng)
            self._draw_figure, self._overhang = figure.draw, figure.overhang
        self._stage = self._find_room()
        self._background = draw_background(
            rng, size_px=FRAME_PX * OVERSAMPLE, feet_y=self._stage.feet_px[1] / (FRAME_PX * OVERSAMPLE)
        )
        self._draw_shadow()

    def __iter__(self) -> Iterator[tuple[np.ndarray, tuple[float, float, float, float]]]:
        """Draws the frames.

        Yields:
            A (height, width, 3) uint8 frame, and the box (ymin, xmin, ymax, xmax) of player and instrument in shares of
            the frame, 0 to 1.
        """
        still = self._background.reduce(OVERSAMPLE)
        left, top = self._stage.area_px[:2]
        patch = self._background.crop(self._stage.area_px)
        for pose in self.poses:
            moving = patch.copy()
            origin = (self._stage.origin_px[0] - left, self._stage.origin_px[1] - top)
            pen = self._pen(ImageDraw.Draw(moving), pose, origin, self._stage.unit_px, moving)
            self._draw_figure(pen, self.look, pose)
            picture = still.copy()
            picture.paste(moving.reduce(OVERSAMPLE), (left // OVERSAMPLE, top // OVERSAMPLE))
            low, high = pen.extent()
            reach = np.array([low[1] + top, low[0] + left, high[1] + top, high[0] + left])
            ymin, xmin, ymax, xmax = np.clip(reach / (FRAME_PX * OVERSAMPLE), 0, 1).tolist()
            yield np.asarray(self._style(picture) if self._style else picture), (ymin, xmin, ymax, xmax)

    def _pen(
        self,
        canvas: ImageDraw.ImageDraw | None,
        pose: Pose,
        origin: tuple[float, float],
        unit_px: float,
        image: Image.Image | None = None,
    ) -> Pen:
        look = self.look
        return Pen(
            canvas,
            image=image,
            origin_px=origin,
            unit_px=unit_px,
            angle=look.angle,
            mirror=look.mirror,
            lean=LEAN * pose.sway,
        )

    def _find_room(self) -> _Stage:
        """Measures the figure in its extreme poses and places it inside the frame, except for an overhang at a side."""
        low, high = np.full(2, np.inf), np.full(2, -np.inf)
        for pose in extreme_poses(self.poses):
            pen = self._pen(None, pose, (0.0, 0.0), 1.0)
            self._draw_figure(pen, self.look, pose)
            reach = pen.extent()
            low, high = np.minimum(low, reach[0]), np.maximum(high, reach[1])
        side_px = FRAME_PX * OVERSAMPLE
        unit_px = side_px * float(np.sqrt(self.look.area / np.prod(high - low)))
        margin_px = _MARGIN_PX * OVERSAMPLE
        # A wide figure must fit as well as a square one.
        unit_px = min(unit_px, float((side_px - 2 * margin_px) / (high - low).max()))
        free_px = side_px - 2 * margin_px - (high - low) * unit_px
        corner = margin_px + np.array(self.look.place) * free_px
        if self._overhang:
            width_px = float(high[0] - low[0]) * unit_px
            at_left = self.look.place[0] < 0.5
            corner[0] = -self._overhang * width_px if at_left else side_px - (1 - self._overhang) * width_px
        origin = corner - low * unit_px
        reach = np.concatenate([corner - margin_px, corner + (high - low) * unit_px + margin_px])
        edges = np.clip(np.round(reach / OVERSAMPLE), 0, FRAME_PX).astype(int) * OVERSAMPLE
        origin_px = (float(origin[0]), float(origin[1]))
        feet = self._pen(None, self.poses[0], origin_px, unit_px).to_pixels([(0.0, FLOOR_Y)])[0]
        return _Stage(
            origin_px=origin_px,
            unit_px=unit_px,
            feet_px=(float(feet[0]), float(feet[1])),
            area_px=(int(edges[0]), int(edges[1]), int(edges[2]), int(edges[3])),
        )

    def _draw_shadow(self) -> None:
        """Darkens the background under the feet."""
        veil = Image.new("L", self._background.size, 0)
        canvas = ImageDraw.Draw(veil)
        pen = self._pen(None, self.poses[0], self._stage.origin_px, self._stage.unit_px)
        foot = pen.to_pixels(oval((0.0, FLOOR_Y), 0.75, 0.09))
        canvas.polygon(foot.ravel().tolist(), fill=70)
        self._background.paste((20, 16, 24), mask=veil)


def extreme_poses(poses: Sequence[Pose]) -> list[Pose]:
    """Returns the poses in which a value is smallest or largest, and some others."""
    values = np.array([(p.glow, p.pitch, p.stroke, p.bellows, p.sway, *p.lifts) for p in poses])
    combined = np.concatenate([values, values[:, 2:3] + values[:, 4:5], values[:, 2:3] - values[:, 4:5]], axis=1)
    picked = {*combined.argmin(axis=0).tolist(), *combined.argmax(axis=0).tolist(), *range(0, len(poses), 16)}
    return [poses[k] for k in sorted(picked)]
