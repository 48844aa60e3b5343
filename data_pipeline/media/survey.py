"""Reads the packets of a file once, without decoding: which tracks are used, where they begin and end, what to doubt.

The survey takes a few microseconds a packet, and its memory does not grow with the length of the file. It is kept for
the files that were read last, because the sound and the pictures of a file are decoded one after the other.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Stream
from av.video.stream import VideoStream

from data_pipeline.media.completeness import is_cut_off
from data_pipeline.media.container import opened
from data_pipeline.media.samples import Samples
from data_pipeline.media.timeline import Extent, Timeline, never_meet, timeline
from data_pipeline.media.tracks import TrackChoice, Tracks, choose_audio, choose_video

Kind = Literal["audio", "video"]
# A stream that ends before this share of its length is truncated; smaller differences are rounding.
COMPLETE_PART = 0.9
_NOTABLE_SECONDS = 0.5
# Formats that state lengths; for others the library estimates the length from the last timestamps.
_STATES_LENGTH = {"mov", "matroska", "avi", "flv", "asf"}
# Formats in which the length of a stream is that of its list of packets.
_LISTS_PACKETS = {"mov", "avi"}
_SILENT = 1e-3  # standard deviation of a block, -60 dB of full scale
_AUDIBLE_SECONDS = 0.25


@dataclasses.dataclass(frozen=True)
class Survey:
    """What the packets and the headers of a file say.

    Attributes:
        tracks: The tracks that are used.
        timeline: Where they begin and end.
        undecodable: "audio", "video" or both, if there are such streams and none of them can be decoded.
        stated_s: Length of the file in its header, in seconds; None if the format states none.
        own_stated_s: End of each kind of stream in seconds from time 0, as the file states it for this stream alone.
        cut_off: Whether the file is shorter than its structure announces.
        doubtful_s: Ends that follow from timestamps which are not believed, in seconds from time 0.
        reached_s: End of the longest stream of the file by its packets, in seconds from time 0.
    """

    tracks: Tracks
    timeline: Timeline
    undecodable: tuple[Kind, ...]
    stated_s: float | None
    own_stated_s: dict[Kind, float]
    cut_off: bool
    doubtful_s: tuple[float, ...]
    reached_s: float

    def end_s(self, kind: Kind, found_s: float, *, broken: bool) -> float | None:
        """Returns where a stream should end, in seconds from time 0; None without a statement that is believed.

        Args:
            kind: The stream.
            found_s: End of what was decoded of it.
            broken: Whether some of its packets could not be decoded.
        """
        span = self.timeline.sound_s if kind == "audio" else self.timeline.pictures_s
        listed = span[1] if span and broken and found_s < COMPLETE_PART * span[1] else None
        own = self.own_stated_s.get(kind)
        if own is not None and found_s >= COMPLETE_PART * own:
            return own if listed is None else listed
        # The header states the length of the longest stream, which may be another one.
        whole = self.stated_s
        if whole is not None and self.reached_s >= COMPLETE_PART * whole:
            whole = None
        stated = own if own is not None else whole
        if stated is None or found_s >= COMPLETE_PART * stated:
            return listed
        confirmed = self.cut_off or (own is not None and whole is not None and abs(own - whole) < 0.1 * own)
        doubtful = any(abs(stated - end) < _NOTABLE_SECONDS for end in self.doubtful_s)
        return stated if confirmed and not doubtful else listed

    def remarks(self) -> dict[str, str]:
        """Returns what the user should know, kind -> sentence: on the tracks, and on stated lengths without belief."""
        found = dict(self.tracks.remarks)
        if lengths := " ".join(self._stated_wrongly()):
            found["stated length"] = lengths
        line = self.timeline
        if line.sound_origin_s != line.pictures_origin_s:
            found["stated start"] = (
                f"The file states that the sound starts at {line.sound_origin_s - line.origin_s:.1f} s and the "
                f"pictures at {line.pictures_origin_s - line.origin_s:.1f} s, so that they never meet; both were "
                "started together."
            )
        return found

    def _stated_wrongly(self) -> Iterator[str]:
        """Yields a sentence on each stated length that the packets contradict; a truncated file gets none."""
        if self.stated_s is not None and not self.cut_off:
            if not _near(self.stated_s, self.reached_s):
                yield (
                    f"The header states a length of {self.stated_s:.1f} s, and the file holds {self.reached_s:.1f} s; "
                    "the header was not believed."
                )
            for own, name, span in (
                (self.own_stated_s.get("audio"), "sound", self.timeline.sound_s),
                (self.own_stated_s.get("video"), "pictures", self.timeline.pictures_s),
            ):
                if own is not None and span and not _near(own, span[1]) and not _near(own, self.stated_s):
                    yield (
                        f"The file states {own:.1f} s as the end of the {name}, which is at {span[1]:.1f} s; "
                        "this was not believed."
                    )


def _near(stated_s: float, found_s: float) -> bool:
    return abs(stated_s - found_s) <= max(_NOTABLE_SECONDS, (1 - COMPLETE_PART) * max(stated_s, found_s))


def survey(path: Path, choice: TrackChoice | None = None) -> Survey:
    """Surveys a file.

    Args:
        path: The file.
        choice: Tracks that were chosen by hand.

    Raises:
        MediaError: The file cannot be opened, or has no track of a chosen number.
    """
    try:
        status = path.stat()
        version = (path.absolute(), status.st_size, status.st_mtime_ns, status.st_ino)
    except OSError:
        version = (path.absolute(),)  # Opening it reports the error.
    return _surveyed(path, choice or TrackChoice(), version)


@functools.lru_cache(maxsize=8)
def _surveyed(path: Path, choice: TrackChoice, version: tuple[Any, ...]) -> Survey:
    del version  # It is a part of the key, so that a file that has changed is surveyed again.
    with opened(path) as container:
        extents = _extents(container)
        tracks, undecodable = _tracks(path, container, extents, choice)
        sound = container.streams.audio[tracks.audio[0]] if tracks.audio else None
        pictures = None if tracks.video is None else container.streams.video[tracks.video]
        line = _timeline(extents, sound, pictures)
        sure = [extent.sure[1] - line.origin_s for extent in extents.values() if extent.sure is not None]
        reached = max([line.end_s, *sure])
        stated = None
        if container.duration is not None and _STATES_LENGTH & _formats(container):
            stated = _nearest(container.duration / av.time_base, reached, line.origin_s)
        own: dict[Kind, float] = {}
        if sound is not None and line.sound_s and (end := _own_stated_s(container, sound)) is not None:
            own["audio"] = _nearest(end, line.sound_s[1], line.sound_origin_s)
        if pictures is not None and line.pictures_s and (end := _own_stated_s(container, pictures)) is not None:
            own["video"] = _nearest(end, line.pictures_s[1], line.pictures_origin_s)
        doubtful = [
            extent.raw_end_s
            for extent in extents.values()
            if extent.sure is not None and extent.raw_end_s > extent.sure[1] + _NOTABLE_SECONDS
        ]
        return Survey(
            tracks=tracks,
            timeline=line,
            undecodable=undecodable,
            stated_s=stated,
            own_stated_s=own,
            cut_off=is_cut_off(path, _formats(container)),
            doubtful_s=tuple(reading for end in doubtful for reading in (end, end - line.origin_s)),
            reached_s=reached,
        )


def _tracks(
    path: Path, container: InputContainer, extents: Mapping[int, Extent], choice: TrackChoice
) -> tuple[Tracks, tuple[Kind, ...]]:
    """Returns the tracks that are used, and the kinds of streams of which none can be decoded."""

    def packets(streams: Iterable[Stream]) -> list[int]:
        return [extents[stream.index].packets for stream in streams]

    videos, audios = container.streams.video, container.streams.audio
    video, pictures, remarks = choose_video(path, videos, packets(videos), choice.video)
    audio, on_sound = choose_audio(
        path, audios, packets(audios), choice.audio, is_silent=functools.partial(_is_silent, path)
    )
    undecodable: list[Kind] = ["audio"] if audios and not audio else []
    if pictures and video is None:
        undecodable.append("video")
    return Tracks(audio, video, (pictures, len(audios)), remarks | on_sound), tuple(undecodable)


def _timeline(extents: Mapping[int, Extent], sound: Stream | None, pictures: Stream | None) -> Timeline:
    spoken, shown = (None if stream is None else extents[stream.index].sure for stream in (sound, pictures))
    if spoken is not None and shown is not None and never_meet(spoken, shown):
        return timeline(spoken, shown)  # A lone timestamp cannot join them.

    def span(stream: Stream | None) -> tuple[float, float] | None:
        if stream is None:
            return None
        others = [extent.sure for index, extent in extents.items() if index != stream.index]
        return extents[stream.index].span([other for other in others if other is not None])

    return timeline(span(sound), span(pictures))


class _Extents(dict[int, Extent]):
    """Extents by the indexes of streams; a container may announce a stream late."""

    def __missing__(self, index: int) -> Extent:
        return self.setdefault(index, Extent())


def _extents(container: InputContainer) -> _Extents:
    """Reads all packets; a broken container ends where no further packet is found."""
    extents = _Extents()
    units: dict[int, float] = {}  # Seconds per tick; converting a fraction takes longer than reading a packet.
    with contextlib.suppress(FFmpegError):
        for packet in container.demux():
            time = packet.pts if packet.pts is not None else packet.dts
            # The end of a stream, or a packet that is not shown, such as one that an edit list cuts off.
            if (time is None and not packet.size) or packet.is_discard:
                continue
            index = packet.stream_index
            unit = units.get(index) or units.setdefault(index, float(packet.time_base))
            extents[index].add(None if time is None else time * unit, (packet.duration or 0) * unit)
    for extent in extents.values():
        extent.finish()
    return extents


def _nearest(stated_s: float, found_s: float, origin_s: float) -> float:
    """Returns a stated end in seconds from time 0: some writers count it from there, others from timestamp 0."""
    readings = [reading for reading in (stated_s, stated_s - origin_s) if reading > 0]
    return min(readings, key=lambda reading: abs(reading - found_s), default=stated_s)


def _own_stated_s(container: InputContainer, stream: AudioStream | VideoStream) -> float | None:
    """Returns the end of a stream in the file's seconds, as stated for this stream; None if there is no such number."""
    # Matroska gives the end of a stream as a tag such as 00:00:24.000000000.
    hours, _, rest = stream.metadata.get("DURATION", "").partition(":")
    minutes, _, seconds = rest.partition(":")
    with contextlib.suppress(ValueError):
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    if stream.duration is not None and stream.time_base is not None and _LISTS_PACKETS & _formats(container):
        return float(((stream.start_time or 0) + stream.duration) * stream.time_base)
    return None


def _formats(container: InputContainer) -> set[str]:
    return set(container.format.name.split(","))


def _is_silent(path: Path, position: int) -> bool:
    """Returns whether an audio stream is silent; one that is not is decoded only until it is heard."""
    heard_s, samples = 0.0, Samples()
    with opened(path) as container:
        stream = container.streams.audio[position]
        stream.codec_context.thread_count = 1
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets)
            except (StopIteration, FFmpegError):
                return True
            with contextlib.suppress(FFmpegError):
                for frame in packet.decode():
                    # A constant offset is no sound.
                    if np.std(samples.channels(frame), axis=-1).max(initial=0.0) > _SILENT:
                        heard_s += frame.samples / frame.sample_rate
                        if heard_s >= _AUDIBLE_SECONDS:
                            return False
