"""The job of a video: separates it and writes what the page shows of it.

The folder of a result holds `video` (as uploaded), `files` (those of the command `separate`), `separation` (what the
library needs to compute the sound of a place), `picture.mp4` (the video in a codec of every browser, without its sound)
and `heat.u8` (the heat maps).
"""

import itertools
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from jaxtyping import Float, UInt8

from data_pipeline.command import InputError
from data_pipeline.media import reader
from data_pipeline.media.video_writer import VideoWriter
from mpnet_jax.demo import samples
from mpnet_jax.demo.jobs import Report
from mpnet_jax.demo.library import Library, SeparationLike, SeparatorLike
from mpnet_jax.demo.limits import Limits
from mpnet_jax.demo.store import Record, Store

PICTURE = "picture.mp4"
HEAT = "heat.u8"
RESIDUAL = "residual"
_FPS = 25
_SHORT_SIDE_PX = 480
_SILENCE_HZ = 8000
_PEAKS = 1200  # Points of a waveform.
_BLOCK = 1 << 18
# Fractions of a job at which its parts end.
_SEPARATED, _PICTURED = 0.75, 0.95


class Separating:
    """Separates videos; the networks are loaded for the first one and kept.

    Args:
        store: Where the results are.
        library: The networks.
        limits: The limits.
    """

    def __init__(self, store: Store, library: Library, limits: Limits) -> None:
        self._store, self._library, self._limits = store, library, limits
        self._separator: SeparatorLike | None = None
        self._progress: Callable[[float], Any] = lambda _: None

    def __call__(self, record: Record, report: Report) -> None:
        """Separates the video of a record.

        Raises:
            InputError: The video cannot be used.
            JobStoppedError: The job was cancelled; nothing is left but the video.
        """
        for left in (PICTURE, HEAT, "files", "separation"):
            _remove(self._store.path(record, left))
        try:
            self._separate(record, report)
        except BaseException:
            for left in (PICTURE, HEAT, "files", "separation"):
                _remove(self._store.path(record, left))
            raise

    def _separate(self, record: Record, report: Report) -> None:
        video = self._store.path(record, "video")
        if not video.exists():
            report("Rendering the sample", 0.0)
            samples.render(self._store.folder, record.sample or "", video)
        report("Loading the networks", 0.0)
        if self._separator is None:
            self._separator = self._library.separator(lambda fraction: self._progress(fraction))
        report("Separating the sounds", 0.0)
        self._progress = lambda fraction: report("Separating the sounds", _SEPARATED * fraction)
        separation = self._separator.separate_file(video, sounds=record.sounds)
        try:
            if separation.seconds > self._limits.seconds:
                raise InputError(too_long(separation.seconds, self._limits))
            picture = self._store.path(record, PICTURE)

            def drawn(fraction: float) -> None:
                report("Preparing the picture", _SEPARATED + (_PICTURED - _SEPARATED) * fraction)

            size = write_picture(video, picture, seconds=separation.seconds, progress=drawn)
            report("Writing the files", _PICTURED)
            files = self._store.path(record, "files")
            separation.write(files, videos=False)
            separation.save(self._store.path(record, "separation"))
            record.facts = facts(separation, files) | {"picture": size} | self._write_heat(record, separation)
            record.seconds = separation.seconds
            report("Writing the files", 1.0)
        finally:
            separation.close()

    def _write_heat(self, record: Record, separation: SeparationLike) -> dict[str, Any]:
        """Writes the heat maps, uint8 (sound, window, row, column), and returns their shape."""
        maps = [np.asarray(sound.heat, np.float32) for sound in separation.sounds]
        stacked = np.stack(maps) if maps else np.zeros((0, 0, 0, 0), np.float32)
        levels = np.round(255.0 * np.clip(np.nan_to_num(stacked), 0.0, 1.0)).astype(np.uint8)
        self._store.path(record, HEAT).write_bytes(levels.tobytes())
        return {"heat": list(levels.shape)}


def too_long(seconds: float, limits: Limits) -> str:
    """Returns the sentence that refuses a long video."""
    return (
        f"The video lasts {seconds / 60:.1f} minutes and the page takes at most {limits.seconds / 60:g}; cut it, start "
        "the demo with a larger --minutes, or use the command mpnet-jax separate, which takes any length."
    )


def facts(separation: SeparationLike, files: Path) -> dict[str, Any]:
    """Returns what the page shows of a separation, JSON-ready."""
    summary = json.loads((files / "separation.json").read_text(encoding="utf-8"))
    rows = [*summary["sounds"], summary["residual"]]
    found: dict[str, Any] = {name: summary.get(name) for name in ("sounds", "residual", "remarks", "model")}
    windows = [[window["start_s"], window["end_s"]] for window in summary["windows"]]
    return found | {
        "rate_hz": separation.rate_hz,
        "seconds": separation.seconds,
        "windows": windows,
        "peaks": [peaks(files / row["file"]) for row in rows],
    }


def peaks(path: Path) -> list[float]:
    """Returns the largest absolute values of equal parts of a sound file, at most `_PEAKS`."""
    with soundfile.SoundFile(path) as sound:
        step = max(1, math.ceil(len(sound) / _PEAKS))
        parts = []
        for block in sound.blocks(_BLOCK // step * step or step, dtype="float32", always_2d=True):
            loud = np.abs(np.nan_to_num(block)).max(axis=1)
            padded = np.pad(loud, (0, -len(loud) % step))
            parts.append(padded.reshape(-1, step).max(axis=1))
    return [round(float(value), 4) for value in itertools.chain.from_iterable(parts)]


def write_picture(video: Path, path: Path, *, seconds: float, progress: Callable[[float], None]) -> list[int]:
    """Writes the pictures of a video as H.264 with 25 frames per second and with silence.

    Args:
        video: The video.
        path: The file to write.
        seconds: Duration of the recording.
        progress: Called with the fraction that is written.

    Returns:
        Width and height.
    """
    count = max(1, math.ceil(seconds * _FPS))
    header = reader.probe(video)
    assert header.picture_px is not None
    side = max(2, min(_SHORT_SIDE_PX, *header.picture_px))
    silence = np.zeros((1, _SILENCE_HZ // _FPS), np.float32)
    frames = reader.read_frames(video, (index / _FPS for index in range(count)), side, threads=2, whole=False)
    height = width = 0
    with VideoWriter(path, fps=_FPS, rate_hz=_SILENCE_HZ, channels=1, preset="ultrafast") as writer:
        for index, frame in enumerate(frames):
            if not index:
                height, width = (length // 2 * 2 for length in frame.shape[:2])
            writer.show(_fitted(frame, height, width))
            writer.play(silence)
            if index % _FPS == 0:
                progress(index / count)
    return [width, height]


def _fitted(frame: UInt8[np.ndarray, "h w 3"], height: int, width: int) -> UInt8[np.ndarray, "height width 3"]:
    """Returns a frame in the size of the first one; a video's resolution may change midway."""
    if frame.shape[0] < height or frame.shape[1] < width:
        frame = np.pad(frame, ((0, max(0, height - frame.shape[0])), (0, max(0, width - frame.shape[1])), (0, 0)))
    return np.ascontiguousarray(frame[:height, :width])


def planar(waveform: Float[np.ndarray, "channels samples"]) -> bytes:
    """Returns the samples of each channel after those of the one before, as little-endian float32."""
    return np.ascontiguousarray(waveform, "<f4").tobytes()


def _remove(path: Path) -> None:
    """Removes a file or a folder, if there is one."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
