"""The result of a separation: its sounds, the sound of any place of the picture, and the steps of the recursion."""

import dataclasses
import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from jaxtyping import Float

from data_pipeline.atomic import atomic_folder
from data_pipeline.command import InputError
from data_pipeline.media.tracks import TrackChoice
from mpnet_jax.separation.finished import Finished
from mpnet_jax.separation.formats import FileFormat
from mpnet_jax.separation.output import Output, write_output
from mpnet_jax.separation.place_sounds import PlaceSounds, Step
from mpnet_jax.separation.progress import Progress, no_progress
from mpnet_jax.separation.source import Source, VideoFile
from mpnet_jax.separation.stems import RESIDUAL, read_blocks, read_stem, stem_path

Waveform = Float[np.ndarray, "channels samples"]


@dataclasses.dataclass(frozen=True)
class Sound:
    """A separated sound.

    Attributes:
        number: Number of the sound, from 1; the loudest sound comes first.
        name: What the picture shows at the sound's place, such as "violin"; None if that is unknown.
        probability: Probability of the name; None without a name.
        energy_share: Fraction of the recording's energy, in [0, 1].
        place: Mean place, from the top and from the left, in fractions of the frame.
        first_s: Start of the first window in which the sound was found, in seconds.
        last_s: End of the last window in which it was found, in seconds.
        file: WAV file of 32-bit floats with the sound.
    """

    number: int
    name: str | None
    probability: float | None
    energy_share: float
    place: tuple[float, float]
    first_s: float
    last_s: float
    file: Path
    _finished: Finished = dataclasses.field(repr=False, compare=False)

    @property
    def waveform(self) -> Waveform:
        """The samples, float32 (channels, samples), read from the file; full scale is 1.0."""
        return read_stem(self.file)

    @property
    def heat(self) -> Float[np.ndarray, "window rows columns"]:
        """The heat map of each window, float16, scaled to minimum 0 and maximum 1; zero where the sound is missing."""
        return self._finished.maps()[:, self.number - 1]


class Separation:
    """A separated video, stored in a folder.

    Arrays are read from the folder when they are asked for. It is a context manager, which calls `close` at its end.

    Args:
        finished: The folder.
        source: The video; None if it is not there any more.
        temporary: Whether `close` removes the folder.

    Attributes:
        sounds: The sounds, the loudest first.
        summary: JSON-ready description, the content of `separation.json` without its windows.
        rate_hz: Sample rate of the recording and of all sounds.
        seconds: Duration of the recording.
        remarks: Irregularities of the video, one sentence each.
    """

    def __init__(self, finished: Finished, source: Source | None, *, temporary: bool = False) -> None:
        self._finished, self._source, self._temporary = finished, source, temporary
        self._places: PlaceSounds | None = None
        self.summary: dict[str, Any] = finished.summary
        self.rate_hz: int = finished.summary["video"]["rate_hz"]
        self.seconds: float = finished.summary["video"]["seconds"]
        self.remarks: list[str] = finished.summary["remarks"]
        self.sounds: list[Sound] = [
            Sound(
                sound["number"],
                sound["name"],
                sound["name_probability"],
                sound["energy_share"],
                (sound["place"][0], sound["place"][1]),
                sound["first_s"],
                sound["last_s"],
                stem_path(finished.folder, sound["number"]),
                finished,
            )
            for sound in finished.summary["sounds"]
        ]

    @classmethod
    def load(cls, folder: str | Path) -> "Separation":
        """Reads a separation that `save` wrote, or the `work` folder of `Separator.separate_file`.

        Args:
            folder: The folder; it must stay as long as the separation is used.

        Raises:
            InputError: The folder holds no finished separation.
        """
        finished = Finished.read(Path(folder))
        file = finished.summary["video"]["file"]
        source = None
        if file and Path(file).is_file():
            source = VideoFile(Path(file), TrackChoice(**finished.facts["tracks"]))
        return cls(finished, source)

    def save(self, folder: str | Path) -> None:
        """Copies the separation to a folder, from which `load` reads it; the folder appears when it is complete.

        Args:
            folder: A new or an empty folder.

        Raises:
            InputError: The folder cannot be used.
        """
        with atomic_folder(Path(folder), ()) as fresh:
            shutil.copytree(self.folder, fresh, dirs_exist_ok=True)

    @property
    def folder(self) -> Path:
        """The folder that holds the separation."""
        return self._finished.folder

    @property
    def residual(self) -> Waveform:
        """The recording minus all sounds, float32 (channels, samples)."""
        return read_stem(self._finished.stems[RESIDUAL])

    @property
    def mixture(self) -> Waveform:
        """The recording, float32 (channels, samples): the sum of all sounds and the residual."""
        blocks = read_blocks(list(self._finished.stems.values()))
        return np.concatenate([sum(parts[1:], parts[0]) for parts in blocks]).T

    def windows(self) -> Iterator[dict[str, Any]]:
        """Yields the windows as in `separation.json`: `start_s`, `end_s`, and `sounds` with their places and energy."""
        return self._finished.windows()

    @property
    def places(self) -> tuple[int, int]:
        """Rows and columns of the map of places that `sound_at` distinguishes."""
        return self._place_sounds().grid

    def sound_at(self, x: float, y: float) -> Waveform:
        """Returns the sound of a place of the picture; the networks do not run again.

        It is the recording under the mask by which the first step of the recursion weighs this place. Sounds of
        different places overlap, so they do not sum to the recording.

        Args:
            x: Fraction of the picture from the left, in [0, 1].
            y: Fraction of the picture from the top, in [0, 1].

        Returns:
            float32 (channels, samples), as long as the recording and with its sample rate.

        Raises:
            ValueError: The place lies outside the picture.
            InputError: The separation was made with `keep_places=False`.
        """
        places = self._place_sounds()
        return places.sound(places.place_of(x, y))

    def share_at(self, x: float, y: float) -> Float[np.ndarray, " window"]:
        """Returns the fraction of each window's magnitude that the mask of a place takes; see `sound_at`."""
        places = self._place_sounds()
        return places.share(places.place_of(x, y))

    def steps(self, window: int) -> list[Step]:
        """Returns what each step of the recursion took in a window, and what remained before it.

        Args:
            window: Index of the window, from 0. Window i begins `window_seconds(i)[0]` seconds after the start.

        Returns:
            One entry for each step that separated a sound, in their order. Magnitudes are linear and lie on the
            networks' frequency axis (`step_hz`).

        Raises:
            ValueError: There is no such window.
            InputError: The separation was made with `keep_places=False`.
        """
        places, count = self._place_sounds(), self._finished.facts["windows"]
        if not 0 <= window < count:
            raise ValueError(f"window={window} must lie between 0 and {count - 1}")
        line = next(line for index, line in enumerate(self._finished.windows()) if index == window)
        found = {sound["step"]: sound for sound in line["sounds"]}
        remainders = places.remainders(window)
        steps = []
        for index, (before, after) in enumerate(itertools.pairwise(remainders)):
            sound = found.get(index)
            if sound is not None:
                steps.append(Step(sound["number"], tuple(sound["place"]), before, np.maximum(before - after, 0.0)))
            elif np.any(before != after):
                steps.append(Step(None, None, before, np.maximum(before - after, 0.0)))
        return steps

    @property
    def step_hz(self) -> Float[np.ndarray, " freq"]:
        """Centre frequency of each row of the magnitudes of `steps`."""
        return self._place_sounds().hz

    def write(
        self,
        out: str | Path,
        *,
        format: str = "wav",
        bits: int | None = None,
        bitrate_kbps: int | None = None,
        videos: bool = True,
        progress: Progress = no_progress,
        **options: Any,
    ) -> dict[str, Any]:
        """Writes the files that the command `mpnet-jax separate` writes; the folder appears when it is complete.

        Args:
            out: A new or an empty folder.
            format: Format of the sound files: "wav", "flac", "mp3", "ogg" or "m4a".
            bits: Bit depth; see `formats.FileFormat`.
            bitrate_kbps: Bit rate in kbit/s; see `formats.FileFormat`.
            videos: Whether a video is written for each sound, and one with all of them.
            progress: Called with the fraction that is done, in [0, 1]; an exception that it raises ends the writing.
            options: Further options by the names of `output.Output`: `names`, `pattern`, `only`, `without`, `place`.
                `only` and `without` are lists of numbers or names of sounds.

        Returns:
            The content of `separation.json` without its windows.

        Raises:
            InputError: The folder or an option cannot be used, or the video is not there any more.
        """
        for name in ("only", "without"):
            options[name] = tuple(map(str, options.get(name, ())))
        output = Output(FileFormat(format, bits, bitrate_kbps), videos, **options)
        with atomic_folder(Path(out), ()) as fresh:
            return self.write_into(fresh, output, progress=progress)

    def write_into(
        self,
        folder: Path,
        output: Output,
        *,
        move: bool = False,
        progress: Progress = no_progress,
    ) -> dict[str, Any]:
        """Writes the files into an existing folder; see `output.write_output`."""
        return write_output(self._finished, self._source, folder, output, move=move, progress=progress)

    def close(self) -> None:
        """Removes the folder if it is a temporary one; waveforms cannot be read afterwards."""
        self._places = None
        if self._temporary:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> "Separation":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _place_sounds(self) -> PlaceSounds:
        if self._finished.facts["features"] is None:
            raise InputError("the feature maps were not kept; separate the video with keep_places=True")
        if self._places is None:
            self._places = PlaceSounds(self._finished.folder, self._finished.facts)
        return self._places
