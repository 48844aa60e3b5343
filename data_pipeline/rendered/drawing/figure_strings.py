"""Draws the players of stringed instruments: violin, cello, erhu, acoustic guitar."""

import numpy as np

from data_pipeline.rendered.drawing import person
from data_pipeline.rendered.drawing.look import Look
from data_pipeline.rendered.drawing.motion import Pose
from data_pipeline.rendered.drawing.pen import Colour, Pen, Point, box, fiddle_outline, oval, rotate, shade

_STRING: Colour = (235, 230, 215)
_BLACK: Colour = (32, 26, 26)
_HAIR: Colour = (245, 240, 228)


def draw_violin(pen: Pen, look: Look, pose: Pose) -> None:
    """Draws a small orange-brown body under the chin, the neck to the side, and a bow across it."""
    person.draw_standing(pen, look)
    person.draw_head(pen, look, pose, lean=0.03)
    wood = shade(look.body, 1 + 0.25 * pose.glow)
    place, turn = (0.52, -0.5), np.pi / 2 - 0.12
    _draw_body(pen, place, turn, wood, length=0.98, width=0.62)
    _draw_neck(pen, place, turn, -0.42, -1.05, width=0.085)
    fingers = _at(place, turn, (0.02, -0.62 - 0.3 * (1 - pose.pitch)))
    person.draw_arm(pen, look, 1, fingers, bend=0.3)
    contact = _at(place, turn, (0.0, 0.08))
    hand = draw_bow(pen, contact, 1.95, pose.stroke, length=1.35)
    person.draw_arm(pen, look, -1, hand, bend=0.3)


def draw_cello(pen: Pen, look: Look, pose: Pose) -> None:
    """Draws a large dark red body between the knees, the neck next to the head, and a level bow."""
    person.draw_seated(pen, look)
    person.draw_head(pen, look, pose, lean=-0.08)
    wood = shade(look.body, 1 + 0.3 * pose.glow)
    place, turn = (0.08, 0.42), 0.1
    pen.line([_at(place, turn, (0, 0.7)), _at(place, turn, (0, 0.86))], 0.04, _BLACK)
    _draw_body(pen, place, turn, wood, length=1.42, width=0.98)
    _draw_neck(pen, place, turn, -0.6, -1.75, width=0.12)
    fingers = _at(place, turn, (0.0, -1.5 + 0.75 * pose.pitch))
    person.draw_arm(pen, look, 1, fingers, bend=0.25)
    hand = draw_bow(pen, _at(place, turn, (0.0, 0.2)), 0.12, pose.stroke, length=1.35)
    person.draw_arm(pen, look, -1, hand, bend=0.25)


def draw_erhu(pen: Pen, look: Look, pose: Pose) -> None:
    """Draws a long thin neck with two pegs, a small drum with a pale skin on the knee, and a level bow above it."""
    person.draw_seated(pen, look)
    person.draw_head(pen, look, pose, lean=-0.12)
    wood = shade(look.body, 1 + 0.25 * pose.glow)
    x, drum_y = 0.42, 0.32
    pen.line([(x, drum_y), (x - 0.02, -1.62)], 0.11, wood)
    pen.line([(x - 0.02, -1.62), (x + 0.13, -1.7)], 0.11, wood)
    for peg_y in (-1.45, -1.2):
        pen.line([(x - 0.05, peg_y), (x + 0.32, peg_y - 0.03)], 0.09, wood)
        pen.disc((x + 0.32, peg_y - 0.03), 0.08, shade(look.body, 0.7))
    corners = [(x + 0.38 * np.cos(a), drum_y + 0.36 * np.sin(a)) for a in np.arange(6) * np.pi / 3 + np.pi / 6]
    pen.polygon(corners, wood, shade(look.body, 0.5))
    skin = [(x + 0.7 * (px - x), drum_y + 0.7 * (py - drum_y)) for px, py in corners]
    pen.polygon(skin, (206, 196, 160))
    for k in range(3):
        pen.line([(x - 0.12, drum_y - 0.1 + 0.1 * k), (x + 0.12, drum_y - 0.1 + 0.1 * k)], 0.03, (120, 104, 78))
    pen.line([(x - 0.08, drum_y), (x - 0.05, -1.1)], 0.025, _STRING)
    fingers = (x + 0.0, -0.85 + 0.55 * pose.pitch)
    person.draw_arm(pen, look, 1, fingers, bend=0.25)
    hand = draw_bow(pen, (x, -0.1), 0.06, pose.stroke, length=1.35)
    person.draw_arm(pen, look, -1, hand, bend=0.25)


def draw_guitar(pen: Pen, look: Look, pose: Pose) -> None:
    """Draws a blond figure-eight with a dark round hole, held level; the neck points up to the side."""
    person.draw_seated(pen, look)
    person.draw_head(pen, look, pose, lean=0.04)
    place, turn = (-0.18, 0.22), np.pi / 2 - 0.28
    top = shade(look.body, 1 + 0.3 * pose.glow)
    outline = rotate(fiddle_outline(1.2, 0.98), turn) + np.array(place)
    pen.polygon(outline, shade(look.body, 0.45))
    pen.polygon(rotate(fiddle_outline(1.1, 0.87), turn) + np.array(place), top)
    _draw_guitar_neck(pen, place, turn)
    hole = _at(place, turn, (0.0, -0.1))
    pen.disc(hole, 0.2, shade(look.body, 0.6))
    pen.disc(hole, 0.16, (38, 24, 18))
    bridge = [_at(place, turn, (-0.2, 0.3)), _at(place, turn, (0.2, 0.3))]
    pen.line(bridge, 0.07, (60, 36, 24))
    for offset in (-0.07, -0.025, 0.025, 0.07):
        pen.line([_at(place, turn, (1.4 * offset, 0.3)), _at(place, turn, (0.6 * offset, -1.2))], 0.014, _STRING)
    fret = _at(place, turn, (0.03, -1.25 + 0.55 * pose.pitch))
    person.draw_arm(pen, look, 1, fret, bend=0.28)
    strum = _at(place, turn, (0.2 * pose.stroke, 0.1))
    person.draw_arm(pen, look, -1, strum, bend=0.12)


def _draw_guitar_neck(pen: Pen, place: Point, turn: float) -> None:
    neck = rotate(box(-0.07, -1.3, 0.07, -0.12), turn) + np.array(place)
    pen.polygon(neck, (84, 54, 36), _BLACK)
    for y in (-1.15, -1.0, -0.86, -0.73):
        pen.line([_at(place, turn, (-0.06, y)), _at(place, turn, (0.06, y))], 0.018, (205, 200, 180))
    head = rotate([(-0.07, -1.28), (-0.12, -1.36), (-0.1, -1.62), (0.1, -1.62), (0.12, -1.36), (0.07, -1.28)], turn)
    pen.polygon(head + np.array(place), (110, 66, 38), _BLACK)
    for y in (-1.4, -1.48, -1.56):
        for x in (-0.15, 0.15):
            pen.disc(_at(place, turn, (x, y)), 0.03, (225, 225, 225))


def _draw_body(pen: Pen, place: Point, turn: float, wood: Colour, *, length: float, width: float) -> None:
    """Draws the body of a violin or cello with edge, f-holes, bridge and tailpiece, around `place`."""
    outline = fiddle_outline(length, width)
    pen.polygon(rotate(outline, turn) + np.array(place), shade(wood, 0.45))
    pen.polygon(rotate(0.88 * outline, turn) + np.array(place), wood)
    glint = oval((-0.16 * width, -0.2 * length), 0.09 * width, 0.1 * length)
    pen.polygon(rotate(glint, turn) + np.array(place), shade(wood, 1.3))
    for side in (-1, 1):
        hole = [
            (0.2 * side * width, -0.04 * length),
            (0.16 * side * width, 0.05 * length),
            (0.23 * side * width, 0.15 * length),
        ]
        pen.line(rotate(hole, turn) + np.array(place), 0.05 * width, _BLACK)
    tail = [
        (-0.07 * width, 0.18 * length),
        (0.07 * width, 0.18 * length),
        (0.04 * width, 0.44 * length),
        (-0.04 * width, 0.44 * length),
    ]
    pen.polygon(rotate(tail, turn) + np.array(place), _BLACK)
    bridge = [(-0.15 * width, 0.08 * length), (0.15 * width, 0.08 * length)]
    pen.line(rotate(bridge, turn) + np.array(place), 0.05 * width, (226, 196, 140))


def _draw_neck(pen: Pen, place: Point, turn: float, near: float, far: float, *, width: float) -> None:
    """Draws a black fingerboard with strings from the body (`near`) to a scroll (`far`), along the instrument."""
    board = [
        (-0.6 * width, near + 0.38 * (near - far)),
        (0.6 * width, near + 0.38 * (near - far)),
        (0.4 * width, far),
        (-0.4 * width, far),
    ]
    board = [(x, min(y, 0.0)) for x, y in board]
    pen.polygon(rotate(board, turn) + np.array(place), _BLACK, _BLACK)
    scroll = _at(place, turn, (0.0, far - 0.05))
    pen.line([_at(place, turn, (0.0, far + 0.04)), scroll], 1.1 * width, (96, 50, 28))
    pen.disc(scroll, 0.85 * width, (96, 50, 28), _BLACK)
    for y in (far + 0.02, far + 0.1):
        pen.line([_at(place, turn, (-1.3 * width, y)), _at(place, turn, (1.3 * width, y))], 0.035, _BLACK)
    pen.line([_at(place, turn, (0.0, 0.1)), _at(place, turn, (0.0, far))], 0.02, _STRING)


def draw_bow(pen: Pen, contact: Point, angle: float, stroke: float, *, length: float) -> Point:
    """Draws a bow that touches a string; returns the position of the hand on it.

    Args:
        pen: Pen to draw with.
        contact: Where bow and string meet.
        angle: Direction from the tip to the hand, radians clockwise from the left.
        stroke: -1 (at the tip) to 1 (at the hand).
        length: Length of the bow.
    """
    along = np.array([-np.cos(angle), -np.sin(angle)]) if angle < 1 else np.array([np.cos(angle), np.sin(angle)])
    middle = np.array(contact) + along * (0.12 + 0.3 * stroke) * length
    frog, tip = middle + along * length / 2, middle - along * length / 2
    across = np.array([along[1], -along[0]])
    if across[1] > 0:
        across = -across
    pen.line(np.array([frog, tip]), 0.045, _HAIR)
    stick = [frog + 0.02 * across, middle + 0.075 * across, tip + 0.05 * across]
    pen.line(np.array(stick), 0.05, (112, 54, 30))
    pen.line(np.array([frog, frog + 0.05 * across - 0.1 * along]), 0.08, _BLACK)
    return float(frog[0]), float(frog[1])


def _at(place: Point, turn: float, local: Point) -> Point:
    """Returns a point of an instrument that lies at `place` and is rotated by `turn`."""
    x, y = rotate([local], turn)[0]
    return float(place[0] + x), float(place[1] + y)
