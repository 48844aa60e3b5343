"""Writes the results of a separation: sound files, videos, `separation.json` and an HTML page."""

import dataclasses
import string
from pathlib import Path
from typing import Any

from data_pipeline.command import InputError
from mpnet_jax.separation.finished import Finished
from mpnet_jax.separation.formats import FileFormat, write_stems
from mpnet_jax.separation.page import Curves, write_page
from mpnet_jax.separation.progress import Progress, no_progress
from mpnet_jax.separation.results import write_results
from mpnet_jax.separation.sound_names import label
from mpnet_jax.separation.source import Source
from mpnet_jax.separation.stems import RESIDUAL
from mpnet_jax.separation.videos import write_videos

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

    Raises:
        InputError: `names` is unknown, or the pattern is not usable.
    """

    format: FileFormat = dataclasses.field(default_factory=FileFormat)
    videos: bool = True
    names: str = "page"
    pattern: str | None = None

    def __post_init__(self) -> None:
        if self.names not in NAMES:
            raise InputError(f"names={self.names!r} is unknown; use one of {', '.join(NAMES)}")
        if self.pattern is not None:
            _check_pattern(self.pattern)

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
    names = {number: _file_name(output, finished, number, sound["name"]) for number, sound in sounds.items()}
    names[RESIDUAL] = _file_name(output, finished, RESIDUAL, None)
    suffix = output.format.kind
    videos: dict[int, str] = {}
    if output.videos:
        if source is None:
            raise InputError(f"{summary['video']['file']} is not there any more; write without videos")
        overview = output.file_name(sound="overview", number=0, name=None, video=summary["video"]["file"])
        videos = {number: f"{names[number]}.mp4" for number in sounds} | {RESIDUAL: f"{overview}.mp4"}
        seconds, done = max(summary["video"]["seconds"], 1e-9), [0.0]

        def shown(more_s: float) -> None:
            done[0] += more_s
            progress(min(1.0, done[0] / seconds))

        write_videos(
            source,
            {number: folder / name for number, name in videos.items()},
            stems=finished.stems,
            rate_hz=facts["rate_hz"],
            maps=finished.maps(),
            hop_s=facts["hop_s"],
            picture_px=tuple(summary["video"]["picture_px"]),
            progress=shown,
        )
    files = write_stems(
        {path: folder / f"{names[number]}.{suffix}" for number, path in finished.stems.items()},
        output.format,
        rate_hz=facts["rate_hz"],
        channels=facts["channels"],
        move=move,
    )
    written = summary | {
        "sounds": [
            sound | {"file": f"{names[number]}.{suffix}", "video": videos.get(number)}
            for number, sound in sounds.items()
        ],
        "residual": summary["residual"] | {"file": f"{names[RESIDUAL]}.{suffix}"},
        "overview": videos.get(RESIDUAL),
        "files": files,
        "settings": summary["settings"] | _settings(output),
    }
    curves = Curves()
    for window in finished.windows():
        curves.add(window)
    write_results(folder / "separation.json", written, finished.windows())
    write_page(folder / "index.html", written, curves)
    progress(1.0)
    return written


def _file_name(output: Output, finished: Finished, number: int, name: str | None) -> str:
    sound = "residual" if number == RESIDUAL else f"sound{number}"
    return output.file_name(sound=sound, number=number, name=name, video=finished.summary["video"]["file"])


def _settings(output: Output) -> dict[str, Any]:
    form = output.format
    return {"format": form.kind, "bits": form.bits, "bitrate_kbps": form.bitrate_kbps} | {
        name: getattr(output, name) for name in ("videos", "names", "pattern")
    }
