"""Draws the player without the instrument: legs, torso, head and arms, in figure coordinates (see `pen`)."""

import functools
from collections.abc import Callable
from typing import Concatenate, ParamSpec

import numpy as np

from data_pipeline.rendered.drawing.look import Look
from data_pipeline.rendered.drawing.motion import Pose
from data_pipeline.rendered.drawing.pen import Pen, Point, box, oval, shade

SHOULDER_Y = -0.5
_HEAD = (0.0, -1.0)
_Parameters = ParamSpec("_Parameters")


def _of_person(
    draw: Callable[Concatenate[Pen, _Parameters], None],
) -> Callable[Concatenate[Pen, _Parameters], None]:
    """Makes the pen record that what the function draws belongs to a person."""

    @functools.wraps(draw)
    def marked(pen: Pen, *args: _Parameters.args, **kwargs: _Parameters.kwargs) -> None:
        pen.of_person = True
        draw(pen, *args, **kwargs)
        pen.of_person = False

    return marked


@_of_person
def draw_standing(pen: Pen, look: Look) -> None:
    """Draws legs and torso of a standing player."""
    for side in (-1, 1):
        pen.line([(0.14 * side, 0.35), (0.17 * side, 1.15)], 0.22, look.trousers)
        pen.polygon(oval((0.21 * side, 1.19), 0.15, 0.06), look.shoes)
    _draw_torso(pen, look)


@_of_person
def draw_seated(pen: Pen, look: Look) -> None:
    """Draws a chair and the legs and torso of a player who sits with the knees apart."""
    pen.polygon(box(-0.42, 0.42, 0.42, 0.54), look.chair, shade(look.chair, 0.6))
    for side in (-1, 1):
        pen.line([(0.36 * side, 0.5), (0.38 * side, 1.22)], 0.06, shade(look.chair, 0.7))
    _draw_torso(pen, look)
    for side in (-1, 1):
        pen.line([(0.2 * side, 0.38), (0.5 * side, 0.55), (0.5 * side, 1.12)], 0.22, look.trousers)
        pen.polygon(oval((0.55 * side, 1.18), 0.15, 0.06), look.shoes)


@_of_person
def draw_head(pen: Pen, look: Look, pose: Pose, *, lean: float = 0.0) -> None:
    """Draws neck, head, hair and face; the head nods at the start of a note.

    Args:
        pen: Pen to draw with.
        look: Colours and hair style.
        pose: Gives the nod.
        lean: Offset of the head to the right.
    """
    x, y = _HEAD[0] + lean, _HEAD[1] + 0.04 * pose.glow
    if look.hair_style == "long":
        pen.polygon(oval((x, y + 0.12), 0.36, 0.46), look.hair)
    if look.hair_style == "bun":
        pen.disc((x, y - 0.36), 0.14, look.hair)
    pen.line([(x * 0.5, SHOULDER_Y), (x, y + 0.2)], 0.18, shade(look.skin, 0.85))
    if look.hair_style != "bald":
        pen.disc((x, y - 0.05), 0.33, look.hair)
    if look.hair_style == "curly":
        for angle in np.linspace(-np.pi, 0, 7):
            pen.disc((x + 0.3 * float(np.cos(angle)), y - 0.08 + 0.27 * float(np.sin(angle))), 0.12, look.hair)
    pen.polygon(oval((x, y + 0.03), 0.275, 0.28), look.skin, shade(look.skin, 0.75))
    _draw_face(pen, look, (x, y))


@_of_person
def draw_arm(pen: Pen, look: Look, side: int, hand: Point, *, bend: float = 0.22) -> None:
    """Draws an arm from a shoulder to a hand.

    Args:
        pen: Pen to draw with.
        look: Colours.
        side: -1 for the left shoulder in the frame, 1 for the right one.
        hand: Position of the hand.
        bend: Distance of the elbow from the straight line, downwards and outwards.
    """
    shoulder = (0.36 * side, SHOULDER_Y + 0.1)
    elbow = (0.55 * shoulder[0] + 0.45 * hand[0] + 0.6 * bend * side, (shoulder[1] + hand[1]) / 2 + bend)
    sleeve = shade(look.shirt, 0.88)
    pen.line([shoulder, elbow], 0.21, shade(look.shirt, 0.62))
    pen.line([elbow, hand], 0.19, shade(look.shirt, 0.62))
    pen.line([shoulder, elbow], 0.17, sleeve)
    pen.line([elbow, hand], 0.15, sleeve)
    pen.disc(hand, 0.105, look.skin, shade(look.skin, 0.7))


def _draw_torso(pen: Pen, look: Look) -> None:
    edge = shade(look.shirt, 0.62)
    outline = [
        (-0.2, -0.62),
        (0.2, -0.62),
        (0.42, -0.52),
        (0.44, -0.3),
        (0.33, 0.45),
        (-0.33, 0.45),
        (-0.44, -0.3),
        (-0.42, -0.52),
    ]
    pen.polygon(outline, look.shirt, edge)
    if look.stripe != look.shirt:
        for y in (-0.3, -0.1, 0.1, 0.3):
            pen.line([(-0.36 + 0.06 * y, y), (0.36 - 0.06 * y, y)], 0.07, look.stripe)


def _draw_face(pen: Pen, look: Look, centre: Point) -> None:
    x, y = centre
    if look.hair_style != "bald":
        pen.polygon(
            [
                (x - 0.27, y - 0.05),
                (x - 0.2, y - 0.24),
                (x, y - 0.29),
                (x + 0.2, y - 0.24),
                (x + 0.27, y - 0.05),
                (x + 0.1, y - 0.15),
                (x - 0.12, y - 0.13),
            ],
            look.hair,
        )
    dark = (40, 30, 30)
    for side in (-1, 1):
        pen.disc((x + 0.1 * side, y + 0.03), 0.03, dark)
        pen.disc((x + 0.16 * side, y + 0.13), 0.045, shade(look.skin, 0.86))
    smile = [(x - 0.08, y + 0.16), (x - 0.03, y + 0.195), (x + 0.03, y + 0.195), (x + 0.08, y + 0.16)]
    pen.line(smile, 0.03, (150, 60, 60))
