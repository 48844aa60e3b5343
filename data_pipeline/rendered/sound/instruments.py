"""The eleven instruments of the MUSIC data set, for the composer and the synthesiser."""

import dataclasses
from typing import Literal

Texture = Literal["wind", "bowed", "accordion", "guitar", "mallets"]


@dataclasses.dataclass(frozen=True)
class Instrument:
    """What an instrument can play.

    Attributes:
        name: Class name, which is also the name of the class's folder.
        gm_program: General MIDI program, counted from 0.
        low: Lowest MIDI pitch that is composed for it (60 is middle C), sounding pitch.
        high: Highest MIDI pitch that is composed for it.
        beats_per_minute: Slowest and fastest tempo.
        liveliness: Share of bars with short notes, 0 to 1.
        legato: Typical length of a note as a share of the time to the next one.
        texture: How notes are arranged around the melody.
        double_stops: Probability that a long note gets a second voice, 0 to 1.
        modes: Names of the scales of its melodies.
    """

    name: str
    gm_program: int
    low: int
    high: int
    beats_per_minute: tuple[float, float]
    liveliness: float
    legato: float
    texture: Texture
    double_stops: float = 0.0
    modes: tuple[str, ...] = (
        "major",
        "dorian",
        "mixolydian",
        "minor",
        "major_pentatonic",
        "minor_pentatonic",
    )


# General MIDI has no erhu, so it uses the fiddle (110); the violin has its own program (40). The saxophone is a tenor
# (66), because in TimGM6mb the alto (65) is silent at pitch 64, in the middle of its range.
_ALL = (
    Instrument("accordion", 21, 36, 89, (92, 140), 0.65, 0.92, "accordion"),
    Instrument("acoustic_guitar", 25, 40, 83, (76, 126), 0.6, 1.0, "guitar"),
    Instrument("cello", 42, 36, 76, (62, 104), 0.35, 0.97, "bowed", 0.18),
    Instrument("clarinet", 71, 50, 89, (76, 132), 0.55, 0.93, "wind"),
    Instrument(
        "erhu",
        110,
        62,
        91,
        (60, 108),
        0.45,
        0.98,
        "bowed",
        0.0,
        ("major_pentatonic", "minor_pentatonic", "dorian"),
    ),
    Instrument("flute", 73, 60, 96, (76, 136), 0.6, 0.93, "wind"),
    Instrument("saxophone", 66, 44, 76, (72, 128), 0.5, 0.92, "wind"),
    Instrument("trumpet", 56, 54, 82, (84, 132), 0.5, 0.85, "wind"),
    Instrument("tuba", 58, 28, 55, (72, 116), 0.35, 0.85, "wind"),
    Instrument("violin", 40, 55, 93, (72, 132), 0.55, 0.96, "bowed", 0.15),
    Instrument("xylophone", 13, 65, 103, (88, 144), 0.7, 0.8, "mallets"),
)

INSTRUMENTS: dict[str, Instrument] = {instrument.name: instrument for instrument in _ALL}
CLASSES: tuple[str, ...] = tuple(INSTRUMENTS)
