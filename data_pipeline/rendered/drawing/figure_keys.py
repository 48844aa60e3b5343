"""Draws the players of accordion and xylophone."""

import numpy as np

from data_pipeline.rendered.drawing import person
from data_pipeline.rendered.drawing.look import Look
from data_pipeline.rendered.drawing.motion import Pose
from data_pipeline.rendered.drawing.pen import Colour, Pen, Point, box, rotate, shade

_IVORY: Colour = (246, 242, 230)
_BLACK: Colour = (30, 28, 32)
_BRASS: Colour = (206, 176, 96)
_BARS = 13


def draw_accordion(pen: Pen, look: Look, pose: Pose) -> None:
    """Draws two red boxes with bellows between them, which open and close, and white keys on one side."""
    person.draw_standing(pen, look)
    person.draw_head(pen, look, pose)
    red = shade(look.body, 1 + 0.25 * pose.glow)
    edge = shade(look.body, 0.45)
    width = 0.42 + 0.62 * pose.bellows
    fan = 0.1 + 0.16 * pose.bellows
    left, right = -0.5 * width - 0.06, 0.5 * width - 0.06
    _draw_bellows(pen, look, left, right, fan)
    bass = rotate(box(left - 0.34, -0.5, left, 0.46), -fan, (left, 0.46))
    pen.polygon(bass, red, edge)
    for row in range(5):
        for column in range(2):
            dot = rotate([(left - 0.22 + 0.1 * column, -0.32 + 0.15 * row)], -fan, (left, 0.46))[0]
            pen.disc(tuple(dot), 0.04, _IVORY)
    treble = rotate(box(right, -0.5, right + 0.28, 0.46), fan, (right, 0.46))
    pen.polygon(treble, red, edge)
    grille = rotate(box(right + 0.06, -0.4, right + 0.2, 0.36), fan, (right, 0.46))
    pen.polygon(grille, _BRASS, edge)
    keys = rotate(box(right + 0.28, -0.46, right + 0.5, 0.42), fan, (right, 0.46))
    pen.polygon(keys, _IVORY, _BLACK)
    for k in range(8):
        y = -0.4 + 0.11 * k
        struck = pose.sounding and int(7.99 * (1 - pose.pitch)) == k
        line = rotate([(right + 0.28, y), (right + 0.4, y)], fan, (right, 0.46))
        pen.line(line, 0.055, _BLACK if not struck else red)
    hand = rotate([(right + 0.46, 0.36 - 0.72 * pose.pitch)], fan, (right, 0.46))[0]
    person.draw_arm(pen, look, 1, tuple(hand), bend=0.18)
    grip = rotate([(left - 0.34, 0.0)], -fan, (left, 0.46))[0]
    person.draw_arm(pen, look, -1, tuple(grip), bend=0.2)


def _draw_bellows(pen: Pen, look: Look, left: float, right: float, fan: float) -> None:
    """Draws pleats between the two boxes, wider at the top than at the bottom."""
    count = 12
    low = np.linspace(left, right, count + 1)
    spread = 0.86 * np.sin(fan)
    high = np.linspace(left - spread, right + spread, count + 1)
    for k in range(count):
        rise = 0.06 * np.sin(np.pi * (k + 0.5) / count)
        fold = [(high[k], -0.42 - rise), (high[k + 1], -0.42 - rise), (low[k + 1], 0.4), (low[k], 0.4)]
        pen.polygon(fold, (38, 34, 40) if k % 2 else (236, 228, 214))
    pen.line([(high[0], -0.44), (high[-1], -0.44)], 0.05, shade(look.body, 0.6))
    pen.line([(low[0], 0.4), (low[-1], 0.4)], 0.05, shade(look.body, 0.6))


def draw_xylophone(pen: Pen, look: Look, pose: Pose) -> None:
    """Draws a long table of wooden bars, longer on one side, and two mallets that strike in turn."""
    person.draw_standing(pen, look)
    person.draw_head(pen, look, pose)
    _draw_stand(pen)
    struck = int((_BARS - 0.01) * pose.pitch)
    for k in range(_BARS):
        x, half = _bar(k)
        lit = k == struck and pose.sounding
        colour = shade(look.body, 1.0 + (0.2 + 0.7 * pose.glow) * lit + 0.06 * (k % 2))
        pen.polygon(box(x - 0.072, 0.34 - half, x + 0.072, 0.34 + half), colour, shade(look.body, 0.5))
        pen.disc((x, 0.34 - 0.6 * half), 0.018, _IVORY)
        pen.disc((x, 0.34 + 0.6 * half), 0.018, _IVORY)
    striking = pose.movement % 2
    for hand, side in enumerate((-1, 1)):
        x, _ = _bar(struck)
        target = x if hand == striking else x + 0.3 * side
        lift = pose.lifts[hand]
        ball = (float(np.clip(target, -0.95, 0.95)), 0.26 - 0.36 * lift)
        draw_mallet(pen, look, side, ball)


def _draw_stand(pen: Pen) -> None:
    for x in (-0.95, 0.95):
        pen.line([(x, 0.3), (1.02 * x, 1.2)], 0.07, (58, 58, 64))
    for k in range(_BARS):
        x, half = _bar(k)
        pen.polygon(box(x - 0.05, 0.34, x + 0.05, 0.5 + 1.35 * half), _BRASS, shade(_BRASS, 0.6))
    pen.line([(-1.06, 0.02), (1.06, 0.18)], 0.06, (70, 52, 40))
    pen.line([(-1.06, 0.66), (1.06, 0.5)], 0.06, (70, 52, 40))


def draw_mallet(pen: Pen, look: Look, side: int, ball: Point) -> None:
    """Draws an arm with a mallet whose head is at `ball`; side -1 is the left arm in the frame, 1 the right one."""
    hand = (0.5 * ball[0] + 0.24 * side, ball[1] - 0.34)
    person.draw_arm(pen, look, side, hand, bend=0.14)
    pen.line([hand, ball], 0.045, (226, 202, 150))
    pen.disc(ball, 0.085, (60, 90, 190), (24, 40, 110))


def _bar(k: int) -> tuple[float, float]:
    """Returns middle (x) and half length (y) of bar `k`, counted from the lowest."""
    return -0.96 + 1.92 * k / (_BARS - 1), 0.38 - 0.2 * k / (_BARS - 1)
