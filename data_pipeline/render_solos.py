"""Renders the default data set: solos of eleven instruments as ordinary video files with audio.

    python -m data_pipeline.render_solos --out=data/solos --solos_per_instrument=16 --seconds=24 --seed=0

A run that was stopped resumes. Every solo depends only on its class, its number and the seed. With --pictures=DIR some
players hold pictures of instruments instead of drawn ones.
"""

import os
import time

from absl import flags, logging

from data_pipeline import command
from data_pipeline.command import InputError
from data_pipeline.rendered.drawing.look import AREA
from data_pipeline.rendered.sound import synthesise
from data_pipeline.rendered.sound.instruments import CLASSES
from data_pipeline.rendered.variety import VARIETIES
from data_pipeline.sources import rendered_solos
from data_pipeline.sources.rendered_solos import SoloSet
from data_pipeline.staging.picture_splits import AUTO, read_pictures
from data_pipeline.staging.progress import progress_bar
from data_pipeline.staging.splits import SPLITS


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


def main() -> None:
    """Runs the command."""
    values = flags.FLAGS
    fonts = values.soundfont or [None]
    renderers = tuple(synthesise.choose_renderer(values.renderer, font) for font in fonts)
    if renderers[0].name == "additive":
        logging.warning(
            "sounds come from the additive fallback (%s), less like the instruments than a soundfont",
            "as asked" if values.renderer == "additive" else "midirenderer is not installed",
        )
    pictures, remarks = None, []
    if values.pictures is not None:
        pictures, remarks = read_pictures(
            values.pictures,
            [(name, index) for name in CLASSES for index in range(values.solos_per_instrument)],
            seed=values.seed,
            share=values.pictures_share,
            split=values.pictures_split,
        )
    solos = SoloSet(
        folder=values.out,
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
    command.define_path("out", None, "Folder to render into; created or resumed.", required=True)
    flags.DEFINE_integer("solos_per_instrument", 16, "Solos of each of the eleven instruments.")
    flags.DEFINE_float("seconds", 24.0, "Length of a solo in seconds.")
    flags.DEFINE_integer("seed", 0, "Seed of melodies, sounds and frames.")
    flags.DEFINE_list(
        "area",
        [str(edge) for edge in AREA],
        "Smallest and largest share of the frame that a player takes, such as '0.1,0.15'.",
    )
    command.define_paths(
        "soundfont",
        [],
        "General MIDI .sf2 or .sf3 files, or folders of recorded notes, <class>/A4.mp3|wav|flac|ogg|m4a, used by the "
        "solos in turn; by default the soundfont in pretty_midi.",
    )
    flags.DEFINE_enum(
        "variety",
        "plain",
        tuple(VARIETIES),
        "plain: one timbre per class; wide: many; broad: more, played and recorded in many ways; far: other timbres.",
    )
    command.define_path(
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
