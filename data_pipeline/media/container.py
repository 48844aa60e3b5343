"""Opens video files: their streams, the frames that can be decoded, and the times at which they should end.

Errors of the video library (PyAV) become a `MediaError` of one sentence.
"""

import contextlib
import dataclasses
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition
from av.video.stream import VideoStream

from data_pipeline.command import InputError

Stream = TypeVar("Stream", VideoStream, AudioStream)
# A stream that ends before this share of its stated length is truncated; smaller differences are rounding.
_COMPLETE_PART = 0.9
# Before version 19, a title in an unknown encoding makes the complete file unreadable.
_OPEN_OPTIONS: dict[str, Any] = {"metadata_errors": "ignore"} if int(av.__version__.partition(".")[0]) < 19 else {}
# Formats that list every packet and therefore know the length of each stream; the library guesses it for others.
_LISTS_PACKETS = {"mov", "mp4", "avi"}


class MediaError(InputError):
    """A video that cannot be used.

    Attributes:
        reason: Kind of fault in a few words, by which faults are counted.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        # Exceptions are pickled by the arguments of their constructor.
        return type(self), (self.reason, str(self))


@dataclasses.dataclass
class Trace:
    """Facts about decoding a stream; complete when the stream was read to its end.

    Attributes:
        start_s: First timestamp, in seconds from the container's start; NaN before the first frame.
        end_s: End of the last sample or frame that was read.
        ended: Whether frames were read to the last one.
        stated_end_s: End of the stream that the container states; None when it states nothing reliable.
        unread_end_s: The stated end of a video whose last frames were not requested.
        broken_packets: Packets that could not be decoded.
        rate_hz: Decoded sample rate.
        filled_s: Gaps in the audio that were filled with silence.
        cut_s: Audio that was cut because its timestamps overlap.
        clipped: Share of the samples of all channels at full scale.
        layout: FFmpeg's names of the channels of the first block, such as ("FL", "FR").
        offset: Constant offset of the channel with the greatest one, which the downmix removes.
        rescued_db: Level of the downmix above that of the weighted mean of the channels, see `downmix.Downmix`.
        pictures: Number of decoded frames.
        least_s: Shortest time from one frame to the next.
        most_s: Longest time from one frame to the next.
        turned: Whether frames are rotated or mirrored for display.
    """

    start_s: float = math.nan
    end_s: float = 0.0
    ended: bool = False
    stated_end_s: float | None = None
    unread_end_s: float | None = None
    broken_packets: int = 0
    rate_hz: int = 0
    filled_s: float = 0.0
    cut_s: float = 0.0
    clipped: float = 0.0
    layout: tuple[str, ...] = ()
    offset: float = 0.0
    rescued_db: float = 0.0
    pictures: int = 0
    least_s: float = math.inf
    most_s: float = 0.0
    turned: bool = False


@contextlib.contextmanager
def opened(path: Path) -> Iterator[InputContainer]:
    """Opens a container; errors of the library become one sentence."""
    try:
        # Absolute, because FFmpeg takes text before a colon for a protocol.
        container = av.open(str(path.absolute()), **_OPEN_OPTIONS)
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


def video_streams(container: InputContainer) -> list[VideoStream]:
    """Returns the streams of moving images, without cover art, which is a video stream, too."""
    return [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]


def video_stream(container: InputContainer) -> VideoStream | None:
    """Returns the first video stream that can be decoded; raises `MediaError` when there are some and none can."""
    return _first_decodable(container, video_streams(container))


def audio_stream(container: InputContainer) -> AudioStream | None:
    """Returns the first audio stream that can be decoded; raises `MediaError` when there are some and none can."""
    return _first_decodable(container, container.streams.audio)


def _first_decodable(container: InputContainer, streams: Sequence[Stream]) -> Stream | None:
    if not streams:
        return None
    # A stream of an unknown codec has no context.
    found = next((stream for stream in streams if stream.codec_context is not None), None)
    if found is None:
        raise MediaError(
            "cannot be decoded",
            f"{container.name} has {streams[0].type} of a codec that cannot be decoded here; re-encode it",
        )
    return found


def require_audio(path: Path, container: InputContainer) -> AudioStream:
    """Returns the audio stream, or raises `MediaError` when there is none."""
    stream = audio_stream(container)
    if stream is None:
        raise MediaError("no sound", f"{path} has no sound; give a video with a sound stream")
    return stream


def decoded(container: InputContainer, stream: AudioStream | VideoStream, trace: Trace) -> Iterator[Any]:
    """Yields every frame that can be decoded; broken packets are skipped, a broken container ends the stream."""
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


def origin_s(container: InputContainer) -> float:
    """Returns the container's start time in seconds."""
    return 0.0 if container.start_time is None else container.start_time / av.time_base


def require_complete(path: Path, container: InputContainer, stream: AudioStream | VideoStream, trace: Trace) -> None:
    """Records where a stream should end, and raises an error when less than 90 % of it could be decoded."""
    stated = trace.stated_end_s = stated_end_s(container, stream)
    if stated is not None and trace.end_s < _COMPLETE_PART * stated:
        raise MediaError(
            "truncated",
            f"{path} is truncated: {trace.end_s:.1f} s of {stated:.1f} s of its {stream.type} can be decoded; "
            "download or encode it again",
        )


def stated_end_s(container: InputContainer, stream: AudioStream | VideoStream) -> float | None:
    """Returns where a stream should end, in seconds from the container's start; None when no reliable value exists."""
    own = own_end_s(container, stream)
    # The container's length is that of its longest stream. The last frame may be shown long while the audio continues.
    if own is not None or stream.type == "video" or container.duration is None:
        return own
    return container.duration / av.time_base


def own_end_s(container: InputContainer, stream: AudioStream | VideoStream) -> float | None:
    """Returns the stated end of this stream; None when the container states only that of its longest stream."""
    # Matroska gives the length of a stream as a tag such as 00:00:24.000000000.
    hours, _, rest = stream.metadata.get("DURATION", "").partition(":")
    minutes, _, seconds = rest.partition(":")
    with contextlib.suppress(ValueError):
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    if stream.duration is not None and stream.time_base is not None and _LISTS_PACKETS & _formats(container):
        return float(((stream.start_time or 0) + stream.duration) * stream.time_base) - origin_s(container)
    return None


def _formats(container: InputContainer) -> set[str]:
    return set(container.format.name.split(","))
