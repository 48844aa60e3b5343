"""Chooses what differs between solos: skin, hair and clothes, colour of the instrument, position and size."""

import dataclasses

import numpy as np

from data_pipeline.rendered.drawing.pen import Colour, from_hsv, shade

_SKINS: tuple[Colour, ...] = (
    (250, 218, 190),
    (241, 194, 155),
    (224, 172, 125),
    (198, 134, 88),
    (141, 90, 56),
    (98, 62, 42),
)
_HAIRS: tuple[Colour, ...] = (
    (36, 28, 26),
    (70, 44, 30),
    (112, 72, 40),
    (168, 78, 40),
    (205, 165, 90),
    (158, 158, 162),
)
_HAIR_STYLES = ("short", "long", "bun", "curly", "bald")
# Hue (turns), saturation and value of an instrument's body, and the largest deviation of each.
_BODIES = {
    "accordion": ((0.985, 0.88, 0.72), (0.02, 0.08, 0.10)),
    "acoustic_guitar": ((0.105, 0.60, 0.92), (0.012, 0.12, 0.06)),
    "cello": ((0.035, 0.75, 0.52), (0.012, 0.08, 0.06)),
    "clarinet": ((0.70, 0.10, 0.12), (0.10, 0.08, 0.03)),
    "erhu": ((0.01, 0.55, 0.26), (0.02, 0.12, 0.05)),
    "flute": ((0.60, 0.05, 0.90), (0.05, 0.04, 0.05)),
    "saxophone": ((0.105, 0.82, 0.86), (0.010, 0.08, 0.05)),
    "trumpet": ((0.135, 0.72, 0.97), (0.010, 0.10, 0.03)),
    "tuba": ((0.120, 0.70, 0.86), (0.012, 0.10, 0.06)),
    "violin": ((0.062, 0.80, 0.76), (0.012, 0.08, 0.06)),
    "xylophone": ((0.030, 0.68, 0.66), (0.015, 0.10, 0.07)),
}
# Default of the smallest and largest share of the frame that the player's boxes of a solo cover together.
AREA = (0.28, 0.36)


@dataclasses.dataclass(frozen=True)
class Look:
    """Appearance of one player with one instrument at one position.

    Attributes:
        skin: Colour of face and hands.
        hair: Colour of the hair.
        hair_style: One of short, long, bun, curly, bald.
        shirt: Colour of the upper body.
        stripe: Colour of the shirt's stripes; equal to `shirt` for none.
        trousers: Colour of the legs.
        shoes: Colour of the feet.
        body: Main colour of the instrument.
        chair: Colour of the chair of a seated player.
        area: Share of the frame that all boxes of the solo cover together, 0 to 1.
        angle: Tilt of the figure in radians.
        mirror: Whether left and right are swapped.
        place: Position (x, y) of the figure within the free space that its size leaves, each 0 to 1.
    """

    skin: Colour
    hair: Colour
    hair_style: str
    shirt: Colour
    stripe: Colour
    trousers: Colour
    shoes: Colour
    body: Colour
    chair: Colour
    area: float
    angle: float
    mirror: bool
    place: tuple[float, float]


def choose_look(
    name: str,
    index: int,
    rng: np.random.Generator,
    *,
    phase: tuple[float, float],
    area: tuple[float, float] = AREA,
) -> Look:
    """Draws an appearance.

    Args:
        name: Class name of the instrument.
        index: Number of the solo in its class; consecutive numbers spread evenly over the frame.
        rng: Random generator of everything except the position.
        phase: (x, y) shift of the class's positions, each 0 to 1.
        area: Smallest and largest share of the frame that the player's box takes.
    """
    shirt = from_hsv(rng.uniform(0.22, 1.0), rng.uniform(0.06, 0.3), rng.uniform(0.45, 0.95))
    centre, spread = _BODIES[name]
    hue, saturation, value = (float(c + s * rng.uniform(-1, 1)) for c, s in zip(centre, spread, strict=True))
    return Look(
        skin=_SKINS[int(rng.integers(len(_SKINS)))],
        hair=_HAIRS[int(rng.integers(len(_HAIRS)))],
        hair_style=_HAIR_STYLES[int(rng.integers(len(_HAIR_STYLES)))],
        shirt=shirt,
        stripe=shade(shirt, float(rng.choice([0.8, 1.0, 1.0, 1.35]))),
        trousers=from_hsv(rng.uniform(0.5, 0.75), rng.uniform(0.1, 0.5), rng.uniform(0.25, 0.5)),
        shoes=from_hsv(rng.uniform(0, 1), 0.25, rng.uniform(0.12, 0.3)),
        body=from_hsv(hue, saturation, value),
        chair=from_hsv(rng.uniform(0.04, 0.12), rng.uniform(0.1, 0.4), rng.uniform(0.35, 0.6)),
        area=float(rng.uniform(*area)),
        angle=float(rng.uniform(-0.12, 0.12)),
        mirror=bool(rng.integers(2)),
        place=_spread(index, phase),
    )


def _spread(index: int, phase: tuple[float, float]) -> tuple[float, float]:
    """Returns point `index` of a sequence that fills the unit square evenly (powers of the plastic number)."""
    plastic = 1.32471795724474602596
    x, y = ((shift + (index + 1) / plastic**power) % 1 for power, shift in enumerate(phase, start=1))
    return x, y
