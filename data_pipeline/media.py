"""Video files in, mono sound and pictures out: with `upright` the only caller of the video library (PyAV).

Sound and pictures share one timeline, whose zero is the container's start. Timestamps alone decide what is
shown or heard at a time; frame counters lie in videos of variable frame rate.
"""

import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import soxr
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from data_pipeline.command import InputError
from data_pipeline.upright import Scaler, is_turned

# A stream that ends before this part of its stated length was cut short, not merely rounded.
_COMPLETE_PART = 0.9
# Smaller differences between a block's timestamp and the samples counted so far are rounding, not gaps.
_GAP_SECONDS = 0.05
# A gap of hours is filled piece by piece, so that memory stays flat.
_FILL_SECONDS = 1.0
_FULL = 0.999  # of full scale: a sample there was most likely cut off
# Timestamps are fractions; as floating-point numbers equal ones may differ in the last digit.
_SAME_TIME_SECONDS = 1e-6
# Before version 19 a title in an unknown encoding would refuse the whole file.
_OPEN_OPTIONS: dict[str, Any] = {"metadata_errors": "ignore"} if int(av.__version__.partition(".")[0]) < 19 else {}
# Formats that list every packet, and so know how long each stream is; the library guesses for the others.
_LISTS_PACKETS = {"mov", "mp4", "avi"}
_FULL_SCALE = {"u1": 2.0**7, "i2": 2.0**15, "i4": 2.0**31, "i8": 2.0**63, "f4": 1.0, "f8": 1.0}


class MediaError(InputError):
    """A video that cannot be used.

    Attributes:
        reason: the kind of fault in a few words, to count by.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        # Exceptions cross process borders by their constructor's arguments.
        return type(self), (self.reason, str(self))


@dataclasses.dataclass(frozen=True)
class MediaInfo:
    """What a file's header says.

    Attributes:
        duration_s: stated length in seconds; None where the container does not say.
        has_video: a picture stream is there (cover art does not count).
        has_audio: a sound stream is there.
        audio_rate_hz: stated sample rate; None without sound.
        picture_px: stated (height, width) before rotation; None without pictures.
    """

    duration_s: float | None
    has_video: bool
    has_audio: bool
    audio_rate_hz: int | None
    picture_px: tuple[int, int] | None


def probe(path: Path) -> MediaInfo:
    """Reads the header of a media file.

    Raises:
        MediaError: the file is no video, or its header is cut off.
    """
    with _opened(path) as container:
        video, audio = _video_stream(container), _audio_stream(container)
        duration = container.duration
        return MediaInfo(
            duration_s=None if duration is None else duration / av.time_base,
            has_video=video is not None,
            has_audio=audio is not None,
            audio_rate_hz=audio.rate if audio else None,
            picture_px=(video.height, video.width) if video else None,
        )


@dataclasses.dataclass
class Trace:
    """What decoding a stream met; filled while the stream is read, whole once it was read to its end.

    Attributes:
        start_s: first timestamp, in seconds from the container's start; NaN before there was one.
        end_s: where the last sample or picture ends.
        stated_end_s: where the container says that the stream ends; None where nothing reliable says.
        unread_end_s: the same of pictures that go on after the last one that was asked for.
        broken_packets: packets that could not be decoded.
        rate_hz: sample rate that was decoded.
        filled_s: gaps in the sound that were filled with silence.
        cut_s: sound that was cut because its timestamps overlap.
        clipped: share of the samples at full scale.
        pictures: pictures that were decoded.
        least_s: shortest time from one picture to the next.
        most_s: longest such time.
        turned: whether pictures are turned or mirrored for showing.
    """

    start_s: float = math.nan
    end_s: float = 0.0
    stated_end_s: float | None = None
    unread_end_s: float | None = None
    broken_packets: int = 0
    rate_hz: int = 0
    filled_s: float = 0.0
    cut_s: float = 0.0
    clipped: float = 0.0
    pictures: int = 0
    least_s: float = math.inf
    most_s: float = 0.0
    turned: bool = False


def read_audio(path: Path, rate_hz: int) -> np.ndarray:
    """The whole sound of a video in one array; see `stream_audio`."""
    return np.concatenate(list(stream_audio(path, rate_hz)))


def stream_audio(path: Path, rate_hz: int, trace: Trace | None = None) -> Iterator[np.ndarray]:
    """Decodes the sound of a video block by block, in memory that does not grow with its length.

    Args:
        path: any container and codec that FFmpeg reads.
        rate_hz: samples a second to return.
        trace: takes down what decoding met.

    Yields:
        float32 (samples,): the mean of the channels, full scale 1.0; the first sample of the first block is the
        container's start, so a sound stream that starts later begins with zeros and one that starts earlier is cut.

    Raises:
        MediaError: no sound, not a video, or less than 90 % of the stated length can be decoded.
    """
    trace = Trace() if trace is None else trace
    resampler = None
    with _opened(path) as container:
        stream = _require_audio(path, container)
        for mono in _steady_blocks(path, container, stream, trace, _mono):
            if resampler is None:
                resampler = soxr.ResampleStream(trace.rate_hz, rate_hz, 1, dtype="float32", quality="HQ")
            yield resampler.resample_chunk(mono)
        assert resampler is not None
        _require_complete(path, container, stream, trace)
        yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)


def stream_channels(path: Path, trace: Trace | None = None) -> Iterator[tuple[int, np.ndarray]]:
    """Decodes the sound of a video as it was recorded, block by block, in memory that does not grow with its length.

    A sound that was cut short is no error here: `trace` says what was stated and what could be decoded.

    Args:
        path: any container and codec that FFmpeg reads.
        trace: takes down what decoding met.

    Yields:
        (rate_hz, float32 (channels, samples)), full scale 1.0; see `stream_audio` for where it begins.

    Raises:
        MediaError: no sound, not a video, or a sound that changes its rate or its channels.
    """
    trace = Trace() if trace is None else trace
    with _opened(path) as container:
        stream = _require_audio(path, container)
        channels = 0
        for block in _steady_blocks(path, container, stream, trace, _channels):
            channels = channels or len(block)
            if len(block) != channels:
                raise MediaError(
                    "unsteady channels",
                    f"{path} changes from {channels} to {len(block)} channels of sound; re-encode it with one layout",
                )
            yield trace.rate_hz, block
        trace.stated_end_s = _stated_end_s(container, stream)


def read_frames(
    path: Path,
    times_s: Iterable[float],
    short_side_px: int,
    *,
    threads: int = 1,
    trace: Trace | None = None,
    whole: bool = True,
) -> Iterator[np.ndarray]:
    """Decodes the pictures shown at given times, one after another.

    Args:
        path: any container and codec that FFmpeg reads.
        times_s: seconds from the container's start, in ascending order; there may be no end to them.
        short_side_px: shorter side of the pictures returned; the shape that a player shows is kept
            (rotation, mirroring and pixels that are not square are honoured).
        threads: of the decoder; more than 1 pays where fewer videos than cores are decoded at a time.
        trace: takes down what decoding met.
        whole: refuse pictures that were cut short; otherwise the last one that can be decoded stays.

    Yields:
        uint8 (height, width, 3) RGB for each time: the picture with the latest timestamp at or before it; the
        first picture for earlier times, the last for later ones. One picture asked for twice is one array.

    Raises:
        MediaError: no pictures, not a video, or less than 90 % of the stated length can be decoded.
        ValueError: times that go back.
    """
    times = _ascending(times_s)
    wanted = next(times, None)
    with _opened(path) as container:
        stream = _video_stream(container)
        if stream is None:
            raise MediaError("no picture", f"{path} has no picture; give a video with a picture stream")
        stream.codec_context.thread_count = threads
        if threads > 1:
            stream.codec_context.thread_type = "FRAME"
        trace = Trace() if trace is None else trace
        scaler, shown, picture = Scaler(short_side_px, stream), None, None
        for start_s, frame in _timed_frames(container, stream, trace):
            while shown is not None and wanted is not None and wanted < start_s - _SAME_TIME_SECONDS:
                picture = scaler(shown) if picture is None else picture
                yield picture
                wanted = next(times, None)
            if wanted is None:
                trace.unread_end_s = _stated_end_s(container, stream)
                return
            shown, picture = frame, None
        if shown is None:
            raise MediaError("cannot be decoded", f"{path} has pictures that cannot be decoded; re-encode it")
        if whole:
            _require_complete(path, container, stream, trace)
        picture = scaler(shown) if picture is None else picture
        while wanted is not None:
            yield picture
            wanted = next(times, None)


def _ascending(times_s: Iterable[float]) -> Iterator[float]:
    before = -math.inf
    for index, time in enumerate(times_s):
        if time < before:
            raise ValueError(f"times_s goes back at index {index}; sort it")
        before = float(time)
        yield before


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[InputContainer]:
    """Opens a container; whatever the library raises becomes one sentence."""
    try:
        container = av.open(str(path), **_OPEN_OPTIONS)
    except FileNotFoundError:
        raise MediaError("not found", f"{path} is not there; check the path") from None
    except PermissionError:
        raise MediaError("not readable", f"{path} may not be read; check its permissions") from None
    except (FFmpegError, OSError) as error:
        raise MediaError(
            "not a video",
            f"{path} is not a video or its header is cut off ({error.strerror}); download or encode it again",
        ) from None
    try:
        with container:
            yield container
    except FFmpegError as error:
        raise MediaError(
            "cannot be decoded", f"{path} cannot be decoded ({error.strerror}); download or encode it again"
        ) from None


def _video_stream(container: InputContainer) -> VideoStream | None:
    """The first stream of moving pictures; cover art is a stream too, but shows no player."""
    return next((s for s in container.streams.video if not s.disposition & Disposition.attached_pic), None)


def _audio_stream(container: InputContainer) -> AudioStream | None:
    return next(iter(container.streams.audio), None)


def _require_audio(path: Path, container: InputContainer) -> AudioStream:
    stream = _audio_stream(container)
    if stream is None:
        raise MediaError("no sound", f"{path} has no sound; give a video with a sound stream")
    return stream


def _decoded(container: InputContainer, stream: AudioStream | VideoStream, trace: Trace) -> Iterator[Any]:
    """Every frame that can be decoded; broken packets are passed over, a broken container ends the stream."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except (StopIteration, FFmpegError):
            return
        try:
            yield from packet.decode()
        except FFmpegError:
            trace.broken_packets += 1


def _origin_s(container: InputContainer) -> float:
    return 0.0 if container.start_time is None else container.start_time / av.time_base


def _steady_blocks(
    path: Path,
    container: InputContainer,
    stream: AudioStream,
    trace: Trace,
    samples_of: Callable[[AudioFrame], np.ndarray],
) -> Iterator[np.ndarray]:
    """float32 (..., samples) blocks without holes and of one rate, which the trace holds."""
    stream.codec_context.thread_count = 1
    samples, full, values = 0, 0, 0
    for rate, block in _aligned_blocks(container, stream, trace, samples_of):
        trace.rate_hz = trace.rate_hz or rate
        if rate != trace.rate_hz:
            raise MediaError(
                "unsteady sample rate",
                f"{path} changes its sample rate from {trace.rate_hz} to {rate} Hz at "
                f"{samples / trace.rate_hz:.1f} s; re-encode it at one rate",
            )
        yield block
        samples += block.shape[-1]
        values += block.size
        full += int(np.count_nonzero(np.abs(block) >= _FULL))
    if not trace.rate_hz:
        raise MediaError("cannot be decoded", f"{path} has a sound stream that cannot be decoded; re-encode it")
    trace.end_s, trace.clipped = samples / trace.rate_hz, full / max(values, 1)


def _aligned_blocks(
    container: InputContainer, stream: AudioStream, trace: Trace, samples_of: Callable[[AudioFrame], np.ndarray]
) -> Iterator[tuple[int, np.ndarray]]:
    """(rate_hz, float32 (..., samples)) blocks without holes: gaps between timestamps are zeros, overlaps cut."""
    origin, position = _origin_s(container), 0
    limit_s = math.inf if container.duration is None else container.duration / av.time_base + 1.0
    for frame in _decoded(container, stream, trace):
        block, rate = samples_of(frame), frame.sample_rate
        if frame.time is not None and frame.time - origin < limit_s:
            first = math.isnan(trace.start_s)
            trace.start_s = frame.time - origin if first else trace.start_s
            gap = round((frame.time - origin) * rate) - position
            if abs(gap) >= _GAP_SECONDS * rate or position == 0:
                for begin in range(0, gap, piece := round(_FILL_SECONDS * rate)):
                    yield rate, np.zeros((*block.shape[:-1], min(piece, gap - begin)), np.float32)
                position += max(gap, 0)
                block = block[..., max(-gap, 0) :]
                if not first:
                    trace.filled_s += max(gap, 0) / rate
                    trace.cut_s += max(-gap, 0) / rate
        if block.size:
            yield rate, block
            position += block.shape[-1]


def _mono(frame: AudioFrame) -> np.ndarray:
    """Mean of the channels, float32 (samples,), full scale 1.0, whatever the sample format."""
    samples, offset, full_scale = _raw_channels(frame)
    return _finite((samples.mean(axis=0, dtype=np.float64) - offset) / full_scale)


def _channels(frame: AudioFrame) -> np.ndarray:
    """Every channel, float32 (channels, samples), full scale 1.0, whatever the sample format."""
    samples, offset, full_scale = _raw_channels(frame)
    return _finite((samples.astype(np.float64) - offset) / full_scale)


def _raw_channels(frame: AudioFrame) -> tuple[np.ndarray, float, float]:
    """(channels, samples) in the stream's own numbers, their zero and their full scale."""
    samples = frame.to_ndarray()
    kind = samples.dtype.str[1:]
    if not frame.format.is_planar:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    return samples, 128.0 if kind == "u1" else 0.0, _FULL_SCALE[kind]


def _finite(samples: np.ndarray) -> np.ndarray:
    return np.nan_to_num(samples, posinf=1.0, neginf=-1.0).astype(np.float32)


def _timed_frames(container: InputContainer, stream: VideoStream, trace: Trace) -> Iterator[tuple[float, VideoFrame]]:
    """(start_s, frame) in the order of presentation, seconds from the container's start."""
    origin = _origin_s(container)
    usual = 1.0 / float(stream.average_rate) if stream.average_rate else 0.04
    before = math.nan
    for frame in _decoded(container, stream, trace):
        start = trace.end_s if frame.time is None else frame.time - origin
        length = frame.duration * frame.time_base if frame.duration and frame.time_base else usual
        trace.end_s = max(trace.end_s, start + float(length))
        trace.pictures += 1
        if math.isnan(before):
            trace.start_s, trace.turned = start, is_turned(frame)
        else:
            trace.least_s, trace.most_s = min(trace.least_s, start - before), max(trace.most_s, start - before)
        before = start
        yield start, frame


def _require_complete(path: Path, container: InputContainer, stream: AudioStream | VideoStream, trace: Trace) -> None:
    stated = trace.stated_end_s = _stated_end_s(container, stream)
    if stated is not None and trace.end_s < _COMPLETE_PART * stated:
        raise MediaError(
            "truncated",
            f"{path} is truncated: {trace.end_s:.1f} s of {stated:.1f} s of its {stream.type} can be decoded; "
            "download or encode it again",
        )


def _stated_end_s(container: InputContainer, stream: AudioStream | VideoStream) -> float | None:
    """Where a stream should end, in seconds from the container's start; None where nothing reliable says."""
    # Matroska gives the length of a stream as a tag such as 00:00:24.000000000.
    hours, _, rest = stream.metadata.get("DURATION", "").partition(":")
    minutes, _, seconds = rest.partition(":")
    with contextlib.suppress(ValueError):
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    if stream.duration is not None and stream.time_base is not None and _LISTS_PACKETS & _formats(container):
        return float(((stream.start_time or 0) + stream.duration) * stream.time_base) - _origin_s(container)
    # The container's length is that of its longest stream. A last picture may stay for long, sound goes on.
    if stream.type == "video" or container.duration is None:
        return None
    return container.duration / av.time_base


def _formats(container: InputContainer) -> set[str]:
    return set(container.format.name.split(","))
