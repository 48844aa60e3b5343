"""One staged file a video: sound and pictures cut into chunks, waiting to be built into a data set.

Worker processes run `stage_video`; this module therefore imports no TensorFlow. A staged video is an `.npz`
file (arrays) and a `.json` file (facts) that is written last: where the facts are, the arrays are whole.
"""

import dataclasses
import hashlib
import io
import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from data_pipeline import media
from data_pipeline.command import InputError
from data_pipeline.sources import Video

JPEG_QUALITY = 90
_INT16_SCALE = 32768


@dataclasses.dataclass(frozen=True)
class CutSpec:
    """How videos are cut into records.

    Attributes:
        rate_hz: samples a second of the stored sound.
        fps: stored pictures a second.
        frame_px: shorter side of the stored pictures.
        chunk_seconds: longest piece of a video in one record.
        min_seconds: shortest piece worth a record.
        silence_dbfs: a video whose root mean square lies below this level is silent (dB, full scale = 0).

    Raises:
        InputError: a value that makes no record.
    """

    rate_hz: int = 11025
    fps: float = 8.0
    frame_px: int = 106
    chunk_seconds: float = 12.0
    min_seconds: float = 3.0
    silence_dbfs: float = -50.0

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

    def chunk_samples(self, samples: int) -> list[tuple[int, int]]:
        """(first, end) sample of every chunk of a video with that many samples."""
        length = round(self.chunk_seconds * self.rate_hz)
        shortest = math.ceil(self.min_seconds * self.rate_hz)
        pieces = [(first, min(first + length, samples)) for first in range(0, samples, length)]
        return [(first, end) for first, end in pieces if end - first >= shortest]

    def frame_times(self, first: int, end: int) -> np.ndarray:
        """Seconds of the pictures of a chunk, float64 (frames,): its start, then one every 1 / fps."""
        count = math.ceil((end - first) / self.rate_hz * self.fps - 1e-6)
        return first / self.rate_hz + np.arange(count) / self.fps


@dataclasses.dataclass(frozen=True)
class Facts:
    """What is known of a staged video.

    Attributes:
        video_id: see `Video`.
        label: class.
        source: size and time of the files it was made from, to see when they change.
        reason: why the video was skipped, in a few words; None when it was staged.
        message: the same as a sentence.
        seconds: length of the sound.
        chunks: records it gives.
        video_rms: root mean square of the whole sound, linear, full scale 1.
    """

    video_id: str
    label: str
    source: dict[str, Any]
    reason: str | None = None
    message: str = ""
    seconds: float = 0.0
    chunks: int = 0
    video_rms: float = 0.0


def stage_video(video: Video, cut: CutSpec, folder: Path) -> Facts:
    """Decodes one video and writes its staged files.

    Args:
        video: what to decode.
        cut: how to cut it.
        folder: where staged files go; it exists.

    Returns:
        The facts, with the reason where the video cannot be used.

    Raises:
        OSError: the staged files cannot be written.
    """
    stem = _stem(folder, video.id)
    # Tells which videos were in work when a worker process died.
    busy = stem.with_suffix(".busy")
    busy.write_text(video.id)
    facts = Facts(video.id, video.label, source_stamp(video))
    try:
        arrays, found = _cut_video(video, cut)
        facts = dataclasses.replace(facts, **found)
        _write_atomically(stem.with_suffix(".npz"), lambda file: np.savez(file, allow_pickle=False, **arrays))
    except media.MediaError as error:
        facts = dataclasses.replace(facts, reason=error.reason, message=str(error))
    except (ValueError, ArithmeticError, LookupError, MemoryError) as error:
        # Damaged files make decoders fail in ways nobody lists; one of them must not end a night's work.
        message = f"{video.path} cannot be decoded ({type(error).__name__}: {error})"
        facts = dataclasses.replace(facts, reason="cannot be decoded", message=message)
    text = json.dumps(dataclasses.asdict(facts)).encode()
    _write_atomically(stem.with_suffix(".json"), lambda file: file.write(text))
    busy.unlink()
    return facts


def staged_facts(video: Video, folder: Path) -> Facts | None:
    """The facts of a video staged earlier; None when it was not, or when its files changed since."""
    try:
        facts = Facts(**json.loads(_stem(folder, video.id).with_suffix(".json").read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return facts if facts.source == source_stamp(video) and facts.label == video.label else None


def busy_videos(folder: Path) -> list[str]:
    """Ids of the videos that were in work when their process ended; forgets them."""
    marks = sorted(folder.glob("*.busy"))
    ids = [mark.read_text() for mark in marks]
    for mark in marks:
        mark.unlink(missing_ok=True)
    return ids


def source_stamp(video: Video) -> dict[str, Any]:
    """Size and modification time of the files of a video."""
    stamp: dict[str, Any] = {}
    for name, path in (("video", video.path), ("boxes", video.boxes_path)):
        if path is not None:
            try:
                status = path.stat()
            except OSError:
                continue  # decoding will say what is wrong with it
            stamp[name] = [status.st_size, status.st_mtime_ns]
    return stamp


def staged_chunks(facts: Facts, folder: Path) -> Iterator[dict[str, Any]]:
    """Examples of the data set, one a chunk, from a staged video, as `builders.video_chunks` takes them."""
    with np.load(_stem(folder, facts.video_id).with_suffix(".npz"), allow_pickle=False) as staged:
        audio, jpegs, jpeg_ends, boxes = (staged[key] for key in ("audio", "jpegs", "jpeg_ends", "boxes"))
        spans, starts = staged["spans"], staged["start_seconds"]
    jpeg_starts = np.concatenate([[0], jpeg_ends])
    for chunk, (first, end, first_frame, end_frame) in enumerate(spans.tolist()):
        yield {
            "audio": audio[first:end],
            "frames": [
                io.BytesIO(jpegs[jpeg_starts[frame] : jpeg_ends[frame]].tobytes())
                for frame in range(first_frame, end_frame)
            ],
            "boxes": boxes[first_frame:end_frame],
            "video_id": facts.video_id,
            "label": facts.label,
            "chunk": chunk,
            "start_seconds": starts[chunk],
            "video_rms": facts.video_rms,
        }


def _cut_video(video: Video, cut: CutSpec) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Decodes a video into (arrays to stage, facts found)."""
    info = media.probe(video.path)
    if not info.has_video:
        raise media.MediaError("no picture", f"{video.path} has no picture; give a video with a picture stream")
    audio = media.read_audio(video.path, cut.rate_hz)
    seconds = len(audio) / cut.rate_hz
    spans = cut.chunk_samples(len(audio))
    if not spans:
        raise media.MediaError(
            "too short", f"{video.path} lasts {seconds:.2f} s, and a record needs {cut.min_seconds:g} s"
        )
    rms = float(np.sqrt(np.mean(np.square(audio, dtype=np.float64))))
    level_dbfs = 20 * math.log10(rms) if rms > 0 else -math.inf
    if level_dbfs < cut.silence_dbfs:
        raise media.MediaError(
            "silent",
            f"{video.path} is silent: {level_dbfs:.0f} dB lies below {cut.silence_dbfs:g} dB of full scale",
        )
    chunk_times = [cut.frame_times(first, end) for first, end in spans]
    times = np.concatenate(chunk_times)
    jpegs = _encoded_frames(video.path, times, cut.frame_px)
    frame_ends = np.cumsum([len(chunk) for chunk in chunk_times])
    frame_starts = frame_ends - [len(chunk) for chunk in chunk_times]
    arrays = {
        "audio": np.clip(np.rint(audio * _INT16_SCALE), -_INT16_SCALE, _INT16_SCALE - 1).astype(np.int16),
        "jpegs": np.frombuffer(b"".join(jpegs), np.uint8),
        "jpeg_ends": np.cumsum([len(jpeg) for jpeg in jpegs]),
        "boxes": _boxes_at(video, times),
        "spans": np.column_stack([np.asarray(spans), frame_starts, frame_ends]),
        "start_seconds": np.asarray([chunk[0] for chunk in chunk_times], np.float32),
    }
    return arrays, {"seconds": seconds, "chunks": len(spans), "video_rms": rms}


def _encoded_frames(path: Path, times: np.ndarray, frame_px: int) -> list[bytes]:
    """JPEG bytes of the pictures at those times; a picture that stays is encoded once."""
    jpegs: list[bytes] = []
    last, encoded = None, b""
    for picture in media.read_frames(path, times, frame_px):
        if picture is not last:
            buffer = io.BytesIO()
            Image.fromarray(picture).save(buffer, "JPEG", quality=JPEG_QUALITY)
            encoded, last = buffer.getvalue(), picture
        jpegs.append(encoded)
    return jpegs


def _boxes_at(video: Video, times: np.ndarray) -> np.ndarray:
    """Boxes then, float32 (frames, 4) as ymin, xmin, ymax, xmax in parts of the picture; NaN: unknown."""
    unknown = np.full((len(times), 4), np.nan, np.float32)
    if video.boxes_path is None:
        return unknown
    try:
        beside = json.loads(video.boxes_path.read_text())
        if not isinstance(beside, dict) or "boxes" not in beside:
            return unknown  # some other tool's notes on the video
        boxes = np.asarray([[np.nan] * 4 if box is None else box for box in beside["boxes"]], np.float32)
        fps = float(beside["fps"])
        if boxes.ndim != 2 or boxes.shape[1] != 4 or not fps > 0:
            raise ValueError(f"boxes of shape {boxes.shape}, fps={fps}")
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise media.MediaError(
            "bad boxes",
            f"{video.boxes_path} does not hold `boxes` (frames x 4) and `fps` ({error}); mend or remove it",
        ) from None
    index = np.floor(times * fps + 1e-6).astype(np.int64)
    return np.where((index < len(boxes))[:, None], boxes[np.minimum(index, len(boxes) - 1)], unknown)


def _stem(folder: Path, video_id: str) -> Path:
    return folder / hashlib.sha256(video_id.encode()).hexdigest()[:32]


def _write_atomically(path: Path, write: Any) -> None:
    """Writes a file under another name first, so that a half-written one never has the right name."""
    beside = path.with_suffix(path.suffix + ".tmp")
    try:
        with beside.open("wb") as file:
            write(file)
        os.replace(beside, path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        # A full disk is reported without the file's name; the name tells which disk.
        raise OSError(error.errno, error.strerror, str(path)) from None
