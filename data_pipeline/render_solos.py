"""Renders the default data set: solos of eleven instruments as ordinary video files with audio.

    python -m data_pipeline.render_solos --out=data/solos --solos_per_instrument=16 --seconds=24 --seed=0

A run that was stopped resumes. Every solo depends only on its class, its number and the seed.
"""

import os
import pathlib
import time

from absl import flags, logging

from data_pipeline import command
from data_pipeline.command import InputError
from data_pipeline.rendered.drawing.look import AREA
from data_pipeline.rendered.pictures.choice import PictureChoice, choose_pictures, solo_id
from data_pipeline.rendered.pictures.folder import find_pictures
from data_pipeline.rendered.sound import synthesise
from data_pipeline.rendered.sound.instruments import CLASSES
from data_pipeline.rendered.variety import VARIETIES
from data_pipeline.sources import rendered_solos
from data_pipeline.sources.rendered_solos import SoloSet
from data_pipeline.staging.progress import progress_bar
from data_pipeline.staging.splits import SPLITS, assign_splits

AUTO = "auto"


def render(solos: SoloSet, *, workers: int) -> str:
    """Renders the solos of a set that are missing.

    Args:
        solos: What to render.
        workers: Number of processes, at least 1.

    Returns:
        One line that says how much was rendered and where.
    """
    if workers < 1:
        raise InputError(f"workers={workers} must be at least 1; leave --workers out to use every core")
    start_s = time.monotonic()
    jobs = rendered_solos.claim_folder(solos)
    with progress_bar(len(jobs), doing="rendering", unit="solo") as progress:
        rendered_solos.render_jobs(solos, jobs, workers=workers, done=progress.update)
    count = len(solos.jobs)
    kept = f", {count - len(jobs)} of them from an earlier run" if len(jobs) < count else ""
    return (
        f"{count} solos ({count * solos.seconds / 60:.1f} minutes){kept} in {solos.folder}, "
        f"rendered in {time.monotonic() - start_s:.0f} s"
    )


def read_pictures(
    folder: pathlib.Path, *, solos_per_instrument: int, seed: int, share: float, split: str
) -> tuple[PictureChoice, list[str]]:
    """Decides which players hold a picture of a folder.

    The pictures of each class are divided between train, validation and test as videos are, 11 : 2 : 3, by
    `assign_splits` with the hashes of their contents as ids. A player holds a picture of the split that `prepare` gives
    to the solo by default, so no picture occurs in two splits. A class of fewer than three pictures has all of them in
    training, and the players of its other splits hold the drawn instrument. The division depends on the pictures alone:
    sets rendered from one folder agree.

    Args:
        folder: Folder with pictures as `<class>/*.png`.
        solos_per_instrument: Number of solos of each class.
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
    jobs = [(name, index) for name in CLASSES for index in range(solos_per_instrument)]
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


def main() -> None:
    """Runs the command."""
    values = flags.FLAGS
    fonts = [pathlib.Path(path) for path in values.soundfont] or [None]
    renderers = tuple(synthesise.choose_renderer(values.renderer, font) for font in fonts)
    if renderers[0].name == "additive":
        logging.warning(
            "sounds come from the additive fallback (%s), less like the instruments than a soundfont",
            "as asked" if values.renderer == "additive" else "midirenderer is not installed",
        )
    pictures, remarks = None, []
    if values.pictures is not None:
        pictures, remarks = read_pictures(
            pathlib.Path(values.pictures),
            solos_per_instrument=values.solos_per_instrument,
            seed=values.seed,
            share=values.pictures_share,
            split=values.pictures_split,
        )
    solos = SoloSet(
        folder=pathlib.Path(values.out),
        solos_per_instrument=values.solos_per_instrument,
        seconds=values.seconds,
        seed=values.seed,
        renderers=renderers,
        area=_area(values.area),
        variety=values.variety,
        pictures=pictures,
    )
    workers = values.workers if values.workers is not None else _cores()
    logging.info("%s", render(solos, workers=workers))
    for remark in remarks:
        logging.info("%s", remark)


def define_flags() -> None:
    """Defines the command's flags; not on import, because worker processes would define them again."""
    flags.DEFINE_string("out", None, "Folder to render into; created or resumed.", required=True)
    flags.DEFINE_integer("solos_per_instrument", 16, "Solos of each of the eleven instruments.")
    flags.DEFINE_float("seconds", 24.0, "Length of a solo in seconds.")
    flags.DEFINE_integer("seed", 0, "Seed of melodies, sounds and frames.")
    flags.DEFINE_list(
        "area",
        [str(edge) for edge in AREA],
        "Smallest and largest share of the frame that a player takes, such as '0.1,0.15'.",
    )
    flags.DEFINE_list(
        "soundfont", [], "General MIDI .sf2 files, used by the solos in turn; by default the one in pretty_midi."
    )
    flags.DEFINE_enum(
        "variety", "plain", tuple(VARIETIES), "plain: one timbre per class; wide: many; far: others than in both."
    )
    flags.DEFINE_string(
        "pictures", None, "Folder with pictures of instruments, <class>/*.png|svg|jpg|webp, that players hold."
    )
    flags.DEFINE_float("pictures_share", 0.5, "Share of the players that hold a picture, 0 to 1.")
    flags.DEFINE_enum(
        "pictures_split",
        AUTO,
        (AUTO, *SPLITS),
        "auto: pictures of the split that prepare gives to each solo; or those of one split, for `prepare --split`.",
    )
    flags.DEFINE_enum("renderer", "auto", synthesise.RENDERERS, "Renderer of the sound.")
    flags.DEFINE_integer("workers", None, "Number of processes; by default one per core.")


def _area(given: list[str]) -> tuple[float, float]:
    try:
        low, high = map(float, given)
    except ValueError:
        raise InputError(f"--area={','.join(given)} must be two numbers; try --area=0.1,0.15") from None
    return low, high


def _cores() -> int:
    """Returns the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


if __name__ == "__main__":
    define_flags()
    command.run(main)
