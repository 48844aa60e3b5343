"""Reads audio and frames of video files; with the modules of this folder that it imports, the only reader by PyAV.

Audio and frames share one timeline, which begins at the container's start. Only timestamps decide what is shown or
heard at a time, because frame counters are wrong in videos with a variable frame rate.
"""

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import av
import numpy as np
import soxr
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from data_pipeline.media.container import (
    MediaError,
    Trace,
    audio_stream,
    decoded,
    opened,
    origin_s,
    own_end_s,
    require_audio,
    require_complete,
    stated_end_s,
    video_stream,
    video_streams,
)
from data_pipeline.media.downmix import Downmix
from data_pipeline.media.samples import Samples
from data_pipeline.media.upright import Scaler, is_turned

# Smaller differences between a block's timestamp and the samples counted so far are rounding, not gaps.
_GAP_SECONDS = 0.05
# A gap of hours is filled piece by piece, so that memory stays flat.
_FILL_SECONDS = 1.0
_FULL = 0.999  # relative to full scale: a sample above this was most likely clipped
# Timestamps are fractions; equal ones may differ in the last digit as floating-point numbers.
_SAME_TIME_SECONDS = 1e-6


@dataclasses.dataclass(frozen=True)
class MediaInfo:
    """Information from a file's header.

    Attributes:
        duration_s: Stated length in seconds; None when the container does not state it.
        has_video: Whether a video stream exists (cover art does not count).
        has_audio: Whether an audio stream exists.
        streams: Numbers of video and audio streams.
        audio_rate_hz: Stated sample rate; None without audio.
        picture_px: Stated (height, width) before rotation; None without video.
    """

    duration_s: float | None
    has_video: bool
    has_audio: bool
    streams: tuple[int, int]
    audio_rate_hz: int | None
    picture_px: tuple[int, int] | None


def probe(path: Path) -> MediaInfo:
    """Reads the header of a media file.

    Raises:
        MediaError: The file is not a video, its header is cut off, or no decoder for its audio or video is installed.
    """
    with opened(path) as container:
        video, audio = video_stream(container), audio_stream(container)
        duration = container.duration
        return MediaInfo(
            duration_s=None if duration is None else duration / av.time_base,
            has_video=video is not None,
            has_audio=audio is not None,
            streams=(len(video_streams(container)), len(container.streams.audio)),
            audio_rate_hz=audio.rate if audio else None,
            picture_px=(video.height, video.width) if video else None,
        )


def read_audio(path: Path, rate_hz: int) -> np.ndarray:
    """Returns the complete audio of a video as one array; see `stream_audio`."""
    return np.concatenate(list(stream_audio(path, rate_hz)))


def stream_audio(path: Path, rate_hz: int, trace: Trace | None = None) -> Iterator[np.ndarray]:
    """Decodes the audio of a video block by block, in memory that does not grow with its length.

    Args:
        path: Video in any container and codec that FFmpeg reads.
        rate_hz: Sample rate of the result.
        trace: Receives facts about the decoding.

    Yields:
        float32 (samples,): the downmix of the channels, full scale 1.0; see `downmix`. The first sample of the first
        block is at the container's start: an audio stream that starts later is preceded by zeros, and one that starts
        earlier is cut.

    Raises:
        MediaError: There is no audio, the file is not a video, or less than 90 % of the stated length can be decoded.
    """
    trace = Trace() if trace is None else trace
    downmix = resampler = None
    with opened(path) as container:
        stream, samples = require_audio(path, container), Samples()
        for block in _steady_blocks(path, container, stream, trace, samples.channels):
            if downmix is None or resampler is None:
                downmix = Downmix(trace.rate_hz)
                resampler = soxr.ResampleStream(trace.rate_hz, rate_hz, 1, dtype="float32", quality="HQ")
            mono = downmix.add(block, samples.layout)
            if mono.size:
                yield resampler.resample_chunk(mono)
        assert downmix is not None and resampler is not None
        require_complete(path, container, stream, trace)
        yield resampler.resample_chunk(downmix.finish(), last=True)
        trace.offset, trace.rescued_db = downmix.offset, downmix.rescued_db


def stream_channels(path: Path, trace: Trace | None = None) -> Iterator[tuple[int, np.ndarray]]:
    """Decodes all audio channels at the recorded sample rate, block by block, in memory independent of its length.

    Truncated audio is no error here: `trace` records the stated and the decoded length.

    Args:
        path: Video in any container and codec that FFmpeg reads.
        trace: Receives facts about the decoding.

    Yields:
        (rate_hz, float32 (channels, samples)), full scale 1.0; see `stream_audio` for the start.

    Raises:
        MediaError: There is no audio, the file is not a video, or the sample rate or number of channels changes.
    """
    trace = Trace() if trace is None else trace
    with opened(path) as container:
        stream, samples = require_audio(path, container), Samples()
        channels = 0
        for block in _steady_blocks(path, container, stream, trace, samples.channels):
            channels, trace.layout = channels or len(block), trace.layout or samples.layout
            if len(block) != channels:
                raise MediaError(
                    "unsteady channels",
                    f"{path} changes from {channels} to {len(block)} channels of sound; re-encode it with one layout",
                )
            yield trace.rate_hz, block
        trace.stated_end_s = own_end_s(container, stream)


def read_frames(
    path: Path,
    times_s: Iterable[float],
    short_side_px: int,
    *,
    threads: int = 1,
    trace: Trace | None = None,
    whole: bool = True,
) -> Iterator[np.ndarray]:
    """Decodes the frames shown at given times, one after another.

    Args:
        path: Video in any container and codec that FFmpeg reads.
        times_s: Seconds from the container's start, in ascending order; may be endless.
        short_side_px: Shorter side of the returned frames. They have the shape that a player shows, with rotation,
            mirroring and pixel aspect ratio applied.
        threads: Number of decoder threads; more than 1 helps when fewer videos than cores are decoded at a time.
        trace: Receives facts about the decoding.
        whole: Whether to raise an error for truncated video; otherwise the last frame that can be decoded is repeated.

    Yields:
        uint8 (height, width, 3) RGB for each time: the frame with the latest timestamp at or before it, the first frame
        for earlier times, the last one for later times. A frame that is needed twice is the same array.

    Raises:
        MediaError: There are no frames, the file is not a video, or less than 90 % of the stated length can be decoded.
        ValueError: The times are not in ascending order.
    """
    times = _ascending(times_s)
    wanted = next(times, None)
    with opened(path) as container:
        stream = video_stream(container)
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
                trace.unread_end_s = stated_end_s(container, stream)
                return
            shown, picture = frame, None
        trace.ended = True
        if shown is None:
            raise MediaError("cannot be decoded", f"{path} has pictures that cannot be decoded; re-encode it")
        if whole:
            require_complete(path, container, stream, trace)
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


def _steady_blocks(
    path: Path,
    container: InputContainer,
    stream: AudioStream,
    trace: Trace,
    samples_of: Callable[[AudioFrame], np.ndarray],
) -> Iterator[np.ndarray]:
    """Yields float32 (..., samples) blocks without gaps and with one sample rate, which `trace` receives."""
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
    """Yields (rate_hz, float32 (..., samples)) without gaps: gaps between timestamps become zeros, overlaps are cut."""
    origin, position = origin_s(container), 0
    limit_s = math.inf if container.duration is None else container.duration / av.time_base + 1.0
    for frame in decoded(container, stream, trace):
        block, rate = samples_of(frame), frame.sample_rate
        if frame.time is not None and frame.time - origin < limit_s:
            first = math.isnan(trace.start_s)
            trace.start_s = frame.time - origin if first else trace.start_s
            gap = round((frame.time - origin) * rate) - position
            if abs(gap) >= _GAP_SECONDS * rate or position == 0:
                for begin in range(0, gap, piece := round(_FILL_SECONDS * rate)):
                    yield rate, np.zeros((*block.shape[:-1], min(piece, gap - begin)), np.float32)
                position += max(gap, 0)
                cut = min(max(-gap, 0), block.shape[-1])
                block = block[..., cut:]
                if not first:
                    trace.filled_s += max(gap, 0) / rate
                    trace.cut_s += cut / rate
        if block.size:
            yield rate, block
            position += block.shape[-1]


def _timed_frames(container: InputContainer, stream: VideoStream, trace: Trace) -> Iterator[tuple[float, VideoFrame]]:
    """Yields (start_s, frame) in the order of presentation, in seconds from the container's start."""
    origin = origin_s(container)
    usual = 1.0 / float(stream.average_rate) if stream.average_rate else 0.04
    before = math.nan
    for frame in decoded(container, stream, trace):
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
