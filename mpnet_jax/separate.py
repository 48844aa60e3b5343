"""Takes the sounds of a video apart: `python -m mpnet_jax.separate --video=FILE --out=DIR [--workdir=RUN]`.

Writes a sound file for each sound that can be seen, what is left, a film for each with its heat over the picture, one
with all of them in colours, `separation.json` and a page to look at and listen to. Without `--workdir` the small model
that ships is used. docs/SEPARATE.md says how it works and what it cannot do.
"""

import stat
import sys
from pathlib import Path
from typing import Any

from absl import flags

from data_pipeline import command
from data_pipeline.atomic import refuse_mount_point
from data_pipeline.command import InputError
from data_pipeline.media import reader

FORMATS = ("wav", "flac")
_MOST_SOUNDS = 8


def main() -> None:
    """The command."""
    values = flags.FLAGS
    try:
        video, out = check(values.video, values.out, audio_only=values.audio_only)
        # Here, because these load JAX: bad input is answered before.
        from mpnet_jax import parallel
        from mpnet_jax.separation.separate_video import Settings, separate_video
        from mpnet_jax.weights.trained import load

        parallel.keep_compiled_programs()
        model = load(Path(values.workdir) if values.workdir else None)
        settings = Settings(values.sounds, values.most_sounds, values.format, values.videos, values.picture_px)
        summary = separate_video(video, out, model, settings)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; nothing was written\n")
        sys.exit(130)
    sys.stdout.write(told(summary, out))


def check(video: str | None, out: str | None, *, audio_only: bool) -> tuple[Path, Path]:
    """Refuses at once what cannot be.

    Args:
        video: `--video`.
        out: `--out`.
        audio_only: `--audio_only`.

    Returns:
        The two paths.

    Raises:
        InputError: a flag is missing, there is nothing to see or to hear, or the folder cannot be or holds something.
    """
    if audio_only:
        raise InputError(
            "--audio_only: sounds are told apart by who is seen to make them, and where there is nothing to see there "
            "is nothing to separate by; give a video"
        )
    if not video or not out:
        raise InputError("name a video and a folder for the results: --video=FILE --out=DIR")
    path, folder = Path(video), Path(out)
    _refuse_folder(folder)
    header = reader.probe(path)
    if not header.has_video:
        raise InputError(
            f"--video={video} has no picture; where there is nothing to see there is nothing to separate by; "
            "give a video with pictures"
        )
    if not header.has_audio:
        raise InputError(f"--video={video} has no sound; give a video with a sound stream")
    return path, folder


def _refuse_folder(folder: Path) -> None:
    try:
        if not stat.S_ISDIR(folder.stat().st_mode):
            raise InputError(f"--out={folder} is a file; name a folder")
        if any(folder.iterdir()):
            raise InputError(f"--out={folder} is not empty; name a new or an empty folder")
    except FileNotFoundError:
        return
    except OSError as error:
        raise InputError(f"--out={folder} cannot be used: {error.strerror}; name a new or an empty folder") from None
    refuse_mount_point(folder)


def told(summary: dict[str, Any], out: Path) -> str:
    """What the command says at its end."""
    lines = []
    for sound in summary["sounds"]:
        down, right = (100.0 * share for share in sound["place"])
        lines.append(
            f"sound {sound['number']}: {100.0 * sound['energy_share']:5.1f} % of the energy, "
            f"{sound['first_s']:.1f} to {sound['last_s']:.1f} s, {right:.0f} % from the left, {down:.0f} % from the top"
        )
    lines.append(f"residual: {100.0 * summary['residual']['energy_share']:4.1f} % of the energy")
    lines += summary["remarks"]
    lines += [f"sounds: {out}", f"page:   {out / 'index.html'}"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    flags.DEFINE_string("video", None, "The video: any file with pictures and sound that FFmpeg reads.")
    flags.DEFINE_string("out", None, "Folder for the results: a new or an empty one.")
    flags.DEFINE_string("workdir", None, "Folder of a trained run; the small model that ships by default.")
    flags.DEFINE_integer("sounds", None, "How many sounds there are; found out by default.", 1, _MOST_SOUNDS)
    flags.DEFINE_integer("most_sounds", 4, "Greatest number that may be found out.", 1, _MOST_SOUNDS)
    flags.DEFINE_enum("format", "wav", FORMATS, "wav: 32-bit floats; flac: 24 bits, at a lower level if need be.")
    flags.DEFINE_bool("videos", True, "Write a film for each sound and one with all of them; --novideos is faster.")
    flags.DEFINE_integer(
        "picture_px", None, "Shorter side of the pictures that the network sees; as in training by default.", 32, 1024
    )
    flags.DEFINE_bool("audio_only", False, "Refused: what cannot be seen cannot be separated.")
    command.run(main)
