"""Computes sounds that are no stems: the recording without some sounds, and the sound of a place."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import soundfile

from mpnet_jax.pretrained.imagenet_names import label
from mpnet_jax.separation.choice import chosen_numbers
from mpnet_jax.separation.finished import Finished
from mpnet_jax.separation.peaks import Peaks
from mpnet_jax.separation.place_sounds import PlaceSounds
from mpnet_jax.separation.stems import read_blocks, sound_errors, sound_name


class Mix(NamedTuple):
    """A written sound that is no stem.

    Attributes:
        facts: What it holds, JSON-ready: `without` (the numbers), or `place`.
        peaks: Its outline; see `Peaks`.
    """

    facts: dict[str, Any]
    peaks: list[float]


def write_mixes(finished: Finished, *, without: Sequence[str], place: tuple[float, float] | None) -> dict[Path, Mix]:
    """Writes the sounds into the folder of the separation, as sound files of 32-bit floats.

    Args:
        finished: The finished separation, with feature maps if there is a place.
        without: Numbers or names of the sounds that are left out of the recording; empty for none.
        place: Fractions of the picture from the left and from the top; None for no place.

    Returns:
        The sounds by their files.

    Raises:
        InputError: There is no such sound, or the disk is full.
    """
    files: dict[Path, Mix] = {}
    if without:
        numbers = chosen_numbers("without", without, finished.summary["sounds"])
        path = finished.folder / f"without_{'_'.join(label(word) for word in without)}.wav"
        kept = [stem for number, stem in finished.stems.items() if number not in numbers]
        with sound_errors(finished.folder), _new(path, finished) as out:
            peaks = Peaks()
            for blocks in read_blocks(kept):
                mixed = sum(blocks[1:], blocks[0])
                out.write(mixed)
                peaks.add(mixed.T)
        files[path] = Mix({"without": numbers}, peaks.values())
    if place is not None:
        places = PlaceSounds(finished.folder, finished.facts)
        path = finished.folder / "place.wav"
        with sound_errors(finished.folder), _new(path, finished) as out:
            peaks, sound = Peaks(), places.sound(places.place_of(*place))
            out.write(sound.T)
            peaks.add(sound)
        files[path] = Mix({"place": list(place)}, peaks.values())
    return files


def _new(path: Path, finished: Finished) -> soundfile.SoundFile:
    rate_hz, channels = finished.facts["rate_hz"], finished.facts["channels"]
    return soundfile.SoundFile(sound_name(path), "w", rate_hz, channels, subtype="FLOAT", format="RF64")
