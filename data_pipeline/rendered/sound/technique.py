"""What players of the eleven instruments do beside playing notes: vibrato, slides, double stops, breath."""

import dataclasses

from data_pipeline.rendered.sound.reverberation import Peak


@dataclasses.dataclass(frozen=True)
class Technique:
    """How an instrument can be played.

    Attributes:
        lowest: Lowest MIDI pitch of the instrument, below that of `Instrument`, which the composer uses by default.
        highest: Highest MIDI pitch.
        vibrato: Factor of the vibrato's depth.
        slides: Factor of the probability of slides between notes and of scooped attacks.
        bends: Factor of the deviations of the pitch from note to note.
        swells: Whether the level can change while a note sounds.
        voices: Notes at once that the instrument can play.
        drones: Whether a low note can sound below the others.
        breath_db: Typical level of breath or bow noise relative to the tone; None for none.
        breath_hz: Middle of the band of this noise.
        body: Resonances of the instrument's body which soundfonts lack.
    """

    lowest: int
    highest: int
    vibrato: float = 1.0
    slides: float = 1.0
    bends: float = 1.0
    swells: bool = True
    voices: int = 1
    drones: bool = False
    breath_db: float | None = None
    breath_hz: float = 2000.0
    body: tuple[Peak, ...] = ()


TECHNIQUES: dict[str, Technique] = {
    "accordion": Technique(36, 96, vibrato=0.1, slides=0.0, bends=0.1, voices=4, drones=True),
    "acoustic_guitar": Technique(40, 88, vibrato=0.35, slides=0.4, bends=0.4, swells=False, voices=6),
    "cello": Technique(36, 84, slides=1.0, voices=2, drones=True, breath_db=-38, breath_hz=2500),
    "clarinet": Technique(50, 94, vibrato=0.35, slides=0.4, bends=0.7, breath_db=-42),
    # Soundfonts use samples of the violin for fiddles. A snakeskin membrane without sound holes sounds nasal.
    "erhu": Technique(
        57,
        93,
        vibrato=1.5,
        slides=1.8,
        breath_db=-34,
        breath_hz=3500,
        body=(Peak(280, -8, 0.9), Peak(900, 8, 0.45), Peak(2600, 6, 0.4)),
    ),
    "flute": Technique(59, 98, vibrato=0.8, slides=0.4, breath_db=-28, breath_hz=3000),
    "saxophone": Technique(44, 84, slides=0.9, breath_db=-36, breath_hz=2500),
    "trumpet": Technique(52, 86, vibrato=0.6, slides=0.7, breath_db=-44),
    "tuba": Technique(28, 62, vibrato=0.4, slides=0.4, breath_db=-38, breath_hz=900),
    "violin": Technique(55, 100, slides=1.0, voices=2, drones=True, breath_db=-38, breath_hz=4000),
    "xylophone": Technique(65, 108, vibrato=0.0, slides=0.0, bends=0.2, swells=False, voices=2),
}
