"""Separates the sounds of a video file and writes all results; the other modules of the package do the single steps."""

import contextlib
import dataclasses
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import tqdm

from data_pipeline.atomic import atomic_folder
from data_pipeline.media import reader
from data_pipeline.media.channel_remarks import channel_remarks
from data_pipeline.media.reader import MediaInfo, Trace, TrackChoice
from mpnet_jax.run.facts import run_facts
from mpnet_jax.separation.crossfade import CrossFade
from mpnet_jax.separation.journal import Journal
from mpnet_jax.separation.names import Namer, SoundName, name_sounds
from mpnet_jax.separation.network import make_separator, separated_windows
from mpnet_jax.separation.page import Curves, write_page
from mpnet_jax.separation.picture_windows import picture_windows, short_side_px
from mpnet_jax.separation.read_ahead import read_ahead
from mpnet_jax.separation.results import Tally, write_results
from mpnet_jax.separation.sound_windows import hop_columns, sound_windows, start_seconds
from mpnet_jax.separation.stems import RESIDUAL, Stems, refuse_channels
from mpnet_jax.separation.synthesis import Synthesis
from mpnet_jax.separation.tracking import Tracker
from mpnet_jax.separation.videos import video_frames, write_videos
from mpnet_jax.steps.device_pass import SLICE
from mpnet_jax.weights.trained import Model

# A sound with less than this fraction of the loudest sound's energy, or never found in so many consecutive windows (if
# the video has as many), is added to the residual.
_LEAST_ENERGY = 0.01
_LEAST_WINDOWS = 3
_NOTABLE_S = 0.5  # Smaller differences between the times of sound and pictures give no remark.


Progress = Callable[[float], Any]


@dataclasses.dataclass(frozen=True)
class Settings:
    """Options of a separation.

    Attributes:
        sounds: Number of sounds; None lets the recursion stop by itself.
        most: Maximum number of sounds if `sounds` is None.
        format: One of `stems.FORMATS`.
        videos: Whether videos are written.
        picture_px: Shorter side of the network's frames; None for that of the training data.
        names: Where names of sounds are written: "none", "page" (also `separation.json`) or "files" (also file names).
        audio_track: Number of the audio track, from 1; None chooses the one that a person would hear.
        video_track: Number of the video track, from 1; None chooses it.
    """

    sounds: int | None = None
    most: int = 4
    format: str = "wav"
    videos: bool = True
    picture_px: int | None = None
    names: str = "page"
    audio_track: int | None = None
    video_track: int | None = None

    @property
    def choice(self) -> TrackChoice:
        """Tracks that were chosen by hand."""
        return TrackChoice(self.audio_track, self.video_track)

    @property
    def numbers(self) -> int:
        """The maximum number of sounds."""
        return self.most if self.sounds is None else self.sounds


@dataclasses.dataclass(frozen=True)
class SeparatedVideo:
    """A video whose windows have been separated; its sounds have the numbers of the tracker.

    Attributes:
        stems: The stems, closed.
        journal: The journal, closed.
        tally: Statistics over all windows.
        rate_hz: Sample rate of the recording.
        channels: Number of channels of the recording.
        sound: Irregularities of the decoded sound.
        pictures: Irregularities of the decoded pictures.
    """

    stems: Stems
    journal: Journal
    tally: Tally
    rate_hz: int
    channels: int
    sound: Trace
    pictures: Trace

    @property
    def seconds(self) -> float:
        """Duration of the recording."""
        return self.stems.samples / self.rate_hz


def separate_video(
    video: Path, out: Path, model: Model, settings: Settings, *, namer: Namer | None = None
) -> dict[str, Any]:
    """Separates the sounds of a video; `out` appears when all its files are complete.

    Args:
        video: A file with pictures and sound that FFmpeg can read.
        out: A new or an empty folder.
        model: The trained networks.
        settings: The options.
        namer: Names the sounds by what the picture shows at their places; None leaves all of them without a name.

    Returns:
        The content of `separation.json` without its windows.

    Raises:
        InputError: The video cannot be used, or the folder cannot be written.
    """
    header = reader.probe(video, settings.choice)
    with atomic_folder(out, ()) as folder, _temporary(folder / ".work") as work:
        with _progress(header.duration_s, "separating") as progress:
            separated = separate_windows(video, work, model, settings, header=header, progress=progress)
        kept = kept_sounds(separated, keep_all=settings.sounds is not None)
        separated.stems.into_residual(separated.tally.numbers - set(kept))
        numbers = {old: new for new, old in enumerate(kept, start=1)}
        found = (
            _sound_names(video, separated, kept, namer, header=header, choice=settings.choice)
            if settings.names != "none"
            else {}
        )
        suffixes = {old: name.file_suffix for old, name in found.items()} if settings.names == "files" else {}
        names = {old: f"sound{new}{suffixes.get(old, '')}" for old, new in numbers.items()} | {RESIDUAL: "residual"}
        videos: dict[int, str] = {}
        if settings.videos:
            videos = {old: f"{names[old]}.mp4" for old in kept} | {RESIDUAL: "overview.mp4"}
            with _progress(separated.seconds, "writing videos") as progress:
                pictures = video_frames(video, header.picture_px or (0, 0), settings.choice)
                _write_videos(pictures, folder, separated, videos, model, progress=progress)
        energy = dict(separated.stems.energy)
        files = separated.stems.finish(names, folder, kind=settings.format)
        whole = max(sum(energy.values()), 1e-12)

        def entry(old: int) -> dict[str, Any]:
            return {"file": f"{names[old]}.{settings.format}", "energy_share": round(energy.get(old, 0.0) / whole, 5)}

        summary = {
            "video": {
                "file": str(video),
                "seconds": separated.seconds,
                "rate_hz": separated.rate_hz,
                "channels": separated.channels,
                "picture_px": header.picture_px,
            },
            "sounds": [
                {"number": new}
                | found.get(old, SoundName()).facts
                | entry(old)
                | {"video": videos.get(old)}
                | separated.tally.of(old)
                for old, new in numbers.items()
            ],
            "residual": entry(RESIDUAL),
            "overview": videos.get(RESIDUAL),
            "files": files,
            "remarks": remarks(separated, kept, header),
            "model": model.about,
            "settings": dataclasses.asdict(settings),
            "run": run_facts(),
            "windows_heard": separated.tally.windows,
        }
        curves = Curves()
        for window in separated.journal.windows(numbers):
            curves.add(window)
        write_results(folder / "separation.json", summary, separated.journal.windows(numbers))
        write_page(folder / "index.html", summary, curves)
    return summary


def separate_windows(
    video: Path, work: Path, model: Model, settings: Settings, *, header: MediaInfo, progress: Progress
) -> SeparatedVideo:
    """Separates the sound of a video window by window.

    Args:
        video: The file.
        work: Folder for the temporary files of the stems and the journal.
        model: The trained networks.
        settings: The options.
        header: Header of the video.
        progress: Called with the seconds of video that were separated.
    """
    method, data, audio = model.method, model.method.data, model.method.audio
    separator = make_separator(model, sounds=settings.sounds, most=settings.most)
    sound, seen = Trace(), Trace()
    assert header.picture_px is not None
    pictures = picture_windows(
        video,
        audio,
        data.frames,
        fps=data.records.fps,
        side_px=short_side_px(header.picture_px, settings.picture_px or data.records.frame_px),
        trace=seen,
        choice=settings.choice,
    )
    batch = SLICE * jax.local_device_count()
    tracker, fade, tally = Tracker(settings.numbers), CrossFade(hop_columns(audio)), Tally()
    stems = synthesis = None
    rate_hz = channels = 0
    with (
        contextlib.closing(Journal(work, settings.numbers)) as journal,
        contextlib.ExitStack() as stack,
        read_ahead(
            sound_windows(reader.stream_channels(video, sound, choice=settings.choice), audio, sound), batch
        ) as windows,
        read_ahead(pictures, batch) as frames,
    ):
        for window, sounds in separated_windows(separator.start, windows, frames, method=method, batch=batch):
            if stems is None or synthesis is None:
                rate_hz, channels = window.rate_hz, len(window.recorded)
                refuse_channels(settings.format, channels)
                stems = Stems(work, rate_hz=rate_hz, channels=channels, layout=sound.layout)
                stack.callback(stems.close)
                synthesis = Synthesis(rate_hz, channels, audio)
            numbers = tracker.number(sounds)
            shares = fade.join({number: sounds.share[step] for number, step in numbers.items()}, last=window.last)
            synthesis.add_recording(window.recorded, window.steady)
            columns = hop_columns(audio) * (2 if window.last else 1)
            piece = synthesis.apply(shares, columns, last=window.last)
            stems.write(piece)
            start_s = start_seconds(window.place, audio)
            end_s = stems.samples / rate_hz if window.last else start_s + audio.clip_seconds
            tally.add(journal.add(sounds, numbers, start_s=start_s, end_s=end_s))
            progress(piece.recorded.shape[1] / rate_hz)
    assert stems is not None
    return SeparatedVideo(stems, journal, tally, rate_hz, channels, sound, seen)


def kept_sounds(separated: SeparatedVideo, *, keep_all: bool) -> list[int]:
    """Returns the numbers of the sounds that are kept, the loudest first; see `_LEAST_ENERGY`."""
    energy = {number: separated.stems.energy.get(number, 0.0) for number in separated.tally.numbers}
    loudest = max(energy.values(), default=0.0)
    least = min(_LEAST_WINDOWS, separated.tally.windows)
    kept = [
        number
        for number in energy
        if keep_all or (energy[number] > _LEAST_ENERGY * loudest and separated.tally.longest(number) >= least)
    ]
    return sorted(kept, key=lambda number: -energy[number])


def remarks(separated: SeparatedVideo, kept: list[int], header: MediaInfo) -> list[str]:
    """Returns remarks on the video for the user, one sentence each."""
    sentences = []
    if not kept:
        sentences.append("No sound was found: the recording is silent, or no sound matches anything in the pictures.")
    sentences += header.remarks.values()
    for name, trace in (("sound", separated.sound), ("picture", separated.pictures)):
        if trace.broken_packets:
            sentences.append(f"{trace.broken_packets} packets of the {name} cannot be decoded and were skipped.")
        if trace.doubts.timestamps:
            sentences.append(
                f"Timestamps of the {name} that were not believed: {trace.doubts.timestamps}; they contradict the "
                f"others by up to {trace.doubts.furthest_s:.1f} s."
            )
    sentences += [f"{text[0].upper()}{text[1:]}." for text in channel_remarks(separated.sound).values()]
    sentences += _remarks_on_time(separated, header)
    if separated.tally.windows == 1:
        sentences.append("The recording is no longer than one window of the network; silence was added after it.")
    return sentences


def _remarks_on_time(separated: SeparatedVideo, header: MediaInfo) -> Iterator[str]:
    """Yields remarks on differences between the times of sound and pictures."""
    sound, pictures = separated.sound, separated.pictures
    if sound.start_s > _NOTABLE_S:
        yield f"The sound starts at {sound.start_s:.1f} s; before it, silence was added."
    if pictures.start_s > _NOTABLE_S:
        yield f"The pictures start at {pictures.start_s:.1f} s; until then the first one is shown."
    if sound.filled_s:
        yield f"Gaps of {sound.filled_s:.2f} s in the sound were filled with silence."
    if sound.cut_s:
        yield (
            f"{sound.cut_s:.2f} s of the sound overlap in time with earlier sound and were left out; "
            "if the file was joined from parts, re-encode it."
        )
    if sound.stated_end_s is not None and sound.end_s < 0.9 * sound.stated_end_s:
        yield f"The sound is cut off: {sound.end_s:.1f} s of {sound.stated_end_s:.1f} s can be decoded."
    elif max(header.duration_s or 0.0, pictures.end_s) > separated.seconds + _NOTABLE_S:
        yield f"The sound ends at {separated.seconds:.1f} s, before the file does; so do the written videos."
    if pictures.ended and pictures.end_s < 0.9 * separated.seconds:
        yield f"The pictures end at {pictures.end_s:.1f} s; the last one is repeated."


def _sound_names(
    video: Path,
    separated: SeparatedVideo,
    kept: list[int],
    namer: Namer | None,
    *,
    header: MediaInfo,
    choice: TrackChoice,
) -> dict[int, SoundName]:
    """Returns the names of the kept sounds by the tracker's number; none without a classifier."""
    if namer is None or not kept:
        return {}
    assert header.picture_px is not None
    tallies = {number: separated.tally.of(number) for number in kept}
    return name_sounds(
        video,
        separated.journal.windows({number: number for number in kept}),
        {number: (tally["first_s"], tally["last_s"]) for number, tally in tallies.items()},
        namer,
        picture_px=header.picture_px,
        choice=choice,
    )


def _write_videos(
    pictures: Iterator[np.ndarray],
    folder: Path,
    separated: SeparatedVideo,
    names: dict[int, str],
    model: Model,
    *,
    progress: Progress,
) -> None:
    """Writes the videos; `names` are their file names by the tracker's number, `RESIDUAL` is the overview's."""
    write_videos(
        pictures,
        {old: folder / name for old, name in names.items()},
        stems=separated.stems,
        rate_hz=separated.rate_hz,
        maps=separated.journal.maps(),
        hop_s=start_seconds(1, model.method.audio),
        progress=progress,
    )


@contextlib.contextmanager
def _temporary(folder: Path) -> Iterator[Path]:
    """Creates a folder and removes it at the end; after an error, its parent is removed anyway."""
    folder.mkdir()
    yield folder
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()


@contextlib.contextmanager
def _progress(seconds: float | None, title: str) -> Iterator[Progress]:
    interval = 1 if sys.stderr.isatty() else 15
    total = None if seconds is None else round(seconds, 1)
    form = "{desc}: {percentage:3.0f}%|{bar}| {n:.0f}/{total:.0f} s of the video [{elapsed}<{remaining}]"
    with tqdm.tqdm(total=total, unit="s", desc=title, mininterval=interval, bar_format=form if total else None) as bar:
        # The header's duration is approximate, so the progress is limited to it.
        yield lambda done: bar.update(done if total is None else max(0.0, min(done, total - bar.n)))
