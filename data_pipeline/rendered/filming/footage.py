"""Draws the frames of a solo in a furnished scene, as a camera records them, with the box of player and instrument."""

import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from data_pipeline.rendered.drawing.animation import (
    FIGURES,
    FPS,
    FRAME_PX,
    LEAN,
    OVERSAMPLE,
    Held,
    Staging,
    extreme_poses,
)
from data_pipeline.rendered.drawing.figure_picture import PictureFigure
from data_pipeline.rendered.drawing.look import choose_look
from data_pipeline.rendered.drawing.motion import Pose, choreograph
from data_pipeline.rendered.drawing.pen import FLOOR_Y, oval
from data_pipeline.rendered.filming import backdrop, people
from data_pipeline.rendered.filming.camera import changed_part, in_view
from data_pipeline.rendered.filming.cutouts import vary_cutout
from data_pipeline.rendered.filming.overlay import choose_overlay
from data_pipeline.rendered.filming.ranges import SceneRanges
from data_pipeline.rendered.filming.recording import choose_recording
from data_pipeline.rendered.filming.shaded_pen import MATERIAL_OF, ShadedPen, choose_surfaces
from data_pipeline.rendered.filming.shot import Extents, Framing, choose_shot
from data_pipeline.rendered.sound.compose import Note

SCENE_PX = FRAME_PX * OVERSAMPLE
# Number of frames that show the same pose; drawing takes most of the time.
_POSE_FRAMES = 2
_CELL_PX = 8
_STAGING = Staging()
_UNIT_VIEW, _EVERYWHERE = np.array([0.0, 0.0, 1.0]), (-np.inf, -np.inf, np.inf, np.inf)


class Footage:
    """Frames of one solo in a scene, drawn one after the other.

    Attributes:
        look: Appearance of the player.
        poses: One pose for every frame.
        shot: How the player is shown.
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
        ranges: SceneRanges,
        staging: Staging = _STAGING,
    ) -> None:
        """Chooses appearance, scene, shot and recording.

        Args:
            name: Class name of the instrument.
            notes: Notes that are played, in the order of their starts.
            rng: Random generator of everything that is seen, except for a held picture.
            index: Number of the solo in its class.
            seed: Shifts the positions of all solos.
            seconds: Length of the video.
            ranges: Ranges of scenes.
            staging: Size, style and held picture.
        """
        self._style = staging.style
        self._name = name
        phase = np.random.default_rng([seed, zlib.crc32(name.encode())]).random(2)
        self.look = choose_look(name, index, rng, phase=(float(phase[0]), float(phase[1])), area=staging.area)
        self.poses = choreograph(notes, frames=round(seconds * FPS), fps=FPS)
        self._draw_figure = FIGURES[name]
        if staging.held is not None:
            held = Held(vary_cutout(staging.held.cutout, name, self.look.body, staging.held.rng), staging.held.rng)
            self._draw_figure = PictureFigure(name, held.cutout, self.look, held.rng).draw
        self._surfaces = choose_surfaces(rng)
        self._overlay = choose_overlay(rng, ranges, size_px=FRAME_PX)
        self._recording = choose_recording(rng, ranges, size_px=FRAME_PX)
        framing = Framing(
            measure=self._measure,
            area=self.look.area,
            tilt=self.look.angle,
            opening=self._overlay.opening,
            frames=len(self.poses),
            scene_px=SCENE_PX,
        )
        self.shot = choose_shot(rng, ranges, framing)
        self._scene, self._front = self._build_scene(rng, ranges)
        self._cells = self._scene.reduce(_CELL_PX)

    def __iter__(self) -> Iterator[tuple[np.ndarray, tuple[float, float, float, float]]]:
        """Draws the frames.

        Yields:
            A (height, width, 3) uint8 frame, and the box (ymin, xmin, ymax, xmax) of the visible part of player and
            instrument in shares of the frame, 0 to 1.
        """
        record = self._recording.start()
        opening = self._overlay.opening
        scene, shapes, changed = self._draw_scene(self.poses[0])
        for frame, (pose, view) in enumerate(zip(self.poses, self.shot.views, strict=True)):
            if frame and frame % _POSE_FRAMES == 0:
                scene, shapes, changed = self._draw_scene(pose)
            left, top, side = view.tolist()
            picture = scene.resize((FRAME_PX, FRAME_PX), Image.Resampling.BOX, box=(left, top, left + side, top + side))
            if self._style:
                picture = self._style(picture)
            # The boxes of large slanted shapes reach into a view that the shapes themselves do not touch.
            part = changed_part(changed, view, opening, cell_px=_CELL_PX)
            visible = np.concatenate([np.maximum(shapes[:, :2], part[:2]), np.minimum(shapes[:, 2:], part[2:])], axis=1)
            xmin, ymin, xmax, ymax = in_view(visible, view, opening)
            yield np.asarray(record(picture, self._overlay)), (ymin, xmin, ymax, xmax)

    def _draw_scene(self, pose: Pose) -> tuple[Image.Image, Float[np.ndarray, "shapes 4"], Image.Image]:
        """Draws the whole scene with the player.

        Returns:
            The scene, the boxes of the shapes of player and instrument in its pixels, and an image with one pixel for
            each `_CELL_PX` of the scene, which is black where neither was drawn.
        """
        scene = self._scene.copy()
        pen = self._pen(scene, pose)
        self._draw_figure(pen, self.look, pose)
        changed = ImageChops.difference(scene.reduce(_CELL_PX), self._cells)
        if self._front is not None:
            scene.paste(self._front, mask=self._front)
        return scene, pen.shape_boxes(), changed.convert("L")

    def _pen(self, scene: Image.Image, pose: Pose) -> ShadedPen:
        shot = self.shot
        return self._make_pen(
            scene, pose, angle=shot.angle, alone=shot.alone, origin_px=shot.origin_px, unit_px=shot.unit_px
        )

    def _make_pen(
        self, scene: Image.Image | None, pose: Pose, *, angle: float, alone: bool, **placement: Any
    ) -> ShadedPen:
        return ShadedPen(
            scene,
            self._surfaces,
            material=MATERIAL_OF[self._name],
            angle=angle,
            mirror=self.look.mirror,
            lean=0.0 if alone else LEAN * pose.sway,
            instrument_only=alone,
            **placement,
        )

    def _measure(self, angle: float, alone: bool) -> Extents:
        boxes: list[list[np.ndarray]] = [[], []]
        for pose in extreme_poses(self.poses):
            pen = self._make_pen(None, pose, angle=angle, alone=alone)
            self._draw_figure(pen, self.look, pose)
            for part, without_person in zip(boxes, (False, True), strict=True):
                part.append(pen.shape_boxes(without_person=without_person))
        figure, instrument = (in_view(np.concatenate(part), _UNIT_VIEW, _EVERYWHERE) for part in boxes)
        return Extents(figure, instrument)

    def _build_scene(self, rng: np.random.Generator, ranges: SceneRanges) -> tuple[Image.Image, Image.Image | None]:
        """Returns what stands behind the player, and what hides the player in front, if there is something."""
        shot = self.shot
        feet_y = shot.origin_px[1] / SCENE_PX + FLOOR_Y * shot.unit_px / SCENE_PX
        floor_y = float(rng.uniform(0.55, 0.95)) if shot.alone else feet_y
        scene = backdrop.draw_backdrop(rng, self._surfaces, size_px=SCENE_PX, feet_y=floor_y)
        people.add_bystanders(scene, rng, self._surfaces, ranges, player=shot, name=self._name)
        if rng.random() < ranges.depth_of_field:
            scene = scene.filter(ImageFilter.GaussianBlur(float(rng.uniform(1.5, 9))))
        if not shot.alone:
            self._draw_shadow(scene)
        return scene, people.draw_heads(rng, ranges, size_px=SCENE_PX)

    def _draw_shadow(self, scene: Image.Image) -> None:
        """Darkens the floor under the feet."""
        veil = Image.new("L", scene.size)
        foot = self._pen(scene, self.poses[0]).to_pixels(oval((0.0, FLOOR_Y), 0.75, 0.09))
        ImageDraw.Draw(veil).polygon(foot.ravel().tolist(), fill=90)
        scene.paste((16, 14, 18), mask=veil.filter(ImageFilter.GaussianBlur(5)))
