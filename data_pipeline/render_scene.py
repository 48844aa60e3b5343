"""Renders several players side by side in one video: `python -m data_pipeline.render_scene --out=FOLDER`.

FOLDER receives `scene.mp4` and the true sound of each player, such as `1_violin.wav`, from left to right.
"""

import os
import tempfile
from pathlib import Path
from typing import Any

import soundfile
from absl import flags, logging

from data_pipeline import command
from data_pipeline.atomic import atomic_file
from data_pipeline.command import InputError
from data_pipeline.rendered.scene import true_sounds, write_scene
from data_pipeline.rendered.solo import SoloOptions, render_solo, solo_stem
from data_pipeline.rendered.sound import synthesise
from data_pipeline.rendered.sound.instruments import INSTRUMENTS
from data_pipeline.staging.picture_splits import read_pictures


def render(out: Path, names: list[str], *, seconds: float, seed: int, pictures: Path | None = None) -> tuple[str, ...]:
    """Renders a scene.

    Args:
        out: Folder to write to; created when missing.
        names: Instruments from left to right.
        seconds: Length of the scene.
        seed: Seed of melodies, sounds and frames.
        pictures: Folder of pictures of instruments, of which players hold those of the test split; None for none.

    Returns:
        Lines for the user about the pictures.

    Raises:
        InputError: An unknown instrument, or none; or the folder holds no usable picture.
    """
    for name in names:
        if name not in INSTRUMENTS:
            raise InputError(f"--instruments names {name!r}, which is unknown; use some of {', '.join(INSTRUMENTS)}")
    if not names:
        raise InputError(f"--instruments is empty; use some of {', '.join(INSTRUMENTS)}")
    renderer = synthesise.choose_renderer("auto", None)
    held, remarks = {}, []
    if pictures is not None:
        jobs = [(name, index) for index, name in enumerate(names)]
        choice, remarks = read_pictures(pictures, jobs, seed=seed, share=1.0, split="test")
        held = choice.held
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for index, name in enumerate(names):
            options = SoloOptions(held=held.get((name, index)))
            render_solo(Path(folder), name, index=index, seed=seed, seconds=seconds, renderer=renderer, options=options)
        solos = [Path(folder) / name / f"{solo_stem(name, index)}.mp4" for index, name in enumerate(names)]
        sounds = true_sounds(solos, seconds=seconds)
        with atomic_file(out / "scene.mp4") as draft:
            write_scene(draft, solos, sounds)
    for index, (name, sound) in enumerate(zip(names, sounds, strict=True), start=1):
        with atomic_file(out / f"{index}_{name}.wav") as draft:
            name: Any = os.fsencode(draft)  # soundfile takes bytes, too
            soundfile.write(name, sound, synthesise.RATE_HZ, subtype="FLOAT", format="WAV")
    return tuple(remarks)


def main() -> None:
    """Runs the command."""
    values = flags.FLAGS
    remarks = render(
        values.out,
        values.instruments,
        seconds=values.seconds,
        seed=values.seed,
        pictures=values.pictures,
    )
    for remark in remarks:
        logging.info("%s", remark)
    logging.info("wrote %s and the true sounds", values.out / "scene.mp4")


if __name__ == "__main__":
    command.define_path("out", None, "Folder to write into; created when missing.", required=True)
    flags.DEFINE_list("instruments", ["violin", "trumpet"], "Players from left to right.")
    flags.DEFINE_float("seconds", 24.0, "Length in seconds.", lower_bound=1.0)
    # Data sets are rendered with small seeds, so no network was trained on the players of this seed.
    flags.DEFINE_integer("seed", 1000, "Seed of melodies, sounds and frames.", lower_bound=0)
    command.define_path(
        "pictures",
        None,
        "Folder with pictures of instruments, <class>/*.png|svg|jpg|webp; those for tests are held.",
    )
    command.run(main)
