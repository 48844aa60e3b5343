"""Chooses sounds by their numbers or names."""

from collections.abc import Mapping, Sequence
from typing import Any

from data_pipeline.command import InputError
from mpnet_jax.pretrained.imagenet_names import NAMES, label


def check_choice(flag: str, chosen: Sequence[str], *, named: bool) -> None:
    """Checks a choice before anything is separated.

    Args:
        flag: Name of the option, for messages.
        chosen: Numbers, from 1, or names of sounds, such as "violin" or "acoustic_guitar".
        named: Whether sounds get names.

    Raises:
        InputError: A name is not among those that the classifier gives, or sounds get no names.
    """
    known = {label(name) for name in NAMES}
    for word in chosen:
        if word.isdecimal():
            if int(word) < 1:
                raise InputError(f"{flag}={word}: sounds are numbered from 1")
        elif not named:
            raise InputError(f"{flag}={word} is a name, and sounds get no names here; give numbers, or leave out names")
        elif label(word) not in known:
            raise InputError(
                f"{flag}={word} is no name of a sound; give a number, or one of {', '.join(sorted(known))}"
            )


def chosen_numbers(flag: str, chosen: Sequence[str], sounds: Sequence[Mapping[str, Any]]) -> list[int]:
    """Returns the numbers of chosen sounds in ascending order; a name chooses all sounds that have it.

    Args:
        flag: Name of the option, for messages.
        chosen: See `check_choice`.
        sounds: The sounds of a separation, each with `number` and `name`.

    Raises:
        InputError: There is no such sound.
    """
    numbers: set[int] = set()
    for word in chosen:
        found = {
            sound["number"]
            for sound in sounds
            if word == str(sound["number"]) or (sound["name"] and label(sound["name"]) == label(word))
        }
        if not found:
            there = ", ".join(f"{sound['number']} ({sound['name'] or 'unknown'})" for sound in sounds) or "none"
            raise InputError(f"{flag}={word}: this video has no such sound; its sounds are: {there}")
        numbers |= found
    return sorted(numbers)
