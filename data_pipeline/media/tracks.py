"""Chooses the tracks of a file that a person would see and hear.

Players take the track with the default flag, no commentary, and no cover picture. Beyond that, silent tracks are passed
over, and mono tracks that belong together (cameras write each microphone to its own track) are used as the channels of
one sound.
"""

import dataclasses
import itertools
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from av.audio.stream import AudioStream
from av.stream import Disposition
from av.video.stream import VideoStream

from data_pipeline.media.errors import MediaError

_SIDE_SOUND = (
    Disposition.comment
    | Disposition.visual_impaired
    | Disposition.hearing_impaired
    | Disposition.descriptions
    | Disposition.clean_effects
    | Disposition.karaoke
    | Disposition.non_diegetic
    | Disposition.dependent
    | Disposition.metadata
)
_SIDE_PICTURES = _SIDE_SOUND | Disposition.still_image | Disposition.timed_thumbnails
_SIDE_TITLE = re.compile(r"\b(commentary|audio description|descriptive|visually impaired)\b", re.IGNORECASE)
# Names of single channels, which do not say that two tracks are alternatives.
_CHANNEL_TITLE = re.compile(
    r"(left|right|l|r|c|(ch|channel|track|audio|mono|mic|microphone)?[ _.-]*\d*)", re.IGNORECASE
)
_STILL_CODECS = {"mjpeg", "png", "bmp", "gif", "tiff", "webp", "jpeg2000", "apng", "pam", "ppm"}
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")


@dataclasses.dataclass(frozen=True)
class TrackChoice:
    """Tracks that the user chose by hand.

    Attributes:
        audio: Number of the audio track, from 1, in the order of the file; None to choose automatically.
        video: The same of the video track; cover art with its flag is not counted.
    """

    audio: int | None = None
    video: int | None = None


@dataclasses.dataclass(frozen=True)
class Tracks:
    """The tracks of a file that are used.

    Attributes:
        audio: Positions among the audio streams of the container, from 0; several are mono tracks that are the channels
            of one sound, and none means that no audio stream can be decoded.
        video: Position among the video streams of the container, from 0; None if no video stream can be decoded.
        counts: Numbers of video and of audio streams, without cover art.
        remarks: Why these tracks were chosen, where the file has others: kind -> sentence.
    """

    audio: tuple[int, ...]
    video: int | None
    counts: tuple[int, int]
    remarks: dict[str, str]


def choose_video(
    path: Path, streams: Sequence[VideoStream], packets: Sequence[int], wanted: int | None
) -> tuple[int | None, int, dict[str, str]]:
    """Chooses the video track.

    Args:
        path: The file, for messages.
        streams: All video streams of the file.
        packets: Number of packets of each of them.
        wanted: See `TrackChoice`.

    Returns:
        Position among `streams` (None without a stream that can be decoded), number of streams without cover art, and
        remarks.

    Raises:
        MediaError: There is no track of the wanted number.
    """
    listed = [number for number, stream in enumerate(streams) if not stream.disposition & Disposition.attached_pic]
    if wanted is not None:
        return _by_hand(path, streams, listed, wanted, "video"), len(listed), {}
    most = max((packets[number] for number in listed), default=0)
    moving = [number for number in listed if not _is_cover(streams[number], packets[number], most)]
    usable = [number for number in moving if streams[number].codec_context is not None]
    usable.sort(key=lambda number: (_is_side(streams[number], _SIDE_PICTURES), not _is_default(streams[number])))
    if not usable:
        return None, len(moving), {}
    remarks = {}
    if len(moving) > 1:
        why = [_why_not(streams[number], _SIDE_PICTURES, number, listed) for number in moving if number < usable[0]]
        remarks["tracks of pictures"] = _sentence(
            "pictures", len(listed), [listed.index(usable[0])], why, "--video_track"
        )
    return usable[0], len(moving), remarks


def choose_audio(
    path: Path,
    streams: Sequence[AudioStream],
    packets: Sequence[int],
    wanted: int | None,
    *,
    is_silent: Callable[[int], bool],
) -> tuple[tuple[int, ...], dict[str, str]]:
    """Chooses the audio track, or the mono tracks that belong together.

    Args:
        path: The file, for messages.
        streams: All audio streams of the file.
        packets: Number of packets of each of them.
        wanted: See `TrackChoice`.
        is_silent: Returns whether the stream at a position is silent; it is called only if there are several.

    Returns:
        Positions among `streams` (none without a stream that can be decoded), and remarks.

    Raises:
        MediaError: There is no track of the wanted number.
    """
    everyone = list(range(len(streams)))
    if wanted is not None:
        return (_by_hand(path, streams, everyone, wanted, "audio"),), {}
    usable = [number for number in everyone if streams[number].codec_context is not None]
    if len(everyone) < 2 or not usable:
        return tuple(usable), {}
    usable.sort(key=lambda number: (_is_side(streams[number], _SIDE_SOUND), not _is_default(streams[number])))
    silent = list(itertools.takewhile(is_silent, usable))
    best = usable[len(silent)] if len(silent) < len(usable) else usable[0]
    group = [number for number in _group(best, usable, streams, packets) if number == best or not is_silent(number)]
    if len(group) > 1:
        return tuple(group), {"tracks of sound": _sentence("sound", len(streams), group, [], "--audio_track")}
    why = [
        f"track {number + 1} is silent"
        if number in silent
        else _why_not(streams[number], _SIDE_SOUND, number, everyone)
        for number in everyone
        if number != best and (number < best or number in silent)
    ]
    return (best,), {"tracks of sound": _sentence("sound", len(streams), [best], why, "--audio_track")}


def _by_hand(
    path: Path, streams: Sequence[AudioStream | VideoStream], listed: Sequence[int], wanted: int, kind: str
) -> int:
    if not 1 <= wanted <= len(listed):
        raise MediaError(
            "no such track",
            f"{path} has {len(listed)} {kind} tracks, and --{kind}_track={wanted} is none of them; choose another",
        )
    number = listed[wanted - 1]
    if streams[number].codec_context is None:
        raise MediaError(
            "cannot be decoded",
            f"--{kind}_track={wanted} of {path} has a codec that cannot be decoded here; choose another",
        )
    return number


def _is_cover(stream: VideoStream, packets: int, most: int) -> bool:
    """Returns whether a stream is a single picture beside moving ones, or one in a format of pictures."""
    is_still = stream.codec_context is not None and stream.codec_context.name in _STILL_CODECS
    return packets == 1 and (is_still or most > 1)


def _is_default(stream: AudioStream | VideoStream) -> bool:
    return bool(stream.disposition & Disposition.default)


def _title(stream: AudioStream | VideoStream) -> str:
    return (stream.metadata.get("title") or stream.metadata.get("handler_name") or "").strip()


def _is_side(stream: AudioStream | VideoStream, flags: Disposition) -> bool:
    """Returns whether a track goes with another one, such as a commentary."""
    return bool(stream.disposition & flags) or bool(_SIDE_TITLE.search(_title(stream)))


def _group(best: int, usable: Sequence[int], streams: Sequence[AudioStream], packets: Sequence[int]) -> list[int]:
    """Returns the mono tracks that are channels of one sound with the best track, in the order of the file."""

    def kind(number: int) -> tuple[object, ...]:
        stream = streams[number]
        language = stream.metadata.get("language", "und")
        return stream.codec_context.name, stream.rate, stream.channels, language, _is_side(stream, _SIDE_SOUND)

    title = _title(streams[best])
    alike = [
        number
        for number in sorted(usable)
        if kind(number) == kind(best)
        and abs(packets[number] - packets[best]) <= 1
        and (_title(streams[number]) == title or _are_channels(title, _title(streams[number])))
    ]
    defaults = [_is_default(streams[number]) for number in alike]
    # Writers that know nothing of tracks flag the first one. Another flag says that the tracks are alternatives.
    flagged = all(defaults) or not any(defaults[1:])
    return alike if streams[best].channels == 1 and flagged else [best]


def _are_channels(*titles: str) -> bool:
    return all(_CHANNEL_TITLE.fullmatch(title) for title in titles)


def _why_not(stream: AudioStream | VideoStream, flags: Disposition, number: int, listed: Sequence[int]) -> str:
    name = f"track {listed.index(number) + 1}"
    if stream.codec_context is None:
        return f"{name} cannot be decoded"
    if _is_side(stream, flags):
        return f"{name} is marked as a commentary or the like"
    return f"{name} is not the default one"


def _sentence(kind: str, count: int, taken: Sequence[int], why: Sequence[str], flag: str) -> str:
    if len(taken) > 1:
        numbers = ", ".join(str(number + 1) for number in taken)
        return (
            f"The file has {count} tracks of {kind}; the mono tracks {numbers} belong together and were taken as the "
            f"channels of one sound; {flag} chooses a single one."
        )
    which = _ORDINALS[taken[0]] if taken[0] < len(_ORDINALS) else f"{taken[0] + 1}th"
    reason = f", because {' and '.join(why)}" if why else ""
    return f"The file has {count} tracks of {kind}; the {which} one was taken{reason}; {flag} chooses another."
