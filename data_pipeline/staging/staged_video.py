"""Staged videos: sound and pictures of one video each, decoded, waiting to be built into a data set.

Worker processes run `stage_video`; this module therefore imports no TensorFlow. A staged video is the files `.sound`
(int16 samples), `.pictures` (JPEG files, one after the other), `.npz` (where the chunks and pictures are) and `.json`
(facts), which is written last: where the facts are, the rest is whole. Both long files are written as they are decoded,
so memory does not grow with the length of a video.
"""

import dataclasses
import hashlib
import io
import json
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
    """What is known of a staged video.

    Attributes:
        video_id: see `Video`.
        label: class.
        source: size and time of the files it was made from, to see when they change.
        reason: why the video was skipped, in a few words; None when it was staged.
        message: the same as a sentence.
        seconds: length of the sound that is used.
        chunks: records it gives.
        video_rms: root mean square of the whole sound, linear, full scale 1.
        sound_digest: equal for equal sounds.
        remarks: what is unusual about it, see `quality.remarks`.
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
        video: what to decode.
        cut: how to cut it.
        folder: where staged files go; it exists.
        threads: of the picture decoder.

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
        facts = dataclasses.replace(facts, **cut_video(video, cut, stem, threads))
    except reader.MediaError as error:
        facts = dataclasses.replace(facts, reason=error.reason, message=_one_line(str(error)))
    except (ValueError, ArithmeticError, LookupError, MemoryError) as error:
        # Damaged files make decoders fail in ways nobody lists; one of them must not end a night's work.
        message = _one_line(f"{video.path} cannot be decoded ({type(error).__name__}: {error})")
        facts = dataclasses.replace(facts, reason="cannot be decoded", message=message)
    if facts.reason is not None:
        for suffix in (".sound", ".pictures", ".npz"):
            stem.with_suffix(suffix).unlink(missing_ok=True)
    write_atomically(stem.with_suffix(".json"), json.dumps(dataclasses.asdict(facts)))
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
    """Size and modification time of the files of a video; of extracted pictures, the folder's."""
    stamp: dict[str, Any] = {}
    pictures = video.pictures.folder if video.pictures else None
    for name, path in (("video", video.path), ("boxes", video.boxes_path), ("pictures", pictures)):
        if path is not None:
            try:
                status = path.stat()
            except OSError:
                continue  # decoding will say what is wrong with it
            stamp[name] = [status.st_size, status.st_mtime_ns]
    return stamp


def staged_chunks(facts: Facts, folder: Path) -> Iterator[dict[str, Any]]:
    """Examples of the data set, one a chunk, from a staged video, as `builders.video_chunks` takes them."""
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
    """A sentence with file names that may hold newlines, or bytes that are no text."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\n", "\\n").replace("\r", "\\r")


def _stem(folder: Path, video_id: str) -> Path:
    return folder / hashlib.sha256(video_id.encode()).hexdigest()[:32]
