"""Assigns pictures of instruments to the players of rendered solos, so that no picture occurs in two splits."""

from collections.abc import Sequence
from pathlib import Path

from data_pipeline.rendered.pictures.choice import PictureChoice, choose_pictures, solo_id
from data_pipeline.rendered.pictures.folder import find_pictures
from data_pipeline.rendered.sound.instruments import CLASSES
from data_pipeline.staging.splits import assign_splits

AUTO = "auto"


def read_pictures(
    folder: Path, jobs: Sequence[tuple[str, int]], *, seed: int, share: float, split: str = AUTO
) -> tuple[PictureChoice, list[str]]:
    """Decides which players hold a picture of a folder.

    The pictures of each class are divided between train, validation and test as videos are, 11 : 2 : 3, by
    `assign_splits` with the hashes of their contents as ids. A player holds a picture of the split that `prepare` gives
    to the solo by default, so no picture occurs in two splits. A class of fewer than three pictures has all of them in
    training, and the players of its other splits hold the drawn instrument. The division depends on the pictures alone:
    sets rendered from one folder agree.

    Args:
        folder: Folder with pictures as `<class>/*.png`.
        jobs: (class, index) of every solo of the set.
        seed: Seed of the set.
        share: Probability that a player holds a picture, 0 to 1.
        split: Split from which all players take their pictures, for a set that is prepared as that split; "auto" for
            the splits of the solos.

    Returns:
        The choice, and lines for the user about what was found.

    Raises:
        InputError: The folder holds no usable picture, or a number is out of range.
    """
    found = find_pictures(folder, CLASSES)
    label_of = {picture.sha256: picture.label for picture in found.pictures}
    solos = {solo_id(*job): job for job in jobs}
    solo_splits = assign_splits(list(solos), {solo: name for solo, (name, _) in solos.items()})
    choice = choose_pictures(
        found.pictures,
        assign_splits(list(label_of), label_of),
        {job: solo_splits[solo] if split == AUTO else split for solo, job in solos.items()},
        seed=seed,
        share=share,
    )
    used = {held.picture.sha256 for held in choice.held.values()}
    line = f"{len(choice.held)} of {len(jobs)} players hold one of {len(used)} pictures"
    return choice, [*found.remarks, line]
