"""The samples that the demo offers: scenes of rendered players, rendered when they are first chosen."""

import importlib.util
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from data_pipeline.command import InputError

_NEEDED = ("midirenderer", "pretty_midi", "resvg_py")
_FOLDER = "samples"


class Sample(NamedTuple):
    """A rendered scene.

    Attributes:
        title: For the user.
        instruments: The players from left to right.
        seconds: Duration.
        seed: Seed of the scene; no network that ships was trained on its players.
    """

    title: str
    instruments: tuple[str, ...]
    seconds: float
    seed: int


SAMPLES: Mapping[str, Sample] = MappingProxyType(
    {
        "duet": Sample("Violin and trumpet", ("violin", "trumpet"), 24.0, 1000),
        "trio": Sample("Cello, flute and xylophone", ("cello", "flute", "xylophone"), 24.0, 1001),
    }
)


def missing() -> str | None:
    """Returns a sentence on what has to be installed before samples can be rendered; None if nothing has."""
    if any(importlib.util.find_spec(name) is None for name in _NEEDED):
        return "The samples are rendered on this machine, which needs: pip install '.[train]'"
    return None


def render(folder: Path, name: str, video: Path) -> None:
    """Writes a sample, from the copy of an earlier time if there is one.

    Args:
        folder: The demo's folder.
        name: Name of the sample.
        video: File to write.

    Raises:
        InputError: The packages that render are not installed.
    """
    kept = folder / _FOLDER / f"{name}.mp4"
    if not kept.exists():
        if (sentence := missing()) is not None:
            raise InputError(sentence)
        from data_pipeline import render_scene

        sample = SAMPLES[name]
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            render_scene.render(Path(scratch), list(sample.instruments), seconds=sample.seconds, seed=sample.seed)
            kept.parent.mkdir(exist_ok=True)
            (Path(scratch) / "scene.mp4").replace(kept)
    draft = video.with_suffix(".draft")
    shutil.copyfile(kept, draft)
    draft.replace(video)
