"""Writes the results of a separation: sound files, videos, `separation.json` and an HTML page."""

import dataclasses
import string
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from data_pipeline.command import InputError
from mpnet_jax.pretrained.imagenet_names import label
from mpnet_jax.separation.choice import check_choice, chosen_numbers
from mpnet_jax.separation.curves import Curves, Moments
from mpnet_jax.separation.finished import Finished
from mpnet_jax.separation.formats import FileFormat, write_stems
from mpnet_jax.separation.mixes import write_mixes
from mpnet_jax.separation.page import Drawn, write_page
from mpnet_jax.separation.progress import Progress, no_progress
from mpnet_jax.separation.results import write_results
from mpnet_jax.separation.source import Source
from mpnet_jax.separation.stems import RESIDUAL
from mpnet_jax.separation.videos import Target, video_frames, write_videos

NAMES = ("none", "page", "files")
# Fields of a pattern for file names.
FIELDS = ("sound", "number", "name", "video")


@dataclasses.dataclass(frozen=True)
class Output:
    """Options of the written files.

    Attributes:
        format: Format of the sound files.
        videos: Whether videos are written.
        names: Where names of sounds are written: "none", "page" (also `separation.json`) or "files" (also file names).
        pattern: File names without suffix, such as "{video}_{sound}_{name}"; see `FIELDS`. None for "{sound}", followed
            by the name if `names` is "files".
        only: Numbers or names of the sounds of which stems and videos are written, without the residual; empty for all.
        without: Numbers or names of sounds; the recording minus all of them is written into one file.
        place: A place, x from the left and y from the top in fractions of the picture; its sound is written into one
            file. With `without` or `place`, stems and videos are only written for the sounds of `only`.

    Raises:
        InputError: `names` or the name of a sound is unknown, the pattern is not usable, or the place lies outside of
            the picture.
    """

    format: FileFormat = dataclasses.field(default_factory=FileFormat)
    videos: bool = True
    names: str = "page"
    pattern: str | None = None
    only: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    place: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.names not in NAMES:
            raise InputError(f"names={self.names!r} is unknown; use one of {', '.join(NAMES)}")
        if self.pattern is not None:
            _check_pattern(self.pattern)
        for flag, chosen in (("only", self.only), ("without", self.without)):
            check_choice(flag, chosen, named=self.names != "none")
        if self.place is not None and not all(0 <= side <= 1 for side in self.place):
            x, y = self.place
            raise InputError(
                f"place={x},{y} lies outside the picture; give fractions of it from the left and from the top, 0 to 1"
            )

    def file_name(self, *, sound: str, number: int, name: str | None, video: str | None) -> str:
        """Returns the name of a file, without its suffix.

        Args:
            sound: "sound1", "sound2", ..., "residual" or "overview".
            number: Number of the sound; 0 for the residual and the overview.
            name: Name of the sound; None if it is unknown.
            video: Path of the video as text; None for arrays.
        """
        known = "" if name is None else label(name)
        if self.pattern is None:
            return f"{sound}_{known}" if known and self.names == "files" else sound
        stem = Path(video).stem if video else "video"
        return self.pattern.format(sound=sound, number=number, name=known or sound, video=stem)


def _check_pattern(pattern: str) -> None:
    """Raises InputError for a pattern that has unknown fields, gives no file name or gives several files one name."""
    ways = f"use the fields {', '.join(f'{{{field}}}' for field in FIELDS)}, such as '{{video}}_{{sound}}'"
    fields: list[str] = []
    try:
        fields = [field for _, field, _, _ in string.Formatter().parse(pattern) if field is not None]
        plain = pattern.format(**dict.fromkeys(FIELDS, "a")) if set(fields) <= set(FIELDS) else None
    except (ValueError, IndexError, KeyError):
        plain = None
    if plain is None:
        raise InputError(f"pattern={pattern!r} is not usable; {ways}")
    if "/" in plain or "\\" in plain or "\0" in plain or plain.startswith("."):
        raise InputError(f"pattern={pattern!r} must give names of files in the output folder; {ways}")
    if "sound" not in fields and "number" not in fields:
        raise InputError(f"pattern={pattern!r} gives several files the same name; add {{sound}} or {{number}}")


def write_output(
    finished: Finished,
    source: Source | None,
    folder: Path,
    output: Output,
    *,
    move: bool = False,
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Writes all results.

    Args:
        finished: The finished separation.
        source: The video, of which frames are drawn; needed for videos.
        folder: Folder of the results.
        output: The options.
        move: Whether the stems may be moved from the folder of the separation, because they are not needed any more.
        progress: Called with the fraction that is done, in [0, 1].

    Returns:
        The content of `separation.json` without its windows.

    Raises:
        InputError: The format does not support the sound, or there is no source for the videos.
    """
    summary, facts = finished.summary, finished.facts
    sounds = {sound["number"]: sound for sound in summary["sounds"]}
    chosen = _chosen_stems(output, summary["sounds"])
    names = {
        number: _file_name(output, finished, number, sounds[number]["name"] if number else None) for number in chosen
    }
    suffix = output.format.kind
    files = {number: f"{name}.{suffix}" for number, name in names.items()}
    curves, moments = Curves(), Moments()
    for window in finished.windows():
        curves.add(window)
        moments.add(window)
    videos: dict[int, str] = {}
    posters: dict[int, bytes] = {}
    if output.videos and chosen:
        if source is None:
            raise InputError(f"{summary['video']['file']} is not there any more; write without videos")
        videos = {number: f"{names[number]}.mp4" for number in chosen if number != RESIDUAL}
        if RESIDUAL in chosen:
            overview = output.file_name(sound="overview", number=0, name=None, video=summary["video"]["file"])
            videos[RESIDUAL] = f"{overview}.mp4"
        seconds, done = max(summary["video"]["seconds"], 1e-9), [0.0]

        def shown(more_s: float) -> None:
            done[0] += more_s
            progress(min(1.0, done[0] / seconds))

        posters = write_videos(
            video_frames(source, tuple(summary["video"]["picture_px"])),
            {number: Target(folder / name, moments.seconds.get(number)) for number, name in videos.items()},
            stems=finished.stems,
            rate_hz=facts["rate_hz"],
            layout=facts["layout"],
            maps=finished.maps(),
            hop_s=facts["hop_s"],
            progress=shown,
        )
    others = write_mixes(finished, without=output.without, place=output.place)
    written_as = write_stems(
        {finished.stems[number]: folder / name for number, name in files.items()}
        | {path: folder / f"{path.stem}.{suffix}" for path in others},
        output.format,
        rate_hz=facts["rate_hz"],
        channels=facts["channels"],
        move=move,
    )
    for path in others:
        path.unlink(missing_ok=True)
    written = summary | {
        "sounds": [
            sound | {"file": files.get(number), "video": videos.get(number)} for number, sound in sounds.items()
        ],
        "residual": summary["residual"] | {"file": files.get(RESIDUAL)},
        "others": [{"file": f"{path.stem}.{suffix}"} | mix.facts for path, mix in others.items()],
        "overview": videos.get(RESIDUAL),
        "files": written_as,
        "settings": summary["settings"] | _settings(output),
    }
    write_results(folder / "separation.json", written, finished.windows())
    drawn = Drawn(curves, finished.peaks, [mix.peaks for mix in others.values()], posters)
    write_page(folder / "index.html", written, drawn)
    progress(1.0)
    return written


def _chosen_stems(output: Output, sounds: Sequence[Mapping[str, Any]]) -> list[int]:
    """Returns the numbers of the stems that are written."""
    if output.only:
        return chosen_numbers("only", output.only, sounds)
    if output.without or output.place:
        return []
    return [*(sound["number"] for sound in sounds), RESIDUAL]


def _file_name(output: Output, finished: Finished, number: int, name: str | None) -> str:
    sound = "residual" if number == RESIDUAL else f"sound{number}"
    return output.file_name(sound=sound, number=number, name=name, video=finished.summary["video"]["file"])


def _settings(output: Output) -> dict[str, Any]:
    form = output.format
    return {"format": form.kind, "bits": form.bits, "bitrate_kbps": form.bitrate_kbps} | {
        name: getattr(output, name) for name in ("videos", "names", "pattern", "only", "without", "place")
    }
