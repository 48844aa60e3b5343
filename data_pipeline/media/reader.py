"""Reads audio and frames of video files; with the modules of this folder that it imports, the only reader by PyAV.

Audio and frames share one timeline, see `timeline`. Only timestamps decide what is shown or heard at a time, because
frame counters are wrong in videos with a variable frame rate; and a timestamp is believed only if others confirm it.
"""

import dataclasses
import math
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import soxr
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from data_pipeline.media.container import Trace, decoded, opened
from data_pipeline.media.downmix import Downmix
from data_pipeline.media.errors import MediaError
from data_pipeline.media.samples import Samples
from data_pipeline.media.survey import COMPLETE_PART, Kind, Survey, survey
from data_pipeline.media.timeline import Block, place_blocks, place_pictures
from data_pipeline.media.tracks import TrackChoice
from data_pipeline.media.upright import Scaler, is_turned

Layout = tuple[str, ...]  # FFmpeg's names of the channels; empty where they are unknown
# Smaller differences between a block's place and the samples counted so far are rounding.
_GAP_SECONDS = 0.01
# A gap of hours is filled piece by piece, so that memory stays flat.
_FILL_SECONDS = 1.0
_FULL = 0.999  # relative to full scale: a sample above this was most likely clipped
# Timestamps are fractions; equal ones may differ in the last digit as floating-point numbers.
_SAME_TIME_SECONDS = 1e-6
_USUAL_SECONDS = 0.04  # from one picture to the next, where no rate is stated

__all__ = [
    "MediaError",
    "MediaInfo",
    "Trace",
    "TrackChoice",
    "probe",
    "read_audio",
    "read_frames",
    "stream_audio",
    "stream_channels",
]


@dataclasses.dataclass(frozen=True)
class MediaInfo:
    """Information about a file from its headers and from the timestamps of its packets.

    Attributes:
        duration_s: Length in seconds by the packets; None when they have no timestamps.
        has_video: Whether a video stream exists (cover art does not count).
        has_audio: Whether an audio stream exists.
        streams: Numbers of video and audio streams.
        audio_rate_hz: Stated sample rate; None without audio.
        picture_px: Stated (height, width) before rotation; None without video.
        remarks: On the choice of tracks and on stated lengths that are not believed, kind -> sentence.
    """

    duration_s: float | None
    has_video: bool
    has_audio: bool
    streams: tuple[int, int]
    audio_rate_hz: int | None
    picture_px: tuple[int, int] | None
    remarks: dict[str, str] = dataclasses.field(default_factory=dict)


def probe(path: Path, choice: TrackChoice | None = None) -> MediaInfo:
    """Reads the headers and the timestamps of a media file, without decoding it.

    Args:
        path: The file.
        choice: Tracks that were chosen by hand.

    Raises:
        MediaError: The file is not a video, its header is cut off, no decoder for its audio or video is installed, or
            it has no track of a chosen number.
    """
    found = survey(path, choice)
    with opened(path) as container:
        for kind in found.undecodable:
            raise _no_decoder(path, kind)
        video = None if found.tracks.video is None else container.streams.video[found.tracks.video]
        audio = container.streams.audio[found.tracks.audio[0]] if found.tracks.audio else None
        return MediaInfo(
            duration_s=found.timeline.end_s or None,
            has_video=video is not None,
            has_audio=audio is not None,
            streams=found.tracks.counts,
            audio_rate_hz=audio.rate if audio else None,
            picture_px=(video.height, video.width) if video else None,
            remarks=found.remarks(),
        )


def _no_decoder(path: Path, kind: Kind) -> MediaError:
    return MediaError("cannot be decoded", f"{path} has {kind} of a codec that cannot be decoded here; re-encode it")


def read_audio(path: Path, rate_hz: int) -> np.ndarray:
    """Returns the complete audio of a video as one array; see `stream_audio`."""
    return np.concatenate(list(stream_audio(path, rate_hz)))


def stream_audio(
    path: Path, rate_hz: int, trace: Trace | None = None, *, choice: TrackChoice | None = None
) -> Iterator[np.ndarray]:
    """Decodes the audio of a video block by block, in memory that does not grow with its length.

    Args:
        path: Video in any container and codec that FFmpeg reads.
        rate_hz: Sample rate of the result.
        trace: Receives facts about the decoding.
        choice: Tracks that were chosen by hand.

    Yields:
        float32 (samples,): the downmix of the channels, full scale 1.0; see `downmix`. The first sample of the first
        block is at time 0: an audio stream that starts later is preceded by zeros, and one that starts earlier is cut.

    Raises:
        MediaError: There is no audio, the file is not a video, or less than 90 % of its length can be decoded.
    """
    trace = Trace() if trace is None else trace
    found = survey(path, choice)
    downmix = resampler = None
    for layout, block in _sound(path, found, trace):
        if downmix is None or resampler is None:
            downmix = Downmix(trace.rate_hz)
            resampler = soxr.ResampleStream(trace.rate_hz, rate_hz, 1, dtype="float32", quality="HQ")
        mono = downmix.add(block, layout)
        if mono.size:
            yield resampler.resample_chunk(mono)
    assert downmix is not None and resampler is not None
    _require_complete(path, found, "audio", trace)
    yield resampler.resample_chunk(downmix.finish(), last=True)
    trace.offset, trace.rescued_db = downmix.offset, downmix.rescued_db


def stream_channels(
    path: Path, trace: Trace | None = None, *, choice: TrackChoice | None = None
) -> Iterator[tuple[int, np.ndarray]]:
    """Decodes all audio channels at the recorded sample rate, block by block, in memory independent of its length.

    Truncated audio is no error here: `trace` records the stated and the decoded length.

    Args:
        path: Video in any container and codec that FFmpeg reads.
        trace: Receives facts about the decoding.
        choice: Tracks that were chosen by hand.

    Yields:
        (rate_hz, float32 (channels, samples)), full scale 1.0; see `stream_audio` for the start. Mono tracks that
        belong together are the channels of one sound.

    Raises:
        MediaError: There is no audio, the file is not a video, or the sample rate or number of channels changes.
    """
    trace = Trace() if trace is None else trace
    found = survey(path, choice)
    channels = 0
    for layout, block in _sound(path, found, trace):
        channels, trace.layout = channels or len(block), trace.layout or layout
        if len(block) != channels:
            raise MediaError(
                "unsteady channels",
                f"{path} changes from {channels} to {len(block)} channels of sound; re-encode it with one layout",
            )
        yield trace.rate_hz, block
    trace.stated_end_s = found.end_s("audio", trace.end_s, broken=trace.broken_packets > 0)


def read_frames(
    path: Path,
    times_s: Iterable[float],
    short_side_px: int,
    *,
    threads: int = 1,
    trace: Trace | None = None,
    whole: bool = True,
    choice: TrackChoice | None = None,
) -> Iterator[np.ndarray]:
    """Decodes the frames shown at given times, one after another.

    Args:
        path: Video in any container and codec that FFmpeg reads.
        times_s: Seconds from time 0, in ascending order; may be endless.
        short_side_px: Shorter side of the returned frames. They have the shape that a player shows, with rotation,
            mirroring and pixel aspect ratio applied.
        threads: Number of decoder threads; more than 1 helps when fewer videos than cores are decoded at a time.
        trace: Receives facts about the decoding.
        whole: Whether to raise an error for truncated video; otherwise the last frame that can be decoded is repeated.
        choice: Tracks that were chosen by hand.

    Yields:
        uint8 (height, width, 3) RGB for each time: the frame with the latest timestamp at or before it, the first frame
        for earlier times, the last one for later times. A frame that is needed twice is the same array.

    Raises:
        MediaError: There are no frames, the file is not a video, or less than 90 % of its length can be decoded.
        ValueError: The times are not in ascending order.
    """
    times = _ascending(times_s)
    wanted = next(times, None)
    found = survey(path, choice)
    if found.tracks.video is None:
        if "video" in found.undecodable:
            raise _no_decoder(path, "video")
        raise MediaError("no picture", f"{path} has no picture; give a video with a picture stream")
    with opened(path) as container:
        stream = container.streams.video[found.tracks.video]
        stream.codec_context.thread_count = threads
        if threads > 1:
            stream.codec_context.thread_type = "FRAME"
        trace = Trace() if trace is None else trace
        scaler, shown, picture = Scaler(short_side_px, stream), None, None
        for start_s, frame in _timed_frames(container, stream, found, trace):
            while shown is not None and wanted is not None and wanted < start_s - _SAME_TIME_SECONDS:
                picture = scaler(shown) if picture is None else picture
                yield picture
                wanted = next(times, None)
            if wanted is None:
                trace.unread_end_s = found.timeline.pictures_s[1] if found.timeline.pictures_s else None
                return
            shown, picture = frame, None
        trace.ended = True
        if shown is None:
            raise MediaError("cannot be decoded", f"{path} has pictures that cannot be decoded; re-encode it")
        if whole:
            _require_complete(path, found, "video", trace)
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


def _require_complete(path: Path, found: Survey, kind: Kind, trace: Trace) -> None:
    """Records where a stream should end, and raises an error when less than 90 % of it could be decoded."""
    stated = trace.stated_end_s = found.end_s(kind, trace.end_s, broken=trace.broken_packets > 0)
    if stated is not None and trace.end_s < COMPLETE_PART * stated:
        raise MediaError(
            "truncated",
            f"{path} is truncated: {trace.end_s:.1f} s of {stated:.1f} s of its {kind} can be decoded; "
            "download or encode it again",
        )


def _sound(path: Path, found: Survey, trace: Trace) -> Iterator[tuple[Layout, np.ndarray]]:
    """Yields (layout, float32 (channels, samples)): the blocks of the used tracks."""
    tracks = found.tracks.audio
    if not tracks:
        if "audio" in found.undecodable:
            raise _no_decoder(path, "audio")
        raise MediaError("no sound", f"{path} has no sound; give a video with a sound stream")
    if len(tracks) == 1:
        yield from _steady_blocks(path, tracks[0], found, trace)
        return
    traces = [trace, *(Trace(doubts=trace.doubts) for _ in tracks[1:])]
    streams = [_steady_blocks(path, track, found, own) for track, own in zip(tracks, traces, strict=True)]
    for block in _side_by_side(streams):
        if len({own.rate_hz for own in traces}) > 1:
            raise MediaError(
                "unsteady sample rate", f"the mono tracks of {path} have different sample rates; choose one of them"
            )
        yield (), block
    trace.end_s = max(own.end_s for own in traces)
    trace.broken_packets = sum(own.broken_packets for own in traces)
    trace.clipped = sum(own.clipped for own in traces) / len(traces)


def _side_by_side(streams: list[Iterator[tuple[Layout, np.ndarray]]]) -> Iterator[np.ndarray]:
    """Yields blocks (stream, samples) of streams of blocks (1, samples); a stream that ends early is silent then."""
    waiting: list[np.ndarray | None] = [np.zeros((1, 0), np.float32) for _ in streams]
    while True:
        for number, (block, stream) in enumerate(zip(waiting, streams, strict=True)):
            if block is not None and not block.size:
                waiting[number] = next(stream, ((), None))[1]
        present = [block for block in waiting if block is not None]
        if not present:
            return
        size = min(block.shape[-1] for block in present)
        if size:
            nothing = np.zeros((1, size), np.float32)
            yield np.concatenate([nothing if block is None else block[:, :size] for block in waiting])
        waiting = [None if block is None else block[:, size:] for block in waiting]


def _steady_blocks(path: Path, track: int, found: Survey, trace: Trace) -> Iterator[tuple[Layout, np.ndarray]]:
    """Yields (layout, float32 (channels, samples)) without gaps and with one sample rate, which `trace` receives."""
    samples, full, values = 0, 0, 0
    with opened(path) as container:
        stream = container.streams.audio[track]
        stream.codec_context.thread_count = 1
        converter = Samples()
        for rate, block in _aligned_blocks(container, stream, found, trace, converter):
            trace.rate_hz = trace.rate_hz or rate
            if rate != trace.rate_hz:
                raise MediaError(
                    "unsteady sample rate",
                    f"{path} changes its sample rate from {trace.rate_hz} to {rate} Hz at "
                    f"{samples / trace.rate_hz:.1f} s; re-encode it at one rate",
                )
            yield converter.layout, block
            samples += block.shape[-1]
            values += block.size
            full += int(np.count_nonzero(np.abs(block) >= _FULL))
    if not trace.rate_hz:
        raise MediaError("cannot be decoded", f"{path} has a sound stream that cannot be decoded; re-encode it")
    trace.end_s, trace.clipped = samples / trace.rate_hz, full / max(values, 1)


def _aligned_blocks(
    container: InputContainer,
    stream: AudioStream,
    found: Survey,
    trace: Trace,
    converter: Samples,
) -> Iterator[tuple[int, np.ndarray]]:
    """Yields (rate_hz, float32 (channels, samples)) without gaps: those become zeros, and overlaps are cut."""
    line, position = found.timeline, 0
    blocks = ((_block(frame, line.sound_origin_s), frame) for frame in decoded(container, stream, trace))
    placed = place_blocks(
        blocks,
        start_s=line.sound_s[0] if line.sound_s else 0.0,
        confirmed_s=line.pictures_s[1] if line.pictures_s else 0.0,
        doubts=trace.doubts,
    )
    for start_s, frame in placed:
        block, rate = converter.channels(frame), frame.sample_rate
        trace.start_s = start_s if math.isnan(trace.start_s) else trace.start_s
        gap = round(start_s * rate) - position
        if abs(gap) >= _GAP_SECONDS * rate or position == 0:
            counted = position > 0  # What precedes the sound is neither a gap nor an overlap.
            for begin in range(0, gap, piece := round(_FILL_SECONDS * rate)):
                yield rate, np.zeros((*block.shape[:-1], min(piece, gap - begin)), np.float32)
            position += max(gap, 0)
            cut = min(max(-gap, 0), block.shape[-1])
            block = block[..., cut:]
            if counted:
                trace.filled_s += max(gap, 0) / rate
                trace.cut_s += cut / rate
        if block.size:
            yield rate, block
            position += block.shape[-1]


def _block(frame: AudioFrame, origin_s: float) -> Block:
    return Block(None if frame.time is None else frame.time - origin_s, frame.samples / frame.sample_rate)


def _timed_frames(
    container: InputContainer, stream: VideoStream, found: Survey, trace: Trace
) -> Iterator[tuple[float, VideoFrame]]:
    """Yields (start_s, frame) in the order of presentation, in seconds from time 0."""
    line = found.timeline
    usual = 1.0 / float(stream.average_rate) if stream.average_rate else _USUAL_SECONDS
    placed = place_pictures(
        (
            (None if frame.time is None else frame.time - line.pictures_origin_s, frame)
            for frame in decoded(container, stream, trace)
        ),
        start_s=line.pictures_s[0] if line.pictures_s else 0.0,
        confirmed_s=line.sound_s[1] if line.sound_s else 0.0,
        usual_s=usual,
        doubts=trace.doubts,
    )
    before = math.nan
    for start, frame in placed:
        length = frame.duration * frame.time_base if frame.duration and frame.time_base else usual
        trace.end_s = max(trace.end_s, start + float(length))
        trace.pictures += 1
        if math.isnan(before):
            trace.start_s, trace.turned = start, is_turned(frame)
        else:
            trace.least_s, trace.most_s = min(trace.least_s, start - before), max(trace.most_s, start - before)
        before = start
        yield start, frame
