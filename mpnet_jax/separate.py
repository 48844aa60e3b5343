"""Separates the sounds of videos: `mpnet-jax separate concert.mp4 -o out`.

Writes a sound file for each visible source, the residual, a video for each source with its heat map, an overview video
with all sources in colours, `separation.json` and an HTML page. Several videos and folders of videos may be given; each
video then gets a folder of its own in the output folder. Without `--workdir` it uses the small model that ships with
the package. docs/SEPARATE.md describes the procedure and its limits.
"""

import collections
import contextlib
import json
import stat
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import tqdm
from absl import flags

from data_pipeline import command
from data_pipeline.atomic import refuse_mount_point
from data_pipeline.command import InputError, expanded
from data_pipeline.media import reader
from data_pipeline.media.reader import TrackChoice
from data_pipeline.sources.video_files import is_video

if TYPE_CHECKING:
    from mpnet_jax.separation.output import Output

FORMATS = ("wav", "flac", "mp3", "ogg", "m4a")
_MOST_SOUNDS = 8
NAMES = ("none", "page", "files")


class Job(NamedTuple):
    """A video and the folder of its results."""

    video: Path
    out: Path


def main(arguments: Sequence[str] = ()) -> None:
    """Runs the command.

    Args:
        arguments: Videos and folders of videos.
    """
    values = flags.FLAGS
    tracks = TrackChoice(values.audio_track, values.video_track)
    done, complete, refused = "nothing was written", 0, 0
    try:
        jobs, several = plan(values.video, arguments, values.out, audio_only=values.audio_only, tracks=tracks)
        # Imported here because these import JAX; bad input is refused before.
        from mpnet_jax.separation.separator import Separator

        output = output_of(values)
        bar: list[Any] = [None]
        separator = Separator(
            values.workdir,
            sounds=values.sounds,
            most_sounds=values.most_sounds,
            picture_px=values.picture_px,
            names=values.names != "none",
            keep_places=False,
            progress=lambda fraction: bar[0](fraction),
        )
        for job in jobs:
            try:
                check(job.video, job.out, tracks)
                with _progress(job.video.name if several else "separating") as bar[0]:
                    summary = separator.separate_to(job.video, job.out, output, tracks=tracks)
            except InputError as error:
                if not several:
                    raise
                sys.stderr.write(f"error: {error}\n")
                refused += 1
                continue
            complete += 1
            done = f"{complete} of {len(jobs)} videos are complete"
            _report(job, summary, as_json=values.json, several=several)
    except KeyboardInterrupt:
        sys.stderr.write(f"interrupted; {done}\n")
        sys.exit(130)
    if refused:
        sys.stderr.write(f"{refused} of {len(jobs)} videos were not separated\n")
        sys.exit(command.EXIT_BAD_INPUT)


def plan(
    video: Path | None,
    arguments: Sequence[str],
    out: Path | None,
    *,
    audio_only: bool,
    tracks: TrackChoice | None = None,
) -> tuple[list[Job], bool]:
    """Returns the videos with the folders of their results.

    Args:
        video: Value of `--video`.
        arguments: Videos and folders of videos.
        out: Value of `--out`.
        audio_only: Value of `--audio_only`.
        tracks: Values of `--audio_track` and `--video_track`.

    Returns:
        The videos, and whether each gets a folder of its own in `out`. A single file has `out` itself.

    Raises:
        InputError: A flag is missing, a folder holds no video, or the only video or its folder cannot be used.
    """
    if audio_only:
        raise InputError(
            "--audio_only: sounds are separated by the visible sources that make them, so sound alone cannot be "
            "separated; give a video"
        )
    given = ([video] if video else []) + [Path(expanded(argument)) for argument in arguments]
    if not given or not out:
        raise InputError("name a video and a folder for the results: mpnet-jax separate FILE -o DIR")
    if len(given) == 1 and not given[0].is_dir():
        check(given[0], out, tracks)
        return [Job(given[0], out)], False
    videos = list(dict.fromkeys(file for path in given for file in videos_of(path)))
    _refuse_file(out)
    stems = collections.Counter(file.stem.lower() for file in videos)
    names = [file.stem if stems[file.stem.lower()] == 1 else file.name for file in videos]
    twice = [name for name, count in collections.Counter(name.lower() for name in names).items() if count > 1]
    if twice:
        raise InputError(f"two videos are called {twice[0]}; separate them by two commands, or rename one of them")
    return [Job(file, out / name) for file, name in zip(videos, names, strict=True)], True


def videos_of(path: Path) -> list[Path]:
    """Returns a file itself, or the videos of a folder in the order of their names, without those of its subfolders.

    Raises:
        InputError: The folder holds no video, or cannot be read.
    """
    if not path.is_dir():
        return [path]
    try:
        found = sorted(file for file in path.iterdir() if file.is_file() and is_video(file))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    if not found:
        raise InputError(f"{path} holds no video; name a folder with files such as .mp4, or the files themselves")
    return found


def check(video: Path, out: Path, tracks: TrackChoice | None = None) -> None:
    """Checks a video and the folder of its results.

    Raises:
        InputError: The video has no video or audio stream or no such track, or the folder cannot be used or is not
            empty.
    """
    _refuse_folder(out)
    header = reader.probe(video, tracks)
    if not header.has_video:
        raise InputError(
            f"{video} has no video stream, and sound alone cannot be separated; give a file with a video stream"
        )
    if not header.has_audio:
        raise InputError(f"{video} has no sound; give a video with a sound stream")


def output_of(values: Any) -> "Output":
    """Returns the options of the written files from the values of the flags.

    Raises:
        InputError: A value cannot be used, or values do not fit together.
    """
    from mpnet_jax.separation.formats import FileFormat
    from mpnet_jax.separation.output import Output

    return Output(
        FileFormat(values.format, None if values.bits is None else int(values.bits), values.bitrate),
        values.videos,
        values.names,
        values.pattern,
        _words(values.only),
        _words(values.without),
        _place(values.place),
    )


def _words(text: str | None) -> tuple[str, ...]:
    return tuple(word.strip() for word in (text or "").split(",") if word.strip())


def _place(text: str | None) -> tuple[float, float] | None:
    if not text:
        return None
    try:
        x, y = map(float, text.split(","))
    except ValueError:
        raise InputError(f"place={text} is no place; give x,y such as 0.25,0.5, fractions of the picture") from None
    return x, y


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


def _refuse_file(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--out={folder} is a file; name a folder")


def _report(job: Job, summary: dict[str, Any], *, as_json: bool, several: bool) -> None:
    """Prints the result of a video: as one line of JSON, or as text."""
    if as_json:
        sys.stdout.write(json.dumps({"out": str(job.out)} | summary) + "\n")
    else:
        sys.stdout.write((f"{job.video}\n" if several else "") + described(summary, job.out))
    sys.stdout.flush()


@contextlib.contextmanager
def _progress(title: str) -> Iterator[Any]:
    """Shows a bar on the standard error stream; yields a function that takes the fraction that is done."""
    interval = 1 if sys.stderr.isatty() else 15
    form = "{desc}: {percentage:3.0f}%|{bar}| [{elapsed}<{remaining}]"
    with tqdm.tqdm(total=1.0, desc=title, mininterval=interval, bar_format=form) as bar:
        yield lambda fraction: bar.update(fraction - bar.n)


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
    lines += [f"written:  {other['file']}" for other in summary["others"]]
    lines += summary["remarks"]
    lines += [f"sounds: {out}", f"page:   {out / 'index.html'}"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    command.define_path("video", None, "A video, instead of an argument without a flag.")
    command.define_path("out", None, "Folder for the results: a new or an empty one.", short="o")
    command.define_path(
        "workdir",
        None,
        "Folder of a trained run, or a model file of mpnet-jax export; by default the small model of the package.",
    )
    flags.DEFINE_integer("sounds", None, "Number of sounds to separate; estimated by default.", 1, _MOST_SOUNDS)
    flags.DEFINE_integer("most_sounds", 4, "Greatest number of sounds that is estimated.", 1, _MOST_SOUNDS)
    flags.DEFINE_enum(
        "format", "wav", FORMATS, "Format of the sound files. Formats other than wav are scaled down where they clip."
    )
    flags.DEFINE_enum("bits", None, ("16", "24", "32"), "Bit depth: of wav, 32 (floats, the default); of flac, 24.")
    flags.DEFINE_integer("bitrate", None, "Bit rate of mp3 (256 by default), ogg and m4a (192) in kbit/s.", 32, 512)
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
    flags.DEFINE_string(
        "pattern", None, "Names of the files, with the fields {video}, {sound}, {number} and {name}: '{video}_{sound}'."
    )
    flags.DEFINE_string("only", None, "Write these sounds only: numbers or names, such as 1,3 or violin.")
    flags.DEFINE_string("without", None, "Write the recording without these sounds: numbers or names, such as violin.")
    flags.DEFINE_string("place", None, "Write the sound of one place of the picture: x,y from 0,0 (top left) to 1,1.")
    flags.DEFINE_bool("json", False, "Print one line of JSON for each video instead of text.")
    flags.DEFINE_integer("audio_track", None, "Audio track, from 1 in the order of the file; chosen by default.", 1)
    flags.DEFINE_integer("video_track", None, "Video track, from 1 in the order of the file; chosen by default.", 1)
    flags.DEFINE_bool("audio_only", False, "Refused: sounds without a video cannot be separated.")
    command.run(main, arguments=True)
