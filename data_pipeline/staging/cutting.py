"""Decodes a video once and cuts it; audio and frames are written while they are decoded, so memory stays constant."""

import dataclasses
import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from data_pipeline.atomic import atomic_file
from data_pipeline.command import InputError
from data_pipeline.media import reader
from data_pipeline.media.reader import TrackChoice
from data_pipeline.sources import Video
from data_pipeline.staging import extracted, player_boxes, quality

JPEG_QUALITY = 90
_INT16_SCALE = 32768
# Audio may outlast the frames by this much, because encoders round and the last frame may be shown longer.
_UNSEEN_SECONDS = 1.0


@dataclasses.dataclass(frozen=True)
class CutSpec:
    """How videos are cut into records.

    Attributes:
        rate_hz: Sample rate of the stored audio.
        fps: Stored frames per second.
        frame_px: Shorter side of the stored frames, in pixels.
        chunk_seconds: Longest part of a video in one record.
        min_seconds: Shortest part that becomes a record.
        silence_dbfs: A video whose root mean square is below this level counts as silent (dB, full scale = 0).
        audio_track: Number of the audio track of every video, from 1; None to choose it for each video.
        video_track: The same of the video track.

    Raises:
        InputError: A value allows no record.
    """

    rate_hz: int = 11025
    fps: float = 8.0
    frame_px: int = 256
    chunk_seconds: float = 12.0
    min_seconds: float = 3.0
    silence_dbfs: float = -50.0
    audio_track: int | None = None
    video_track: int | None = None

    def __post_init__(self) -> None:
        for name in ("rate_hz", "fps", "frame_px", "chunk_seconds", "min_seconds"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise InputError(f"--{name}={value} must be a positive number")
        if self.min_seconds > self.chunk_seconds:
            raise InputError(
                f"--min_seconds={self.min_seconds:g} must not exceed --chunk_seconds={self.chunk_seconds:g}"
            )
        if not self.silence_dbfs <= 0:
            raise InputError(f"--silence_dbfs={self.silence_dbfs} must be zero or less; full scale is 0 dB")
        for name in ("audio_track", "video_track"):
            number = getattr(self, name)
            if number is not None and number < 1:
                raise InputError(f"--{name}={number} must be at least 1; tracks are counted from 1")

    @property
    def choice(self) -> TrackChoice:
        """Tracks that were chosen by hand."""
        return TrackChoice(self.audio_track, self.video_track)

    def chunk_samples(self, samples: int) -> list[tuple[int, int]]:
        """Returns (first, end) samples of every chunk of a video with that many samples."""
        length = round(self.chunk_seconds * self.rate_hz)
        shortest = math.ceil(self.min_seconds * self.rate_hz)
        pieces = [(first, min(first + length, samples)) for first in range(0, samples, length)]
        return [(first, end) for first, end in pieces if end - first >= shortest]

    def frame_times(self, first: int, end: int) -> np.ndarray:
        """Returns the times of a chunk's frames, float64 (frames,) seconds: from its start in steps of 1 / fps."""
        count = math.ceil((end - first) / self.rate_hz * self.fps - 1e-6)
        return first / self.rate_hz + np.arange(count) / self.fps


def cut_video(video: Video, cut: CutSpec, stem: Path, threads: int) -> dict[str, Any]:
    """Decodes a video into files.

    Args:
        video: Video to decode.
        cut: How to cut it.
        stem: Path of the files without their suffix: `.sound` (int16 samples), `.pictures` (JPEG files, one after the
            other) and `.npz`. The last one holds `spans` int64 (chunks, 4), first and end sample, first and end frame;
            `start_seconds` float32 (chunks,); `places` int64 (frames, 2), first and end byte; `boxes` float32 (frames,
            4).
        threads: Number of threads of the video decoder.

    Returns:
        Facts about the video, as fields of `staged_video.Facts`.

    Raises:
        MediaError: The video cannot be used.
        OSError: The files cannot be written.
    """
    header_remarks: dict[str, str] = {}
    if video.pictures is None:
        header = reader.probe(video.path, cut.choice)
        header_remarks = header.remarks
        if not header.has_video:
            raise reader.MediaError("no picture", f"{video.path} has no picture; give a video with a picture stream")
    audio_trace, video_trace = reader.Trace(), reader.Trace()
    sound = _write_sound(video, cut, stem.with_suffix(".sound"), audio_trace)
    seconds = sound.samples / cut.rate_hz
    spans = cut.chunk_samples(sound.samples)
    if not spans:
        raise reader.MediaError(
            "too short", f"{video.path} lasts {seconds:.2f} s, and a record needs {cut.min_seconds:g} s"
        )
    if sound.muted == 1.0:
        raise reader.MediaError("muted", f"{video.path} is muted: its sound is nothing but digital silence")
    level_dbfs = 20 * math.log10(sound.rms)
    if level_dbfs < cut.silence_dbfs:
        raise reader.MediaError(
            "silent",
            f"{video.path} is silent: {level_dbfs:.0f} dB lies below {cut.silence_dbfs:g} dB of full scale",
        )
    times = np.concatenate([cut.frame_times(first, end) for first, end in spans])
    moved, places = _write_pictures(video, cut, stem.with_suffix(".pictures"), times, video_trace, threads)
    samples = sound.samples
    if video_trace.end_s < seconds - _UNSEEN_SECONDS:
        # Audio after the last frame has no visible source.
        samples = round(video_trace.end_s * cut.rate_hz)
        spans = cut.chunk_samples(samples)
        if not spans:
            raise reader.MediaError(
                "picture too short",
                f"the pictures of {video.path} end after {video_trace.end_s:.2f} s, and a record needs "
                f"{cut.min_seconds:g} s",
            )
    frame_ends = np.cumsum([len(cut.frame_times(first, end)) for first, end in spans])
    frames = int(frame_ends[-1])
    boxes, box_remarks = player_boxes.boxes_at(video.boxes_path, times[:frames])
    arrays = {
        "places": places[:frames],
        "boxes": boxes,
        "start_seconds": np.asarray([first / cut.rate_hz for first, _ in spans], np.float32),
        "spans": np.column_stack([np.asarray(spans), np.concatenate([[0], frame_ends[:-1]]), frame_ends]),
    }
    with atomic_file(stem.with_suffix(".npz")) as draft, draft.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
    return {
        "seconds": samples / cut.rate_hz,
        "chunks": len(spans),
        "video_rms": sound.rms,
        "sound_digest": sound.digest,
        "remarks": quality.remarks(sound, audio_trace, moved, video_trace, rate_hz=cut.rate_hz, fps=cut.fps)
        | header_remarks
        | box_remarks,
    }


def _write_sound(video: Video, cut: CutSpec, path: Path, audio_trace: reader.Trace) -> quality.SoundCheck:
    check = quality.SoundCheck()
    if video.path.suffix.lower() == ".npy":
        blocks = extracted.stream_array(video.path, cut.rate_hz, audio_trace)
    else:
        blocks = reader.stream_audio(video.path, cut.rate_hz, audio_trace, choice=cut.choice)
    with atomic_file(path) as draft, draft.open("wb") as file:
        for block in _joined(blocks, cut.rate_hz):
            # What is stored is measured: floating-point recordings may exceed full scale, which int16 cannot hold.
            block = np.clip(block, -1.0, 1.0)
            check.add(block)
            scaled = np.clip(np.rint(block * _INT16_SCALE), -_INT16_SCALE, _INT16_SCALE - 1)
            file.write(scaled.astype(np.int16).tobytes())
    return check


def _joined(blocks: Iterator[np.ndarray], samples: int) -> Iterator[np.ndarray]:
    """Joins short blocks (a decoder returns about 20 ms) to blocks of at least that many samples."""
    waiting: list[np.ndarray] = []
    for block in blocks:
        waiting.append(block)
        if sum(map(len, waiting)) >= samples:
            yield np.concatenate(waiting)
            waiting.clear()
    if waiting:
        yield np.concatenate(waiting)


def _write_pictures(
    video: Video, cut: CutSpec, path: Path, times: np.ndarray, video_trace: reader.Trace, threads: int
) -> tuple[quality.PictureCheck, np.ndarray]:
    """Writes the frames shown at the given times, each only once; returns (first, end) bytes for every time, int64."""
    if video.pictures is not None:
        pictures = extracted.read_pictures(video.pictures, times, cut.frame_px, video_trace)
    else:
        pictures = reader.read_frames(
            video.path, times, cut.frame_px, threads=threads, trace=video_trace, choice=cut.choice
        )
    check, places, last = quality.PictureCheck(), np.empty((len(times), 2), np.int64), None
    with atomic_file(path) as draft, draft.open("wb") as file:
        first = end = 0
        for number, picture in enumerate(pictures):
            if picture is last:
                check.add(None)
            else:
                encoded, last = _jpeg(picture), picture
                check.add(picture if isinstance(picture, np.ndarray) else np.asarray(Image.open(io.BytesIO(picture))))
                first, end = end, end + file.write(encoded)
            places[number] = first, end
    return check, places


def _jpeg(picture: np.ndarray | bytes) -> bytes:
    if isinstance(picture, bytes):
        return picture
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()
