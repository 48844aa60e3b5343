"""An open video file: its streams, what can be decoded of them, and where they should end.

Whatever the video library (PyAV) raises becomes a `MediaError` of one sentence.
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
# A stream that ends before this part of its stated length was cut short, not merely rounded.
_COMPLETE_PART = 0.9
# Before version 19 a title in an unknown encoding would refuse the whole file.
_OPEN_OPTIONS: dict[str, Any] = {"metadata_errors": "ignore"} if int(av.__version__.partition(".")[0]) < 19 else {}
# Formats that list every packet, and so know how long each stream is; the library guesses for the others.
_LISTS_PACKETS = {"mov", "mp4", "avi"}


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


@dataclasses.dataclass
class Trace:
    """What decoding a stream met; filled while the stream is read, whole once it was read to its end.

    Attributes:
        start_s: first timestamp, in seconds from the container's start; NaN before there was one.
        end_s: where the last sample or picture ends that was read.
        ended: whether pictures were read to the last one.
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
    ended: bool = False
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


@contextlib.contextmanager
def opened(path: Path) -> Iterator[InputContainer]:
    """Opens a container; whatever the library raises becomes one sentence."""
    try:
        # Absolute: what stands before a colon would be taken for a protocol.
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
    """The streams of moving pictures; cover art is a stream too, but shows no player."""
    return [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]


def video_stream(container: InputContainer) -> VideoStream | None:
    """The first stream of moving pictures that can be decoded; `MediaError` where none of several can."""
    return _first_decodable(container, video_streams(container))


def audio_stream(container: InputContainer) -> AudioStream | None:
    """The first stream of sound that can be decoded; `MediaError` where none of several can."""
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
    """The stream of sound, or a `MediaError` that there is none."""
    stream = audio_stream(container)
    if stream is None:
        raise MediaError("no sound", f"{path} has no sound; give a video with a sound stream")
    return stream


def decoded(container: InputContainer, stream: AudioStream | VideoStream, trace: Trace) -> Iterator[Any]:
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


def origin_s(container: InputContainer) -> float:
    """The container's start, in seconds of its timestamps."""
    return 0.0 if container.start_time is None else container.start_time / av.time_base


def require_complete(path: Path, container: InputContainer, stream: AudioStream | VideoStream, trace: Trace) -> None:
    """Notes where a stream should end, and refuses one of which less than 90 % could be decoded."""
    stated = trace.stated_end_s = stated_end_s(container, stream)
    if stated is not None and trace.end_s < _COMPLETE_PART * stated:
        raise MediaError(
            "truncated",
            f"{path} is truncated: {trace.end_s:.1f} s of {stated:.1f} s of its {stream.type} can be decoded; "
            "download or encode it again",
        )


def stated_end_s(container: InputContainer, stream: AudioStream | VideoStream) -> float | None:
    """Where a stream should end, in seconds from the container's start; None where nothing reliable says."""
    own = own_end_s(container, stream)
    # The container's length is that of its longest stream. A last picture may stay for long, sound goes on.
    if own is not None or stream.type == "video" or container.duration is None:
        return own
    return container.duration / av.time_base


def own_end_s(container: InputContainer, stream: AudioStream | VideoStream) -> float | None:
    """The same where the container says it of this stream, and not of its longest one alone."""
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
