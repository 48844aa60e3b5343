"""How far solos may differ from each other in timbre, key, room and drawing: by name, for a whole set."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from data_pipeline.command import InputError
from data_pipeline.rendered.sound.instruments import Instrument
from data_pipeline.rendered.sound.reverberation import RoomRanges
from data_pipeline.rendered.sound.synthesise import Renderer, additive_renderer

ALL_KEYS = tuple(range(12))


@dataclasses.dataclass(frozen=True)
class Variety:
    """What the solos of a set are drawn from.

    Attributes:
        programs: General MIDI programs (from 0) that a class may have instead of its own.
        own_program: whether its own one is among them.
        additive_share: chance that a solo is made by the additive synthesiser, 0 to 1, where no soundfont was named.
        keys: pitch classes (0 is C) that tonics are taken from; few of them make the solos share notes and harmonics.
        room: recording situations.
        styles: of drawing, names in `style.STYLES`.
    """

    programs: Mapping[str, tuple[int, ...]] = dataclasses.field(default_factory=dict)
    own_program: bool = True
    additive_share: float = 0.0
    keys: tuple[int, ...] = ALL_KEYS
    room: RoomRanges = dataclasses.field(default_factory=RoomRanges)
    styles: tuple[str, ...] = ("plain",)


# C and G with their relatives: two solos of these keys have six of seven notes in common.
_SHARED_KEYS = (0, 7)
_WIDE_ROOM = RoomRanges(
    cents=(-30, 30),
    tilt_db_per_octave=(-3, 3),
    reverb_seconds=(0.15, 1.2),
    reverb_level=(0.02, 0.5),
    noise_dbfs=(-65, -45),
    level_dbfs=(-28, -14),
    peaks=3,
    peak_db=9.0,
)
VARIETIES = {
    # One timbre a class, rooms much alike, one way of drawing.
    "plain": Variety(),
    # Timbres by neighbouring programs and equalisers, large and noisy rooms, many ways of drawing, shared notes.
    "wide": Variety(
        programs={"flute": (72,), "saxophone": (64,), "trumpet": (59,), "xylophone": (12,)},
        keys=_SHARED_KEYS,
        room=_WIDE_ROOM,
        styles=("plain", "tinted", "grey", "blurred", "grainy"),
    ),
    # What "wide" never shows: other programs where General MIDI has a kin, else the additive synthesiser; other styles.
    "far": Variety(
        programs={
            "accordion": (23,),
            "acoustic_guitar": (24,),
            "cello": (43,),
            "flute": (74,),
            "saxophone": (67,),
            "tuba": (57,),
            "violin": (41,),
            "xylophone": (11,),
        },
        own_program=False,
        additive_share=0.5,
        keys=_SHARED_KEYS,
        room=_WIDE_ROOM,
        styles=("sketched", "posterised", "night"),
    ),
}


def choose_variety(name: str) -> Variety:
    """A variety by its name.

    Raises:
        InputError: an unknown name.
    """
    if name not in VARIETIES:
        raise InputError(f"variety={name!r} is unknown; use one of {', '.join(VARIETIES)}")
    return VARIETIES[name]


def choose_timbre(
    variety: Variety, instrument: Instrument, renderer: Renderer, rng: np.random.Generator
) -> tuple[Instrument, Renderer]:
    """Draws the General MIDI program and the renderer of one solo.

    Args:
        variety: of the set.
        instrument: the class's.
        renderer: the set's; the additive one stays.
        rng: source of the choice.

    Returns:
        The instrument with its program, and what renders it.
    """
    programs = variety.programs.get(instrument.name, ())
    if variety.own_program or (renderer.font and not renderer.font.bundled):
        programs = (instrument.gm_program, *programs)  # in a soundfont of the user's the class's own is new, too
    additive = rng.random() < variety.additive_share
    program = programs[int(rng.integers(len(programs)))] if programs else None
    if renderer.font is None or program is None or (additive and renderer.font.bundled):
        return instrument, additive_renderer()
    return dataclasses.replace(instrument, gm_program=program), renderer
