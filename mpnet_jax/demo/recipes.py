"""The shell command and the lines of Python that do what the page did."""

import shlex
from pathlib import Path

from mpnet_jax.demo.store import Record


def command_line(record: Record) -> str:
    """Returns the command that separates a video as in the page."""
    words = ["mpnet-jax", "separate", _file(record), "-o", _folder(record)]
    if record.sounds is not None:
        words.append(f"--sounds={record.sounds}")
    return shlex.join(words)


def python_lines(record: Record) -> str:
    """Returns a program that separates a video and listens to the middle of the picture."""
    arguments = "" if record.sounds is None else f"sounds={record.sounds}"
    return "\n".join(
        (
            "from mpnet_jax import Separator",
            "",
            f"separation = Separator({arguments}).separate_file({_file(record)!r})",
            "for sound in separation.sounds:",
            "    print(sound.number, sound.name, sound.waveform.shape, separation.rate_hz)",
            "middle = separation.sound_at(x=0.5, y=0.5)  # fractions from the left and from the top",
            f"separation.write({_folder(record)!r})",
        )
    )


def _file(record: Record) -> str:
    """Returns the name of the video as an argument that no program takes for a flag."""
    return f"./{record.title}" if record.title.startswith("-") else record.title


def _folder(record: Record) -> str:
    return Path(record.title).stem.lstrip("-") or "separated"
