"""Named ranges of timbres, keys, rooms and drawing styles for the solos of a set."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from data_pipeline.command import InputError
from data_pipeline.rendered.filming.ranges import SceneRanges
from data_pipeline.rendered.sound.broad_sound import Situations
from data_pipeline.rendered.sound.instruments import Instrument
from data_pipeline.rendered.sound.note_folder import NoteFolder
from data_pipeline.rendered.sound.reverberation import RoomRanges
from data_pipeline.rendered.sound.synthesise import Renderer, additive_renderer

ALL_KEYS = tuple(range(12))


@dataclasses.dataclass(frozen=True)
class Variety:
    """Ranges that the solos of a set are drawn from.

    Attributes:
        programs: General MIDI programs (from 0) that a class may have instead of its own.
        own_program: Whether the class's own program may be drawn.
        additive_share: Probability that the additive synthesiser makes a solo, 0 to 1, when no soundfont was named.
        keys: Pitch classes (0 is C) of the tonics; with few of them the solos share notes and harmonics.
        room: Ranges of recording situations.
        styles: Drawing styles of solos that are not filmed, names in `style.STYLES`.
        situations: Ranges of expressive playing and of recordings; None for notes as they are composed.
        scene: Ranges of furnished scenes that a camera records; None for a still background and a whole player.
    """

    programs: Mapping[str, tuple[int, ...]] = dataclasses.field(default_factory=dict)
    own_program: bool = True
    additive_share: float = 0.0
    keys: tuple[int, ...] = ALL_KEYS
    room: RoomRanges = dataclasses.field(default_factory=RoomRanges)
    styles: tuple[str, ...] = ("plain",)
    situations: Situations | None = None
    scene: SceneRanges | None = None


# C and G: two solos in these keys share six of seven notes.
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
# The tuning note is 430 to 450 Hz.
_BROAD_ROOM = RoomRanges(
    cents=(-39.8, 38.9),
    tilt_db_per_octave=(-4, 4),
    noise_dbfs=(-80, -52),
    level_dbfs=(-32, -13),
    peaks=3,
    peak_db=9.0,
)
VARIETIES = {
    # One timbre per class, similar rooms, one drawing style.
    "plain": Variety(),
    # Timbres of related programs and equalisers, large and noisy rooms, many drawing styles, shared notes.
    "wide": Variety(
        programs={"flute": (72,), "saxophone": (64,), "trumpet": (59,), "xylophone": (12,)},
        keys=_SHARED_KEYS,
        room=_WIDE_ROOM,
        styles=("plain", "tinted", "grey", "blurred", "grainy"),
    ),
    # More varied than "wide" in everything, without any program of "far".
    "broad": Variety(
        programs={
            "accordion": (20,),
            "flute": (72,),
            "saxophone": (64, 65),
            "trumpet": (59,),
            "xylophone": (12,),
        },
        room=_BROAD_ROOM,
        situations=Situations(),
        styles=("plain", "tinted", "grey", "blurred", "grainy"),
        scene=SceneRanges(),
    ),
    # Disjoint from the others: other related programs where General MIDI has some, else the additive synthesiser.
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
    """Returns a variety by its name.

    Raises:
        InputError: The name is unknown.
    """
    if name not in VARIETIES:
        raise InputError(f"variety={name!r} is unknown; use one of {', '.join(VARIETIES)}")
    return VARIETIES[name]


def class_programs(variety: Variety, instrument: Instrument) -> tuple[int, ...]:
    """Returns the General MIDI programs that the solos of a class may have."""
    programs = tuple(variety.programs.get(instrument.name, ()))
    return (instrument.gm_program, *programs) if variety.own_program else programs


def choose_timbre(
    variety: Variety, instrument: Instrument, renderer: Renderer, rng: np.random.Generator
) -> tuple[Instrument, Renderer]:
    """Draws the General MIDI program and the renderer of one solo, or one instrument of a folder of recorded notes.

    Args:
        variety: Variety of the set.
        instrument: Instrument of the class.
        renderer: Renderer of the set; the additive one is never replaced.
        rng: Random generator.

    Returns:
        The instrument with its program, and the renderer.
    """
    if isinstance(renderer.font, NoteFolder):
        sets = renderer.font.sets[instrument.name]
        chosen = sets[int(rng.integers(len(sets)))]
        return instrument, dataclasses.replace(
            renderer, font=dataclasses.replace(renderer.font, sets={instrument.name: (chosen,)})
        )
    # In a user's soundfont the class's own program is new, too.
    own = variety.own_program or (renderer.font is not None and not renderer.font.bundled)
    programs = class_programs(dataclasses.replace(variety, own_program=own), instrument)
    additive = rng.random() < variety.additive_share
    program = programs[int(rng.integers(len(programs)))] if programs else None
    if renderer.font is None or program is None or (additive and renderer.font.bundled):
        return instrument, additive_renderer()
    return dataclasses.replace(instrument, gm_program=program), renderer
