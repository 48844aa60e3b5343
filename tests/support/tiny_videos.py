"""Writes tiny real videos."""

import contextlib
import zlib
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

CODECS = {".mp4": ("libx264", "aac"), ".mkv": ("libx264", "aac"), ".mov": ("libx264", "pcm_s16le")}
CODECS |= {".webm": ("libvpx", "libopus"), ".avi": ("mpeg4", "pcm_s16le"), ".ts": ("libx264", "mp2")}
MILLISECONDS = Fraction(1, 1000)
LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1", 12: "7.1.4"}


def _moving_square(count: int) -> list[np.ndarray]:
    pictures = np.zeros((count, 48, 64, 3), np.uint8)
    for number, picture in enumerate(pictures):
        left = (2 * number) % 48
        picture[16:32, left : left + 16] = (250, 40, 40)
    return list(pictures)


def write_video(
    path: Path,
    *,
    seconds: float = 4.0,
    tone_hz: float | None = None,
    level: float = 0.5,
    rate_hz: int = 44100,
    sound: np.ndarray | None = None,
    sound_delay_s: float = 0.0,
    pictures: Sequence[np.ndarray] | None = None,
    times_ms: Sequence[int] | None = None,
    rotation: int | None = None,
    with_sound: bool = True,
    with_pictures: bool = True,
    header_first: bool = False,
) -> Path:
    """Writes a video; by default a sine on both channels and a moving square (10 frames per second).

    The frequency of the sine depends on the name unless it is given, because videos with equal audio share a split.
    """
    tone_hz = 300 + zlib.crc32(f"{path.parent.name}/{path.name}".encode()) % 600 if tone_hz is None else tone_hz
    path.parent.mkdir(parents=True, exist_ok=True)
    video_codec, audio_codec = CODECS[path.suffix]
    options = {"movflags": "faststart"} if header_first else {}
    with av.open(str(path), "w", options=options) as container:
        if with_pictures:
            pictures = _moving_square(round(10 * seconds)) if pictures is None else pictures
            times_ms = [100 * number for number in range(len(pictures))] if times_ms is None else times_ms
            stream = container.add_stream(video_codec, rate=10)
            stream.height, stream.width, stream.pix_fmt = *pictures[0].shape[:2], "yuv420p"
            if video_codec != "mpeg4":  # which stores times as frame counts
                stream.codec_context.time_base = MILLISECONDS
            if rotation is not None:
                stream.set_display_rotation(rotation)
        if with_sound:
            if sound is None:
                wave = level * np.sin(2 * np.pi * tone_hz * np.arange(round(seconds * rate_hz)) / rate_hz)
                sound = np.stack([wave, wave])
            layout = LAYOUTS[len(sound)]
            speaker = container.add_stream(audio_codec, rate=rate_hz, layout=layout)
        if with_pictures:
            for picture, time in zip(pictures, times_ms, strict=True):
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts, frame.time_base = time, MILLISECONDS
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        if with_sound:
            packed = np.ascontiguousarray(sound.T, np.float32).reshape(1, -1)
            whole = av.AudioFrame.from_ndarray(packed, format="flt", layout=layout)
            whole.sample_rate, whole.pts, whole.time_base = rate_hz, 0, Fraction(1, rate_hz)
            queue = av.AudioFifo()
            queue.write(whole)
            while (block := queue.read(speaker.codec_context.frame_size or 1024, partial=True)) is not None:
                block.pts += round(sound_delay_s * rate_hz)
                container.mux(speaker.encode(block))
            container.mux(speaker.encode())
    return path


def join(path: Path, *parts: Path) -> Path:
    """Writes the packets of several videos one after the other; each part keeps its own layout."""
    with av.open(str(path), "w") as out:
        with av.open(str(parts[0])) as first:
            streams = {stream.type: out.add_stream_from_template(stream) for stream in first.streams}
        begin_s = 0.0
        for part in parts:
            end_s = begin_s
            with av.open(str(part)) as source:
                origin_s = source.start_time / av.time_base
                for packet in source.demux():
                    if packet.dts is None:
                        continue
                    shift = round((begin_s - origin_s) / packet.time_base)
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    end_s = max(end_s, float((packet.pts + (packet.duration or 0)) * packet.time_base))
                    packet.stream = streams[packet.stream.type]
                    out.mux(packet)
            begin_s = end_s
    return path


def copy_streams(path: Path, *streams: tuple[Path, str]) -> Path:
    """Writes streams of several videos into one file, each given as its file and "video" or "audio"."""
    with contextlib.ExitStack() as stack:
        out = stack.enter_context(av.open(str(path), "w"))
        sources = [stack.enter_context(av.open(str(part))) for part, _ in streams]
        picked = [getattr(source.streams, kind)[0] for source, (_, kind) in zip(sources, streams, strict=True)]
        targets = [out.add_stream_from_template(stream) for stream in picked]
        for source, stream, target in zip(sources, picked, targets, strict=True):
            for packet in source.demux(stream):
                if packet.dts is not None:
                    packet.stream = target
                    out.mux(packet)
    return path
