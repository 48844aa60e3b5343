"""Decides which players hold a picture, and which one, so that no picture occurs in two splits."""

import dataclasses
import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from data_pipeline.command import InputError
from data_pipeline.rendered.pictures.folder import HeldPicture, Picture
from data_pipeline.rendered.solo import held_streams, solo_stem

Job = tuple[str, int]


@dataclasses.dataclass(frozen=True)
class PictureChoice:
    """Which players of a set hold which pictures.

    Attributes:
        held: (class, index) -> picture, of the players that hold one.
        parameters: What the choice depends on, in the recorded form; a set is only resumed with equal parameters.
    """

    held: Mapping[Job, HeldPicture]
    parameters: Mapping[str, Any]


def solo_id(name: str, index: int) -> str:
    """Returns the id that `prepare` gives to a solo."""
    return f"{name}/{solo_stem(name, index)}"


def choose_pictures(
    pictures: Sequence[Picture],
    picture_splits: Mapping[str, str],
    solo_splits: Mapping[Job, str],
    *,
    seed: int,
    share: float,
) -> PictureChoice:
    """Draws for every solo whether its player holds a picture, and one of the pictures of the solo's split.

    The draw for a solo depends on seed, class, index, share and the pictures, and not on the order of work. A player
    whose split has no picture of the class holds the drawn instrument.

    Args:
        pictures: Pictures of all classes, in a fixed order.
        picture_splits: Hash of each picture -> split.
        solo_splits: (class, index) -> split of each solo.
        seed: Seed of the set.
        share: Probability that a player holds a picture, 0 to 1.

    Raises:
        InputError: The share is out of range.
    """
    if not 0 <= share <= 1:
        raise InputError(f"pictures_share={share:g} must be 0 to 1; try 0.5")
    pools: dict[tuple[str, str], list[Picture]] = defaultdict(list)
    for picture in pictures:
        pools[picture.label, picture_splits[picture.sha256]].append(picture)
    held: dict[Job, HeldPicture] = {}
    for (name, index), split in solo_splits.items():
        rng, _ = held_streams(name, index=index, seed=seed)
        pool = pools.get((name, split), [])
        if rng.random() < share and pool:
            held[name, index] = HeldPicture(pool[int(rng.integers(len(pool)))], split)
    hashes = "\n".join(f"{picture.label} {picture.sha256}" for picture in pictures)
    parameters = {
        "share": share,
        "pictures_sha256": hashlib.sha256(hashes.encode()).hexdigest(),
        # The splits of the solos depend on how many there are, and on nothing else.
        "splits_sha256": hashlib.sha256(repr(sorted(solo_splits.items())).encode()).hexdigest(),
    }
    return PictureChoice(held, parameters)
