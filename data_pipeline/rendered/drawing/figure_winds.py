"""Draws the players of wind instruments: flute, clarinet, saxophone, trumpet, tuba."""

import numpy as np

from data_pipeline.rendered.drawing import person
from data_pipeline.rendered.drawing.look import Look
from data_pipeline.rendered.drawing.motion import Pose
from data_pipeline.rendered.drawing.pen import Colour, Pen, oval, rotate, shade, smooth

_SILVER: Colour = (222, 226, 232)


def draw_flute(pen: Pen, look: Look, pose: Pose) -> None:
    """Draws a thin silver tube held level to the side, with both hands on it."""
    person.draw_standing(pen, look)
    person.draw_head(pen, look, pose)
    lift = 0.05 * pose.glow
    near, far = (-0.22, -0.84 - 0.2 * lift), (1.42, -0.66 - 2.5 * lift)
    silver = shade(look.body, 1 + 0.4 * pose.glow)
    pen.line([near, far], 0.15, shade(look.body, 0.42))
    pen.line([near, far], 0.11, silver)
    pen.line([_between(near, far, 0.02, -0.02), _between(near, far, 0.98, -0.02)], 0.03, (255, 255, 255))
    for k in range(7):
        down = (pose.movement * 5 + k * 3) % 4 == 0
        pen.disc(
            _between(near, far, 0.38 + 0.08 * k, 0.0),
            0.06,
            shade(_SILVER, 0.55 if down else 0.8),
            (90, 96, 104),
        )
    for share in (0.3, 0.9):
        pen.line([_between(near, far, share, -0.05), _between(near, far, share, 0.05)], 0.04, (120, 126, 136))
    wiggle = 0.015 * (1 if pose.movement % 2 else -1)
    person.draw_arm(pen, look, 1, _between(near, far, 0.75 + wiggle, 0.1), bend=0.3)
    person.draw_arm(pen, look, -1, _between(near, far, 0.45 - wiggle, 0.12), bend=0.32)


def draw_clarinet(pen: Pen, look: Look, pose: Pose) -> None:
    """Draws a black tube with silver keys from the mouth down to the knees, with a small bell."""
    person.draw_standing(pen, look)
    person.draw_head(pen, look, pose)
    swing = 0.1 * pose.glow
    top, end = (0.0, -0.82), (0.34 + swing, 0.72 - 0.6 * swing)
    black = shade(look.body, 1 + 0.15 * pose.glow)
    rim = (150, 152, 162)
    path = [
        top,
        _between(top, end, 0.15, 0.0),
        _between(top, end, 0.5, 0.0),
        _between(top, end, 0.85, 0.0),
        end,
    ]
    pen.tube(path, (0.1, 0.16, 0.18, 0.19, 0.44), rim)
    pen.tube(path, (0.06, 0.12, 0.14, 0.15, 0.38), black)
    pen.polygon(oval(end, 0.2, 0.06, -0.22), shade(look.body, 0.6), rim)
    for share in (0.14, 0.5, 0.86):
        pen.line([_between(top, end, share, -0.075), _between(top, end, share, 0.075)], 0.045, _SILVER)
    for k in range(8):
        down = (pose.movement * 3 + k * 5) % 3 == 0
        colour = shade(_SILVER, 0.6) if down else _SILVER
        pen.disc(_between(top, end, 0.22 + 0.08 * k, 0.04 if k % 2 else -0.04), 0.04, colour)
    wiggle = 0.02 * (1 if pose.movement % 2 else -1)
    person.draw_arm(pen, look, 1, _between(top, end, 0.4 + wiggle, -0.12), bend=0.26)
    person.draw_arm(pen, look, -1, _between(top, end, 0.68 - wiggle, 0.12), bend=0.26)


def draw_saxophone(pen: Pen, look: Look, pose: Pose) -> None:
    """Draws a golden hook: a crook at the mouth, a body that widens downwards, and a bell that turns up again."""
    person.draw_standing(pen, look)
    person.draw_head(pen, look, pose)
    gold = shade(look.body, 1 + 0.35 * pose.glow)
    dark = shade(look.body, 0.5)
    turn = -0.08 - 0.1 * pose.glow
    path = [
        (0.02, -0.8),
        (0.2, -0.9),
        (0.33, -0.78),
        (0.34, -0.4),
        (0.38, 0.1),
        (0.44, 0.5),
        (0.64, 0.7),
        (0.86, 0.52),
        (0.94, 0.2),
        (1.0, -0.02),
    ]
    points = rotate(path, turn, (0.02, -0.8))
    widths = (0.06, 0.09, 0.12, 0.17, 0.22, 0.28, 0.3, 0.32, 0.38, 0.66)
    pen.tube(points, [w + 0.05 for w in widths], dark)
    pen.tube(points, widths, gold)
    pen.polygon(oval(tuple(points[-1]), 0.33, 0.1, turn + 0.25), shade(look.body, 0.4), gold)
    shine = smooth(points[3:8]) + np.array([-0.05, 0.0])
    pen.line(shine, 0.05, shade(look.body, 1.65))
    pen.line([points[0], 0.45 * points[0] + 0.55 * points[1]], 0.075, (30, 28, 30))
    for k in range(6):
        x, y = rotate([(0.4 + 0.015 * k, -0.5 + 0.17 * k)], turn, (0.02, -0.8))[0]
        down = (pose.movement * 5 + k * 2) % 3 == 0
        pen.disc((x, y), 0.065, shade(look.body, 0.7 if down else 1.5), dark)
    wiggle = 0.03 * (1 if pose.movement % 2 else -1)
    left, right = rotate([(0.3, -0.25 + wiggle), (0.36, 0.3 - wiggle)], turn, (0.02, -0.8))
    person.draw_arm(pen, look, 1, tuple(left), bend=0.2)
    person.draw_arm(pen, look, -1, tuple(right), bend=0.22)


def draw_trumpet(pen: Pen, look: Look, pose: Pose) -> None:
    """Draws a bright golden tube held level to the side: a flat loop, three valves, a wide bell."""
    person.draw_standing(pen, look)
    person.draw_head(pen, look, pose)
    gold = shade(look.body, 1 + 0.35 * pose.glow)
    dark = shade(look.body, 0.5)
    turn = 0.03 - 0.12 * pose.glow
    origin = (0.04, -0.8)

    def at(points: list[tuple[float, float]]) -> np.ndarray:
        return rotate(points, turn, origin)

    loop = [(0.4, -0.8), (0.3, -0.67), (0.4, -0.52), (1.0, -0.52), (1.14, -0.66), (1.0, -0.8), (0.4, -0.8)]
    pen.line(at(loop), 0.14, dark)
    pen.line(at(loop), 0.1, gold)
    tube = at([(0.04, -0.8), (0.4, -0.8), (0.9, -0.8), (1.2, -0.8), (1.38, -0.8), (1.5, -0.8)])
    widths = (0.08, 0.1, 0.11, 0.16, 0.34, 0.78)
    pen.tube(tube, [w + 0.05 for w in widths], dark)
    pen.tube(tube, widths, gold)
    pen.polygon(oval(tuple(tube[-1]), 0.1, 0.4, turn), shade(look.body, 0.5), gold)
    pen.line(at([(0.25, -0.82), (1.15, -0.83)]), 0.03, shade(look.body, 1.75))
    for k in range(3):
        down = 0.07 if (pose.movement >> k) % 2 and pose.sounding else 0.0
        x = 0.58 + 0.13 * k
        pen.line(at([(x, -1.0 + down), (x, -0.8)]), 0.06, _SILVER)
        pen.line(at([(x, -0.82), (x, -0.44)]), 0.11, dark)
        pen.line(at([(x, -0.82), (x, -0.45)]), 0.08, shade(look.body, 1.2))
    person.draw_arm(pen, look, 1, tuple(at([(0.62, -0.46)])[0]), bend=0.3)
    person.draw_arm(pen, look, -1, tuple(at([(0.42, -0.62 + 0.03 * pose.glow)])[0]), bend=0.3)


def draw_tuba(pen: Pen, look: Look, pose: Pose) -> None:
    """Draws a huge brass coil in the lap with a bell that opens upwards next to the head."""
    person.draw_seated(pen, look)
    gold = shade(look.body, 1 + 0.3 * pose.glow)
    dark = shade(look.body, 0.48)
    rise = 0.04 * pose.glow
    horn = [
        (-0.5, 0.6),
        (-0.1, 0.98),
        (0.4, 0.9),
        (0.62, 0.4),
        (0.64, -0.2),
        (0.64, -0.8),
        (0.66, -1.15),
        (0.68, -1.42 - rise),
    ]
    widths = (0.26, 0.3, 0.34, 0.38, 0.4, 0.46, 0.62, 1.12)
    pen.tube(horn, [w + 0.06 for w in widths], dark)
    pen.tube(horn, widths, gold)
    pen.polygon(oval(horn[-1], 0.57, 0.15, 0.03), shade(look.body, 0.42), gold)
    person.draw_head(pen, look, pose, lean=-0.1)
    for radius, width in ((1.0, 0.26), (0.56, 0.2)):
        ring = oval((0.02, 0.4), 0.5 * radius, 0.56 * radius)[::2]
        ring = np.concatenate([ring, ring[:1]])
        pen.tube(ring, (width, width), dark)
        pen.tube(ring, (width - 0.06, width - 0.06), gold)
        pen.line(ring[7:11], 0.05, shade(look.body, 1.6))
    pen.line([(-0.1, -0.8), (-0.02, -0.62), (0.2, -0.42), (0.2, -0.1)], 0.09, gold)
    pen.disc((-0.1, -0.8), 0.08, _SILVER, dark)
    for k in range(3):
        down = 0.08 if (pose.movement >> k) % 2 and pose.sounding else 0.0
        x = -0.16 + 0.16 * k
        pen.line([(x, 0.12 + down), (x, 0.3)], 0.06, _SILVER)
        pen.line([(x, 0.28), (x, 0.62)], 0.12, shade(look.body, 1.3))
    pen.line([(0.62, 0.3), (0.64, -0.9)], 0.06, shade(look.body, 1.6))
    person.draw_arm(pen, look, 1, (0.5, 0.3), bend=0.12)
    person.draw_arm(pen, look, -1, (-0.12 + 0.02 * pose.glow, 0.16), bend=0.25)


def _between(near: tuple[float, float], far: tuple[float, float], share: float, across: float) -> tuple[float, float]:
    """Returns a point along a straight tube, `across` units to the side of its axis."""
    direction = np.array(far) - np.array(near)
    normal = np.array([-direction[1], direction[0]]) / np.linalg.norm(direction)
    x, y = np.array(near) + share * direction + across * normal
    return float(x), float(y)
