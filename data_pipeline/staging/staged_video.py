"""Staged videos: decoded audio and frames of one video each, before they are written to a data set.

Worker processes run `stage_video`, so this module imports no TensorFlow. A staged video consists of the files `.sound`
(int16 samples), `.pictures` (JPEG files, one after the other), `.npz` (positions of chunks and frames) and `.json`
(facts). The facts are written last; when they exist, the other files are complete. The two long files are written while
they are decoded, so memory use does not grow with the length of a video.
"""

import dataclasses
import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from data_pipeline.atomic import write_atomically
from data_pipeline.media import reader
from data_pipeline.sources import Video
from data_pipeline.staging.cutting import CutSpec, cut_video

_INT16_BYTES = 2


@dataclasses.dataclass(frozen=True)
class Facts:
    """Facts about a staged video.

    Attributes:
        video_id: See `Video`.
        label: Class.
        source: Size and time of the files it was made from, which show later changes.
        reason: Why the video was skipped, in a few words; None when it was staged.
        message: The reason as a sentence.
        seconds: Length of the audio that is used.
        chunks: Number of records.
        video_rms: Root mean square of the complete audio, linear, full scale 1.
        sound_digest: Hash that is equal for equal audio.
        remarks: What is unusual about it, see `quality.remarks`.
    """

    video_id: str
    label: str
    source: dict[str, Any]
    reason: str | None = None
    message: str = ""
    seconds: float = 0.0
    chunks: int = 0
    video_rms: float = 0.0
    sound_digest: str = ""
    remarks: dict[str, str] = dataclasses.field(default_factory=dict)


def stage_video(video: Video, cut: CutSpec, folder: Path, threads: int = 1) -> Facts:
    """Decodes one video and writes its staged files.

    Args:
        video: Video to decode.
        cut: How to cut it.
        folder: Existing folder for staged files.
        threads: Number of threads of the video decoder.

    Returns:
        The facts, with a reason when the video cannot be used.

    Raises:
        OSError: The staged files cannot be written.
    """
    stem = _stem(folder, video.id)
    # Shows which videos were being decoded when a worker process died.
    busy = stem.with_suffix(".busy")
    busy.write_text(video.id, encoding="utf-8")
    facts = Facts(video.id, video.label, source_stamp(video))
    try:
        facts = dataclasses.replace(facts, **cut_video(video, cut, stem, threads))
    except reader.MediaError as error:
        facts = dataclasses.replace(facts, reason=error.reason, message=_one_line(str(error)))
    except (ValueError, ArithmeticError, LookupError, MemoryError) as error:
        # Damaged files make decoders fail in undocumented ways, which must not end a long run.
        message = _one_line(f"{video.path} cannot be decoded ({type(error).__name__}: {error})")
        facts = dataclasses.replace(facts, reason="cannot be decoded", message=message)
    if facts.reason is not None:
        for suffix in (".sound", ".pictures", ".npz"):
            stem.with_suffix(suffix).unlink(missing_ok=True)
    write_atomically(stem.with_suffix(".json"), json.dumps(dataclasses.asdict(facts)))
    busy.unlink()
    return facts


def staged_facts(video: Video, folder: Path) -> Facts | None:
    """Returns the facts of a staged video, or None when it is not staged, its files have changed or are incomplete."""
    stem = _stem(folder, video.id)
    try:
        facts = Facts(**json.loads(stem.with_suffix(".json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    if facts.source != source_stamp(video) or facts.label != video.label:
        return None
    return facts if facts.reason is not None or _is_complete(stem) else None


def _is_complete(stem: Path) -> bool:
    """Returns whether the staged files have all their bytes; after a power failure, some may be empty or cut off."""
    try:
        with stem.with_suffix(".npz").open("rb") as file, np.load(file, allow_pickle=False) as staged:
            samples, end = int(staged["spans"][-1, 1]), int(staged["places"].max())
        sizes = [stem.with_suffix(suffix).stat().st_size for suffix in (".sound", ".pictures")]
    except (OSError, EOFError, ValueError, LookupError, zipfile.BadZipFile):
        return False
    return sizes[0] >= samples * _INT16_BYTES and sizes[1] >= end


def busy_videos(folder: Path) -> list[str]:
    """Returns the ids of the videos that were being decoded when their process ended, and removes their marks."""
    marks = sorted(folder.glob("*.busy"))
    ids = [mark.read_text(encoding="utf-8") for mark in marks]
    for mark in marks:
        mark.unlink(missing_ok=True)
    return ids


def source_stamp(video: Video) -> dict[str, Any]:
    """Returns size and modification time of the files of a video; of extracted images, those of their folder."""
    stamp: dict[str, Any] = {}
    pictures = video.pictures.folder if video.pictures else None
    for name, path in (("video", video.path), ("boxes", video.boxes_path), ("pictures", pictures)):
        if path is not None:
            try:
                status = path.stat()
            except OSError:
                continue  # decoding reports the error
            stamp[name] = [status.st_size, status.st_mtime_ns]
    return stamp


def staged_chunks(facts: Facts, folder: Path) -> Iterator[dict[str, Any]]:
    """Yields the examples of a staged video, one per chunk, with the features of `builders.video_chunks`."""
    stem = _stem(folder, facts.video_id)
    with np.load(stem.with_suffix(".npz"), allow_pickle=False) as staged:
        spans, starts, places, boxes = (staged[key] for key in ("spans", "start_seconds", "places", "boxes"))
    with stem.with_suffix(".sound").open("rb") as sound, stem.with_suffix(".pictures").open("rb") as pictures:
        for chunk, (first, end, first_frame, end_frame) in enumerate(spans.tolist()):
            sound.seek(first * _INT16_BYTES)
            yield {
                "audio": np.frombuffer(sound.read((end - first) * _INT16_BYTES), np.int16),
                "frames": [io.BytesIO(_piece(pictures, *place)) for place in places[first_frame:end_frame].tolist()],
                "boxes": boxes[first_frame:end_frame],
                "video_id": facts.video_id,
                "label": facts.label,
                "chunk": chunk,
                "start_seconds": starts[chunk],
                "video_rms": facts.video_rms,
            }


def _piece(file: BinaryIO, first: int, end: int) -> bytes:
    file.seek(first)
    return file.read(end - first)


def _one_line(text: str) -> str:
    """Returns a sentence on one line; file names in it may contain newlines or bytes that are not text."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\n", "\\n").replace("\r", "\\r")


def _stem(folder: Path, video_id: str) -> Path:
    return folder / hashlib.sha256(video_id.encode()).hexdigest()[:32]
