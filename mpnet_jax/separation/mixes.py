"""Computes sounds that are no stems: the recording without some sounds, and the sound of a place."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import soundfile

from mpnet_jax.pretrained.imagenet_names import label
from mpnet_jax.separation.choice import chosen_numbers
from mpnet_jax.separation.finished import Finished
from mpnet_jax.separation.place_sounds import PlaceSounds
from mpnet_jax.separation.stems import read_blocks, sound_errors, sound_name


def write_mixes(
    finished: Finished, *, without: Sequence[str], place: tuple[float, float] | None
) -> dict[Path, dict[str, Any]]:
    """Writes the sounds into the folder of the separation, as sound files of 32-bit floats.

    Args:
        finished: The finished separation, with feature maps if there is a place.
        without: Numbers or names of the sounds that are left out of the recording; empty for none.
        place: Fractions of the picture from the left and from the top; None for no place.

    Returns:
        What each file holds, JSON-ready: `without` (the numbers), or `place`.

    Raises:
        InputError: There is no such sound, or the disk is full.
    """
    files: dict[Path, dict[str, Any]] = {}
    if without:
        numbers = chosen_numbers("without", without, finished.summary["sounds"])
        path = finished.folder / f"without_{'_'.join(label(word) for word in without)}.wav"
        kept = [stem for number, stem in finished.stems.items() if number not in numbers]
        with sound_errors(finished.folder), _new(path, finished) as out:
            for blocks in read_blocks(kept):
                out.write(sum(blocks[1:], blocks[0]))
        files[path] = {"without": numbers}
    if place is not None:
        places = PlaceSounds(finished.folder, finished.facts)
        path = finished.folder / "place.wav"
        with sound_errors(finished.folder), _new(path, finished) as out:
            out.write(places.sound(places.place_of(*place)).T)
        files[path] = {"place": list(place)}
    return files


def _new(path: Path, finished: Finished) -> soundfile.SoundFile:
    rate_hz, channels = finished.facts["rate_hz"], finished.facts["channels"]
    return soundfile.SoundFile(sound_name(path), "w", rate_hz, channels, subtype="FLOAT", format="RF64")
