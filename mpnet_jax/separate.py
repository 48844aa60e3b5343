"""Separates the sounds of a video: `python -m mpnet_jax.separate --video=FILE --out=DIR [--workdir=RUN]`.

Writes a sound file for each visible source, the residual, a video for each source with its heat map, an overview video
with all sources in colours, `separation.json` and an HTML page. Without `--workdir` it uses the small model that ships
with the package. docs/SEPARATE.md describes the procedure and its limits.
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
from data_pipeline.media.reader import TrackChoice

FORMATS = ("wav", "flac")
_MOST_SOUNDS = 8
NAMES = ("none", "page", "files")


def main() -> None:
    """Runs the command."""
    values = flags.FLAGS
    try:
        choice = TrackChoice(values.audio_track, values.video_track)
        video, out = check(values.video, values.out, audio_only=values.audio_only, choice=choice)
        # Imported here because these import JAX; bad input is refused before.
        from mpnet_jax.processes import environment
        from mpnet_jax.separation.names import load_namer
        from mpnet_jax.separation.separate_video import Settings, separate_video
        from mpnet_jax.weights.trained import load

        environment.prepare()
        model = load(values.workdir)
        settings = Settings(
            values.sounds,
            values.most_sounds,
            values.format,
            values.videos,
            values.picture_px,
            values.names,
            audio_track=choice.audio,
            video_track=choice.video,
        )
        namer = None if values.names == "none" else load_namer()
        summary = separate_video(video, out, model, settings, namer=namer)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; nothing was written\n")
        sys.exit(130)
    sys.stdout.write(described(summary, out))


def check(
    video: str | Path | None, out: str | Path | None, *, audio_only: bool, choice: TrackChoice | None = None
) -> tuple[Path, Path]:
    """Checks the flags and returns the paths of the video and of the output folder.

    Args:
        video: Value of `--video`.
        out: Value of `--out`.
        audio_only: Value of `--audio_only`.
        choice: Values of `--audio_track` and `--video_track`.

    Raises:
        InputError: A flag is missing, the video has no video or audio stream or no such track, or the folder cannot be
            used or is not empty.
    """
    if audio_only:
        raise InputError(
            "--audio_only: sounds are separated by the visible sources that make them, so sound alone cannot be "
            "separated; give a video"
        )
    if not video or not out:
        raise InputError("name a video and a folder for the results: --video=FILE --out=DIR")
    path, folder = Path(video), Path(out)
    _refuse_folder(folder)
    header = reader.probe(path, choice)
    if not header.has_video:
        raise InputError(
            f"--video={video} has no video stream, and sound alone cannot be separated; give a file with a video stream"
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


def described(summary: dict[str, Any], out: Path) -> str:
    """Returns the lines that the command prints at its end."""
    lines = []
    for sound in summary["sounds"]:
        down, right = (100.0 * share for share in sound["place"])
        name = f"{sound['name']} ({100.0 * sound['name_probability']:.0f} %), " if sound["name"] else ""
        lines.append(
            f"sound {sound['number']}: {name}{100.0 * sound['energy_share']:5.1f} % of the energy, "
            f"{sound['first_s']:.1f} to {sound['last_s']:.1f} s, {right:.0f} % from the left, {down:.0f} % from the top"
        )
    lines.append(f"residual: {100.0 * summary['residual']['energy_share']:4.1f} % of the energy")
    lines += summary["remarks"]
    lines += [f"sounds: {out}", f"page:   {out / 'index.html'}"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    command.define_path("video", None, "Video file with a video and an audio stream that FFmpeg can read.")
    command.define_path("out", None, "Folder for the results: a new or an empty one.")
    command.define_path("workdir", None, "Folder of a trained run; by default the small model of the package is used.")
    flags.DEFINE_integer("sounds", None, "Number of sounds to separate; estimated by default.", 1, _MOST_SOUNDS)
    flags.DEFINE_integer("most_sounds", 4, "Greatest number of sounds that is estimated.", 1, _MOST_SOUNDS)
    flags.DEFINE_enum("format", "wav", FORMATS, "wav: 32-bit floats; flac: 24 bits, scaled down where it would clip.")
    flags.DEFINE_bool("videos", True, "Write a video for each sound and one with all of them; --novideos is faster.")
    flags.DEFINE_integer(
        "picture_px", None, "Shorter side of the frames that the network sees; as in training by default.", 32, 1024
    )
    flags.DEFINE_enum(
        "names",
        "page",
        NAMES,
        "Names of sounds by what the picture shows at their places. page: in separation.json and on the page; files: "
        "also in the names of files, such as sound1_violin.wav; none: nowhere.",
    )
    flags.DEFINE_integer("audio_track", None, "Audio track, from 1 in the order of the file; chosen by default.", 1)
    flags.DEFINE_integer("video_track", None, "Video track, from 1 in the order of the file; chosen by default.", 1)
    flags.DEFINE_bool("audio_only", False, "Refused: sounds without a video cannot be separated.")
    command.run(main)
