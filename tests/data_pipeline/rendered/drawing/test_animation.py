"""Frames: motion with the notes, boxes, positions, the pen."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from data_pipeline.rendered.drawing.animation import FRAME_PX, MAX_BOX_AREA, Animation
from data_pipeline.rendered.drawing.look import choose_look
from data_pipeline.rendered.drawing.motion import choreograph
from data_pipeline.rendered.drawing.pen import Pen, box, fiddle_outline, rotate, shade, smooth
from data_pipeline.rendered.sound.compose import Note
from data_pipeline.rendered.sound.instruments import CLASSES

# Notes, a rest from 1.6 to 3.4 s, notes.
NOTES = [Note(0.4 * k, 0.4 * k + 0.36, 60 + 2 * (k % 4), 100) for k in range(4)]
NOTES += [Note(3.4 + 0.4 * k, 3.76 + 0.4 * k, 62 + 2 * (k % 4), 90) for k in range(4)]


def film_of(name, *, index=0, seed=0, seconds=5.0):
    return Animation(name, NOTES, np.random.default_rng([seed, index]), index=index, seed=seed, seconds=seconds)


@pytest.mark.parametrize("name", CLASSES)
def test_player_moves_while_notes_sound_and_rests_in_rests(name):
    pictures = np.stack([picture for picture, _ in film_of(name)]).astype(float)
    change = np.abs(np.diff(pictures, axis=0)).mean(axis=(1, 2, 3))
    assert pictures.shape == (50, FRAME_PX, FRAME_PX, 3)
    # During the rest, without the moments when a mallet still rises or already falls.
    assert change[18:31].max() == 0
    assert change[1:14].mean() > 0.02 and change[35:48].mean() > 0.02


@pytest.mark.parametrize("name", CLASSES)
def test_boxes_leave_most_of_the_picture_and_hold_what_moves(name):
    film = film_of(name, index=7)
    pictures, boxes = zip(*film, strict=True)
    for ymin, xmin, ymax, xmax in boxes:
        assert 0 <= ymin < ymax <= 1 and 0 <= xmin < xmax <= 1
        assert 0.05 < (ymax - ymin) * (xmax - xmin) < MAX_BOX_AREA
    moved = np.ptp(np.stack(pictures), axis=0).max(axis=2) > 0
    rows, columns = np.nonzero(moved)
    union = np.array(boxes) * FRAME_PX
    assert rows.min() >= union[:, 0].min() - 1.5 and rows.max() <= union[:, 2].max() + 1.5
    assert columns.min() >= union[:, 1].min() - 1.5 and columns.max() <= union[:, 3].max() + 1.5


def test_film_depends_on_seed_and_index_alone():
    first = next(iter(film_of("cello")))
    assert np.array_equal(first[0], next(iter(film_of("cello")))[0])
    assert not np.array_equal(first[0], next(iter(film_of("cello", index=1)))[0])
    assert not np.array_equal(first[0], next(iter(film_of("cello", seed=1)))[0])


def test_places_spread_evenly():
    for count in (8, 16, 64):
        looks = [choose_look("flute", k, np.random.default_rng(k), phase=(0.3, 0.8)) for k in range(count)]
        cells = np.histogram2d(*np.array([look.place for look in looks]).T, bins=2, range=[[0, 1], [0, 1]])[0]
        assert cells.min() >= count // 4 - 1 - count // 32


def test_silence_before_the_first_note_is_still():
    poses = choreograph([Note(1.0, 2.0, 60, 100)], frames=30, fps=10)
    assert {(p.glow, p.stroke, p.sway, p.bellows) for p in poses[:10]} == {(0.0, 1.0, 0.0, 0.0)}
    assert poses[10].sounding and poses[10].glow > 0.7
    assert [p.sounding for p in poses].count(True) == 10


def test_every_note_turns_the_bow():
    poses = choreograph(NOTES[:4], frames=16, fps=10)
    strokes = np.array([pose.stroke for pose in poses])
    directions = [np.sign(strokes[4 * k + 2] - strokes[4 * k + 1]) for k in range(4)]
    assert directions == [1, -1, 1, -1] or directions == [-1, 1, -1, 1]


def test_pen_measures_what_it_draws():
    image = Image.new("L", (200, 200))
    pen = Pen(ImageDraw.Draw(image), origin_px=(100, 100), unit_px=40, angle=0.3, mirror=True, lean=0.05)
    pen.polygon(box(-0.5, -0.2, 0.9, 0.4), 255)
    pen.line([(0.0, 0.0), (0.3, -1.2)], 0.2, 255)
    pen.disc((-0.8, 0.5), 0.25, 255)
    rows, columns = np.nonzero(np.asarray(image))
    low, high = pen.extent()
    np.testing.assert_allclose([columns.min(), rows.min()], low, atol=2.5)
    np.testing.assert_allclose([columns.max(), rows.max()], high, atol=2.5)


def test_measuring_pen_agrees_with_drawing_pen():
    image = Image.new("L", (100, 100))
    extents = []
    for canvas in (ImageDraw.Draw(image), None):
        pen = Pen(canvas, origin_px=(50, 50), unit_px=20)
        pen.tube([(0, 0), (1, 0), (1, 1)], (0.1, 0.4), 255)
        extents.append(np.concatenate(pen.extent()))
    np.testing.assert_array_equal(extents[0], extents[1])


def test_shapes():
    np.testing.assert_allclose(rotate([(1.0, 0.0)], np.pi / 2), [[0.0, 1.0]], atol=1e-12)
    line = smooth([(0, 0), (1, 0), (2, 0)], per_piece=4)
    assert line.shape == (9, 2)
    np.testing.assert_allclose(line[:, 0], np.linspace(0, 2, 9), atol=1e-12)
    outline = fiddle_outline(2.0, 1.0)
    np.testing.assert_allclose(outline.min(axis=0), [-0.5, -1.0], atol=0.01)
    assert shade((100, 200, 0), 0.5) == (50, 100, 0)
    assert shade((100, 200, 0), 2.0) == (255, 255, 255)
