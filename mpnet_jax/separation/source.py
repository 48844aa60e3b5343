"""What is separated: a video file, or the arrays of a recording and its frames."""

import dataclasses
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from PIL import Image

from data_pipeline.command import InputError
from data_pipeline.media import reader
from data_pipeline.media.reader import MediaInfo, Trace

_BLOCK_S = 1.0  # Length of the blocks into which an array of samples is cut.


@runtime_checkable
class Source(Protocol):
    """A recording with frames, which is read block by block."""

    @property
    def name(self) -> str | None:
        """Path of the file as text; None for arrays."""
        ...

    def header(self) -> MediaInfo:
        """Returns the duration, the sample rate and the size of the frames."""
        ...

    def sound(self, trace: Trace | None = None) -> Iterator[tuple[int, np.ndarray]]:
        """Yields blocks of all channels; see `reader.stream_channels`."""
        ...

    def frames(
        self, times_s: Iterable[float], short_side_px: int, *, threads: int = 1, trace: Trace | None = None
    ) -> Iterator[np.ndarray]:
        """Yields the frames shown at given times, without an end if the times have none; see `reader.read_frames`."""
        ...


@dataclasses.dataclass(frozen=True)
class VideoFile:
    """A video file.

    Attributes:
        path: The file.
    """

    path: Path

    @property
    def name(self) -> str:
        """Path of the file as text."""
        return str(self.path)

    def header(self) -> MediaInfo:
        """Reads the header.

        Raises:
            InputError: The file cannot be read, or has no video or no audio stream.
        """
        header = reader.probe(self.path)
        if not header.has_video:
            raise InputError(
                f"{self.path} has no video stream, and sound alone cannot be separated; give a file with a video stream"
            )
        if not header.has_audio:
            raise InputError(f"{self.path} has no sound; give a video with a sound stream")
        return header

    def sound(self, trace: Trace | None = None) -> Iterator[tuple[int, np.ndarray]]:
        """See `Source.sound`."""
        return reader.stream_channels(self.path, trace)

    def frames(
        self, times_s: Iterable[float], short_side_px: int, *, threads: int = 1, trace: Trace | None = None
    ) -> Iterator[np.ndarray]:
        """See `Source.frames`."""
        return reader.read_frames(self.path, times_s, short_side_px, threads=threads, trace=trace, whole=False)


class Arrays:
    """A recording and its frames in memory.

    Args:
        waveform: Samples of the recording, (channels, samples) or (samples,), full scale 1.0.
        rate_hz: Sample rate.
        pictures: Frames, uint8 (frame, height, width, 3) in RGB; the first one is shown at time 0.
        fps: Frames per second.

    Raises:
        InputError: An array has another shape or no elements, a rate is not positive, or a sample is not finite.
    """

    name = None

    def __init__(self, waveform: Any, rate_hz: int, pictures: Any, fps: float) -> None:
        sound, frames = np.atleast_2d(np.asarray(waveform, np.float32)), np.asarray(pictures)
        if sound.ndim != 2 or not sound.size:
            raise InputError(f"waveform has the shape {np.shape(waveform)}; give (channels, samples) or (samples,)")
        if not np.isfinite(sound).all():
            raise InputError("waveform holds a value that is not finite; replace it, by 0 for example")
        if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or not frames.size:
            raise InputError(
                f"pictures has the shape {frames.shape} and the type {frames.dtype}; give uint8 (frame, height, width, "
                "3) in RGB"
            )
        if not (rate_hz > 0 and fps > 0 and math.isfinite(fps)):
            raise InputError(f"rate_hz={rate_hz} and fps={fps} must be positive")
        self._sound, self._rate_hz, self._frames, self._fps = sound, int(rate_hz), frames, float(fps)

    def header(self) -> MediaInfo:
        """Returns the duration of the recording and the size of the frames."""
        seconds = self._sound.shape[1] / self._rate_hz
        height, width = self._frames.shape[1:3]
        return MediaInfo(seconds, True, True, (1, 1), self._rate_hz, (height, width))

    def sound(self, trace: Trace | None = None) -> Iterator[tuple[int, np.ndarray]]:
        """See `Source.sound`."""
        if trace is not None:
            trace.start_s, trace.end_s, trace.rate_hz = 0.0, self._sound.shape[1] / self._rate_hz, self._rate_hz
        size = max(1, round(_BLOCK_S * self._rate_hz))
        for begin in range(0, self._sound.shape[1], size):
            yield self._rate_hz, self._sound[:, begin : begin + size]

    def frames(
        self, times_s: Iterable[float], short_side_px: int, *, threads: int = 1, trace: Trace | None = None
    ) -> Iterator[np.ndarray]:
        """See `Source.frames`."""
        del threads
        if trace is not None:
            trace.start_s, trace.end_s = 0.0, len(self._frames) / self._fps
        height, width = self._frames.shape[1:3]
        scale = short_side_px / min(height, width)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        method = Image.Resampling.BOX if scale < 1 else Image.Resampling.BICUBIC
        shown, picture = -1, self._frames[0]
        for time in times_s:
            index = min(math.floor(time * self._fps + 1e-6), len(self._frames) - 1)
            if trace is not None and time * self._fps >= len(self._frames):
                trace.ended = True
            if index != shown:
                shown = index
                picture = np.asarray(Image.fromarray(self._frames[index]).resize(size, method))
            yield picture
