"""Opens video files and decodes what can be decoded of their streams.

Errors of the video library (PyAV) become a `MediaError` of one sentence.
"""

import contextlib
import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream

from data_pipeline.media.errors import MediaError
from data_pipeline.media.timeline import Doubts

# Before version 19, a title in an unknown encoding makes the complete file unreadable.
_OPEN_OPTIONS: dict[str, Any] = {"metadata_errors": "ignore"} if int(av.__version__.partition(".")[0]) < 19 else {}
# Playlists and the like, which name other files or addresses; a file that holds one is no video.
_POINTERS = {
    "applehttp",
    "concat",
    "dash",
    "hls",
    "image2",
    "image2pipe",
    "imf",
    "lavfi",
    "rtsp",
    "sdp",
    "webm_dash_manifest",
}
_FORMATS = ",".join(sorted(av.formats_available - _POINTERS))


@dataclasses.dataclass
class Trace:
    """Facts about decoding a stream; complete when the stream was read to its end.

    Attributes:
        start_s: First timestamp, in seconds from time 0 of the file; NaN before the first frame.
        end_s: End of the last sample or frame that was read.
        ended: Whether frames were read to the last one.
        stated_end_s: End of the stream that the file states; None when it states nothing that is believed.
        unread_end_s: The end of a video whose last frames were not requested, by its packets.
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
        doubts: The timestamps that were not believed.
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
    doubts: Doubts = dataclasses.field(default_factory=Doubts)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[InputContainer]:
    """Opens a container; errors of the library become one sentence."""
    try:
        # Absolute, because FFmpeg takes text before a colon for a protocol.
        container = av.open(str(path.absolute()), options={"format_whitelist": _FORMATS}, **_OPEN_OPTIONS)
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
