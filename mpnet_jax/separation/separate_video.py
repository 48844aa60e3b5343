"""Separates the sounds of a video into a folder; the other modules of the package do the single steps."""

import contextlib
import dataclasses
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax

from data_pipeline.media.reader import MediaInfo, Trace
from mpnet_jax.run.facts import run_facts
from mpnet_jax.separation.crossfade import CrossFade
from mpnet_jax.separation.finished import Finished
from mpnet_jax.separation.journal import Journal, read_windows
from mpnet_jax.separation.names import Namer, SoundName, name_sounds
from mpnet_jax.separation.network import (
    FRAMES_TOGETHER,
    Seen,
    WindowSounds,
    make_separator,
    make_trunk,
    separated_windows,
)
from mpnet_jax.separation.picture_windows import feature_windows, picture_windows, short_side_px
from mpnet_jax.separation.place_sounds import FeatureFiles, band_spectra
from mpnet_jax.separation.progress import Progress, no_progress
from mpnet_jax.separation.read_ahead import read_ahead
from mpnet_jax.separation.remarks import remarks
from mpnet_jax.separation.results import Tally
from mpnet_jax.separation.sound_windows import SoundWindow, hop_columns, sound_windows, start_seconds
from mpnet_jax.separation.source import Source
from mpnet_jax.separation.stems import RESIDUAL, Stems
from mpnet_jax.separation.synthesis import Piece, Synthesis
from mpnet_jax.separation.tracking import Tracker
from mpnet_jax.steps.device_pass import SLICE
from mpnet_jax.weights.trained import Model

# A sound with less than this fraction of the loudest sound's energy, or never found in so many consecutive windows (if
# the video has as many), is added to the residual.
_LEAST_ENERGY = 0.01
_LEAST_WINDOWS = 3
_SEPARATING = 0.95  # Fraction of the time that the networks take; the rest is for the names.


@dataclasses.dataclass(frozen=True)
class Settings:
    """Options of a separation.

    Attributes:
        sounds: Number of sounds; None lets the recursion stop by itself.
        most: Maximum number of sounds if `sounds` is None.
        picture_px: Shorter side of the network's frames; None for that of the training data.
        keep_places: Whether the feature maps are kept from which the sound of any place is computed. They take 40 MB
            for each minute with the small model that ships with the package, and one more pass of the Minus-Net.
    """

    sounds: int | None = None
    most: int = 4
    picture_px: int | None = None
    keep_places: bool = False

    @property
    def numbers(self) -> int:
        """The maximum number of sounds."""
        return self.most if self.sounds is None else self.sounds


class SeparatedWindow(NamedTuple):
    """A window and what was separated in it.

    Attributes:
        window: The window.
        sounds: Its sounds, by step of the recursion.
        numbers: Steps by the number of their sounds.
        piece: The part of the recording that is complete with this window; it follows that of the previous window.
    """

    window: SoundWindow
    sounds: WindowSounds
    numbers: dict[int, int]
    piece: Piece


def separate_source(
    source: Source,
    folder: Path,
    model: Model,
    settings: Settings,
    *,
    namer: Namer | None = None,
    progress: Progress = no_progress,
    check_channels: Callable[[int], None] | None = None,
) -> Finished:
    """Separates the sounds of a video into a folder; memory does not grow with the length of the video.

    Args:
        source: The video.
        folder: An empty folder.
        model: The trained networks.
        settings: The options.
        namer: Names the sounds by what the picture shows at their places; None leaves all of them without a name.
        progress: Called with the fraction that is done, in [0, 1]. An exception that it raises ends the separation.
        check_channels: Called with the number of channels as soon as it is known, to raise an exception for it.

    Returns:
        The finished folder.

    Raises:
        InputError: The video cannot be used, or the folder cannot be written.
    """
    header = source.header()
    sound, pictures = Trace(), Trace()
    journal, tally, stems = Journal(folder, settings.numbers), Tally(), None
    features = FeatureFiles(folder) if settings.keep_places else None
    audio = model.method.audio
    rate_hz = channels = 0
    progress(0.0)
    with contextlib.ExitStack() as stack:
        stack.callback(journal.close)
        stack.callback(features.close if features else lambda: None)
        separated = separated_pieces(source, model, settings, header=header, traces=(sound, pictures))
        for window, sounds, numbers, piece in stack.enter_context(contextlib.closing(separated)):
            if stems is None:
                rate_hz, channels = window.rate_hz, len(window.recorded)
                if check_channels is not None:
                    check_channels(channels)
                stems = Stems(folder, rate_hz=rate_hz, channels=channels, with_recording=settings.keep_places)
                stack.callback(stems.close)
            stems.write(piece)
            if features is not None:
                assert sounds.kept is not None
                features.add(sounds.kept)
            start_s = start_seconds(window.place, audio)
            end_s = stems.samples / rate_hz if window.last else start_s + audio.clip_seconds
            tally.add(journal.add(sounds, numbers, start_s=start_s, end_s=end_s))
            if header.duration_s:
                # The header's duration is approximate, so the progress is limited.
                progress(_SEPARATING * min(1.0, stems.samples / rate_hz / header.duration_s))
    assert stems is not None
    kept = kept_sounds(stems, tally, keep_all=settings.sounds is not None)
    stems.into_residual(tally.numbers - set(kept))
    names = _names(source, folder, tally, kept, namer, header=header)
    energy = dict(stems.energy)
    seconds = stems.samples / rate_hz
    is_wav = stems.settle({old: new for new, old in enumerate(kept, start=1)})
    summary = {
        "video": {
            "file": source.name,
            "seconds": seconds,
            "rate_hz": rate_hz,
            "channels": channels,
            "picture_px": list(header.picture_px or ()),
        },
        "sounds": [
            {"number": new}
            | names.get(old, SoundName()).facts
            | _entry(f"sound{new}.wav", old, energy)
            | {"video": None}
            | tally.of(old)
            for new, old in enumerate(kept, start=1)
        ],
        "residual": _entry("residual.wav", RESIDUAL, energy),
        "overview": None,
        "files": {"format": "WAV" if is_wav else "RF64", "subtype": "FLOAT", "gain": 1.0},
        "remarks": remarks(
            header, sound=sound, pictures=pictures, seconds=seconds, windows=tally.windows, sounds=len(kept)
        ),
        "model": model.about,
        "settings": dataclasses.asdict(settings),
        "run": run_facts(),
        "windows_heard": tally.windows,
    }
    facts = {
        "windows": tally.windows,
        "rate_hz": rate_hz,
        "channels": channels,
        "hop_s": start_seconds(1, audio),
        "maps": journal.shape,
        "numbers": kept,
        "layout": sound.layout,
        "tracks": dataclasses.asdict(source.choice),
        "audio": dataclasses.asdict(audio),
        "frequency_axis": model.method.config.audio.frequency_axis,
        "features": features.shapes if features else None,
        "peaks": [stems.peaks(number) for number in (*kept, RESIDUAL)],
    }
    if features is not None:
        band_spectra(folder, facts).write()
    finished = Finished(folder, summary, facts)
    finished.save()
    progress(1.0)
    return finished


def separated_pieces(
    source: Source, model: Model, settings: Settings, *, header: MediaInfo, traces: tuple[Trace, Trace]
) -> Generator[SeparatedWindow, None, None]:
    """Yields the windows of a video with their sounds, in constant memory.

    A sound keeps its number from window to window. Sounds that `kept_sounds` leaves out at the end are included.

    Args:
        source: The video.
        model: The trained networks.
        settings: The options.
        header: Header of the video.
        traces: Receive the irregularities of the decoded sound and of the decoded pictures.
    """
    method, data, audio = model.method, model.method.data, model.method.audio
    separator = make_separator(model, sounds=settings.sounds, most=settings.most, keep_places=settings.keep_places)
    trunk = make_trunk(model)
    assert header.picture_px is not None
    # A frozen trunk sees the frame in the middle of every second half of a window. Any other frame network sees as many
    # frames of a window as in training.
    pictures: Iterator[Seen] = picture_windows(
        source,
        audio,
        [start_seconds(1, audio) / 2] if trunk else data.frames.seconds(audio.clip_seconds).tolist(),
        fps=data.records.fps,
        side_px=short_side_px(header.picture_px, settings.picture_px or data.records.frame_px),
        trace=traces[1],
    )
    if trunk:
        pictures = feature_windows(pictures, trunk, FRAMES_TOGETHER * jax.local_device_count())
    batch = SLICE * jax.local_device_count()
    tracker, fade, synthesis = Tracker(settings.numbers), CrossFade(hop_columns(audio)), None
    with (
        read_ahead(sound_windows(source.sound(traces[0]), audio, traces[0]), batch) as windows,
        read_ahead(pictures, batch) as frames,
    ):
        for window, sounds in separated_windows(separator.start, windows, frames, method=method, batch=batch):
            if synthesis is None:
                synthesis = Synthesis(window.rate_hz, len(window.recorded), audio)
            numbers = tracker.number(sounds)
            shares = fade.join({number: sounds.share[step] for number, step in numbers.items()}, last=window.last)
            synthesis.add_recording(window.recorded, window.steady)
            columns = hop_columns(audio) * (2 if window.last else 1)
            yield SeparatedWindow(window, sounds, numbers, synthesis.apply(shares, columns, last=window.last))


def kept_sounds(stems: Stems, tally: Tally, *, keep_all: bool) -> list[int]:
    """Returns the numbers of the sounds that are kept, the loudest first; see `_LEAST_ENERGY`."""
    energy = {number: stems.energy.get(number, 0.0) for number in tally.numbers}
    loudest = max(energy.values(), default=0.0)
    least = min(_LEAST_WINDOWS, tally.windows)
    kept = [
        number
        for number in energy
        if keep_all or (energy[number] > _LEAST_ENERGY * loudest and tally.longest(number) >= least)
    ]
    return sorted(kept, key=lambda number: -energy[number])


def _entry(file: str, number: int, energy: dict[int, float]) -> dict[str, Any]:
    whole = max(sum(energy.values()), 1e-12)
    return {"file": file, "energy_share": round(energy.get(number, 0.0) / whole, 5)}


def _names(
    source: Source, folder: Path, tally: Tally, kept: list[int], namer: Namer | None, *, header: MediaInfo
) -> dict[int, SoundName]:
    """Returns the names of the kept sounds by the tracker's number; none without a classifier."""
    if namer is None or not kept:
        return {}
    assert header.picture_px is not None
    tallies = {number: tally.of(number) for number in kept}
    return name_sounds(
        source,
        read_windows(folder, {number: number for number in kept}),
        {number: (tally["first_s"], tally["last_s"]) for number, tally in tallies.items()},
        namer,
        picture_px=header.picture_px,
    )
