"""Players with pictures: boxes hold the picture, motion follows the notes, long instruments point the right way."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from data_pipeline.rendered.drawing.animation import FRAME_PX, Animation, Held, Staging
from data_pipeline.rendered.drawing.figure_picture import PictureFigure, _find_direction
from data_pipeline.rendered.drawing.look import choose_look
from data_pipeline.rendered.drawing.pen import Pen
from data_pipeline.rendered.pictures.raster import Cutout, cut_out
from data_pipeline.rendered.sound.compose import Note
from data_pipeline.rendered.sound.instruments import CLASSES

# Notes, a rest from 1.6 to 3.4 s, notes.
NOTES = [Note(0.4 * k, 0.4 * k + 0.36, 60 + 2 * (k % 4), 100) for k in range(4)]
NOTES += [Note(3.4 + 0.4 * k, 3.76 + 0.4 * k, 62 + 2 * (k % 4), 90) for k in range(4)]
GREEN = (0, 255, 0)


def bottle(*, angle=0.0, colour=GREEN) -> Cutout:
    """Returns a shape with a thin end at the left and a wide one at the right, turned clockwise by degrees."""
    image = Image.new("RGBA", (300, 300))
    canvas = ImageDraw.Draw(image)
    canvas.rectangle((20, 140, 200, 160), fill=(*colour, 255))
    canvas.ellipse((180, 100, 280, 200), fill=(*colour, 255))
    return cut_out(image.rotate(-angle, Image.Resampling.BICUBIC))


def film_of(name, cutout, *, seed=0):
    staging = Staging(held=Held(cutout, np.random.default_rng([7, seed])))
    return Animation(name, NOTES, np.random.default_rng([seed, 1]), index=seed, seed=0, seconds=5.0, staging=staging)


def is_green(frame):
    red, green, blue = np.moveaxis(frame.astype(int), 2, 0)
    return (green > 90) & (green > 2 * red) & (green > 2 * blue)


@pytest.mark.parametrize("name", CLASSES)
def test_boxes_hold_the_picture_and_motion_follows_the_notes(name):
    frames, boxes = zip(*film_of(name, bottle(angle=35), seed=3), strict=True)
    assert is_green(frames[20]).sum() > 100
    for frame, (ymin, xmin, ymax, xmax) in zip(frames, boxes, strict=True):
        rows, columns = np.nonzero(is_green(frame))
        assert rows.min() >= ymin * FRAME_PX - 1.5 and rows.max() <= ymax * FRAME_PX + 1.5
        assert columns.min() >= xmin * FRAME_PX - 1.5 and columns.max() <= xmax * FRAME_PX + 1.5
    change = np.abs(np.diff(np.stack(frames).astype(float), axis=0)).mean(axis=(1, 2, 3))
    assert change[18:31].max() == 0
    assert change[1:14].mean() > 0.02


def test_everything_depends_on_the_seed():
    first, again, other = (next(iter(film_of("violin", bottle(), seed=seed)))[0] for seed in (0, 0, 1))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_some_pictures_reach_over_the_edge_and_their_boxes_end_there():
    films = [film_of("trumpet", bottle(), seed=seed) for seed in range(30)]
    cut = [film for film in films if film._overhang]
    assert 1 <= len(cut) <= 15
    for film in cut:
        _, boxes = zip(*film, strict=True)
        edges = np.array(boxes)
        assert edges.min() >= 0 and edges.max() <= 1
        assert edges[:, 1].min() == 0 or edges[:, 3].max() == 1


@pytest.mark.parametrize("angle", [0, 50, 130, 200, 320])
def test_the_wide_end_is_found(angle):
    alpha = np.asarray(bottle(angle=angle).image)[..., 3] > 127
    direction, elongation = _find_direction(alpha)
    assert elongation > 2
    assert np.cos(direction - np.radians(angle)) > 0.97


@pytest.mark.parametrize(("name", "direction"), [("violin", (-1, 0)), ("trumpet", (1, 0)), ("cello", (0, 1))])
@pytest.mark.parametrize("angle", [10, 100, 250])
def test_long_instruments_are_held_in_their_direction(name, direction, angle):
    look = choose_look(name, 0, np.random.default_rng(0), phase=(0.0, 0.0))
    figure = PictureFigure(name, bottle(angle=angle), look, np.random.default_rng(angle))
    pose = next(iter(film_of(name, bottle()).poses))
    thin, wide = figure.at(-0.5, 0.0, pose), figure.at(0.5, 0.0, pose)
    pointing = np.subtract(wide, thin)
    assert np.dot(pointing, direction) / np.linalg.norm(pointing) > 0.85
    assert 1.2 < np.linalg.norm(pointing) < 2.8


def test_a_photo_is_held_upright():
    card = Cutout(Image.new("RGBA", (300, 100), (*GREEN, 255)), card=True)
    look = choose_look("cello", 0, np.random.default_rng(0), phase=(0.0, 0.0))
    figure = PictureFigure("cello", card, look, np.random.default_rng(0))
    pose = film_of("cello", bottle()).poses[0]
    left, right = figure.at(-0.5, 0.0, pose), figure.at(0.5, 0.0, pose)
    assert abs(left[1] - right[1]) < 0.3 * abs(left[0] - right[0])


def test_a_black_shape_takes_the_colour_of_the_instrument():
    look = choose_look("trumpet", 0, np.random.default_rng(0), phase=(0.0, 0.0))
    figure = PictureFigure("trumpet", bottle(colour=(0, 0, 0)), look, np.random.default_rng(0))
    pixels = np.asarray(figure._picture)
    red, _, blue, _ = pixels[pixels[..., 3] > 200].mean(axis=0)
    assert red > 120 and blue < 0.8 * red


def test_a_pasted_picture_lies_where_the_pen_says():
    image = Image.new("RGB", (200, 200))
    for canvas in (ImageDraw.Draw(image), None):
        pen = Pen(canvas, image=image if canvas else None, origin_px=(100, 90), unit_px=50, angle=0.4, mirror=True)
        picture = Image.new("RGBA", (40, 20), (255, 255, 255, 255))
        corners = np.array([(0.0, 0.0), (40.0, 0.0), (40.0, 20.0), (0.0, 20.0)])
        pen.paste(picture, corners, np.array([[0.03, 0.01], [-0.01, 0.03], [-0.4, -0.2]]))
        low, high = pen.extent()
    rows, columns = np.nonzero(np.asarray(image)[..., 0] > 60)
    np.testing.assert_allclose([columns.min(), rows.min()], low, atol=1.5)
    np.testing.assert_allclose([columns.max() + 1, rows.max() + 1], high, atol=1.5)
