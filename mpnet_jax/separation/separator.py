"""Separates videos with one set of networks, which are loaded and compiled once."""

import contextlib
import dataclasses
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from data_pipeline.atomic import atomic_folder
from data_pipeline.command import InputError
from data_pipeline.media.reader import Trace, TrackChoice
from mpnet_jax.processes import environment
from mpnet_jax.separation.finished import Finished
from mpnet_jax.separation.names import Namer, load_namer
from mpnet_jax.separation.output import Output
from mpnet_jax.separation.progress import Progress, no_progress, part_of
from mpnet_jax.separation.separate_video import Settings, separate_source, separated_pieces
from mpnet_jax.separation.separation import Separation
from mpnet_jax.separation.source import NONE_CHOSEN, Arrays, Source, VideoFile
from mpnet_jax.weights.trained import Model, load

MOST_SOUNDS = 8
_SEPARATING = 0.6  # Fraction of the time of `separate_to` before the videos are written.


class Cancelled(Exception):
    """Raised by a progress callback to end a separation; nothing that is half written stays."""


class Window(NamedTuple):
    """A part of a separated recording.

    Attributes:
        start_s: Start of the part in seconds; it ends where the next part begins.
        recording: Samples of the recording.
        sounds: Samples of each sound that was found so far, by number. Numbers stay the same from part to part and are
            in the order in which sounds are found.
    """

    start_s: float
    recording: Float[np.ndarray, "channels samples"]
    sounds: dict[int, Float[np.ndarray, "channels samples"]]


class Separator:
    """Separates the sounds of videos by what the pictures show.

    The networks are loaded once. They are compiled in the first separation, and again only for another shape of frames.
    The configuration of JAX in this process is set as by the commands; see `environment.prepare`.

    Args:
        model: Folder of a trained run, or a model file (`.safetensors`) of `mpnet-jax export`, or a loaded model; None
            for the small model that ships with the package.
        sounds: Number of sounds of each video, 1 to 8; None lets the recursion stop by itself.
        most_sounds: Maximum number of sounds if `sounds` is None, 1 to 8.
        progress: Called with the fraction of the current separation that is done, in [0, 1]. An exception that it
            raises, such as `Cancelled`, ends the separation.
        picture_px: Shorter side of the network's frames, 32 to 1024; None for that of the training data.
        names: Whether sounds get names by what the picture shows at their places, or the classifier that gives them.
        keep_places: Whether `Separation.sound_at`, `share_at` and `steps` are available afterwards.

    Raises:
        InputError: There is no such model, or a number is out of range.
    """

    def __init__(
        self,
        model: str | Path | Model | None = None,
        *,
        sounds: int | None = None,
        most_sounds: int = 4,
        progress: Progress | None = None,
        picture_px: int | None = None,
        names: bool | Namer = True,
        keep_places: bool = True,
    ) -> None:
        self._settings = Settings(_count("sounds", sounds), most_sounds, picture_px, keep_places)
        _count("most_sounds", most_sounds)
        if picture_px is not None and not 32 <= picture_px <= 1024:
            raise InputError(f"picture_px={picture_px} must lie between 32 and 1024")
        self._progress = progress or no_progress
        environment.prepare()
        self._model = model if isinstance(model, Model) else load(None if model is None else Path(model))
        self._namer = names if isinstance(names, Namer) else load_namer() if names else None

    @property
    def model(self) -> Model:
        """The networks."""
        return self._model

    def separate_file(
        self,
        path: str | Path,
        *,
        sounds: int | None = None,
        work: str | Path | None = None,
        tracks: TrackChoice | None = None,
    ) -> Separation:
        """Separates a video file.

        Args:
            path: A file with pictures and sound that FFmpeg can read.
            sounds: Number of sounds; None for that of the constructor.
            work: Folder that receives the separation: a new or an empty one. `Separation.load` reads it later. None for
                a temporary folder, which `Separation.close` removes.
            tracks: Tracks that are chosen by hand; None takes those that a person would see and hear.

        Raises:
            InputError: The video or the folder cannot be used.
        """
        return self._separate(VideoFile(Path(path), tracks or NONE_CHOSEN), sounds, work)

    def separate(
        self,
        waveform: Any,
        rate_hz: int,
        pictures: Any,
        fps: float,
        *,
        sounds: int | None = None,
        work: str | Path | None = None,
    ) -> Separation:
        """Separates a recording with its frames in memory.

        Args:
            waveform: Samples, (channels, samples) or (samples,), full scale 1.0.
            rate_hz: Sample rate.
            pictures: Frames, uint8 (frame, height, width, 3) in RGB; the first one is shown at the first sample. The
                last one is repeated if the recording is longer.
            fps: Frames per second.
            sounds: See `separate_file`.
            work: See `separate_file`.

        Raises:
            InputError: An array or the folder cannot be used.
        """
        return self._separate(Arrays(waveform, rate_hz, pictures, fps), sounds, work)

    def separate_to(
        self,
        path: str | Path,
        out: str | Path,
        output: Output | None = None,
        *,
        sounds: int | None = None,
        tracks: TrackChoice | None = None,
    ) -> dict[str, Any]:
        """Separates a video file and writes all results, as the command `mpnet-jax separate` does.

        It needs less space on disk than `separate_file` and `Separation.write` together, since the stems are moved.

        Args:
            path: See `separate_file`.
            out: A new or an empty folder; it appears when all its files are complete.
            output: Options of the written files.
            sounds: See `separate_file`.
            tracks: See `separate_file`.

        Returns:
            The content of `separation.json` without its windows.

        Raises:
            InputError: The video or the folder cannot be used.
        """
        output, source = output or Output(), VideoFile(Path(path), tracks or NONE_CHOSEN)
        split = _SEPARATING if output.videos else 1.0
        with atomic_folder(Path(out), ()) as folder:
            work = folder / ".work"
            work.mkdir()
            finished = separate_source(
                source,
                work,
                self._model,
                dataclasses.replace(self._settings_of(sounds), keep_places=output.place is not None),
                namer=None if output.names == "none" else self._namer,
                progress=part_of(self._progress, 0.0, split),
                check_channels=output.format.refuse_channels,
            )
            summary = Separation(finished, source).write_into(
                folder, output, move=True, progress=part_of(self._progress, split, 1.0)
            )
            shutil.rmtree(work)
        return summary

    def windows(self, path: str | Path, *, sounds: int | None = None) -> Iterator[Window]:
        """Yields the separated parts of a video file while it is read, in constant memory and without files.

        Sounds that are too faint or too short are included, and no sound has a name.

        Args:
            path: See `separate_file`.
            sounds: See `separate_file`.

        Raises:
            InputError: The video cannot be used.
        """
        source = VideoFile(Path(path))
        header, samples = source.header(), 0
        settings = dataclasses.replace(self._settings_of(sounds), keep_places=False)
        pieces = separated_pieces(source, self._model, settings, header=header, traces=(Trace(), Trace()))
        with contextlib.closing(pieces):
            for window, _, _, piece in pieces:
                yield Window(samples / window.rate_hz, piece.recorded, piece.sounds)
                samples += piece.recorded.shape[1]
                if header.duration_s:
                    self._progress(min(1.0, samples / window.rate_hz / header.duration_s))

    def _settings_of(self, sounds: int | None) -> Settings:
        return (
            self._settings if sounds is None else dataclasses.replace(self._settings, sounds=_count("sounds", sounds))
        )

    def _separate(self, source: Source, sounds: int | None, work: str | Path | None) -> Separation:
        settings = self._settings_of(sounds)
        if work is None:
            with _temporary_folder() as folder:
                finished = separate_source(
                    source, folder, self._model, settings, namer=self._namer, progress=self._progress
                )
            return Separation(finished, source, temporary=True)
        with atomic_folder(Path(work), ()) as folder:
            separate_source(source, folder, self._model, settings, namer=self._namer, progress=self._progress)
        return Separation(Finished.read(Path(work)), source)


def _count(name: str, number: int | None) -> int | None:
    """Returns a number of sounds, or raises InputError if it is out of range."""
    if number is not None and not 1 <= number <= MOST_SOUNDS:
        raise InputError(f"{name}={number} must lie between 1 and {MOST_SOUNDS}")
    return number


@contextlib.contextmanager
def _temporary_folder() -> Iterator[Path]:
    """Creates a folder, which is removed after an error."""
    folder = Path(tempfile.mkdtemp(prefix="mpnet_jax_"))
    try:
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
