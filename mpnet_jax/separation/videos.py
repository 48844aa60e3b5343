"""Writes a video of each sound, with its heat map and only its sound, and an overview of all sounds."""

import collections
import concurrent.futures
import contextlib
import io
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import soxr
from jaxtyping import Float, UInt8

from data_pipeline.media.downmix import Downmix
from data_pipeline.media.video_writer import AAC_RATES_HZ, Planes, VideoWriter
from mpnet_jax.separation import overlay
from mpnet_jax.separation.crossfade import rising
from mpnet_jax.separation.picture_windows import resized
from mpnet_jax.separation.source import Source
from mpnet_jax.separation.stems import RESIDUAL, read_blocks

FPS = 10
SHORT_SIDE_PX = 360  # Maximum shorter side of the written videos.
_PICTURES_A_MAP = 5  # Heat maps are updated once in this many frames.
_PARTS_AHEAD = 4  # Groups of so many frames that are read while earlier ones are written.
_PRESET = "ultrafast"
_POSTER_QUALITY = 80
_RATE_HZ = 48_000  # Sample rate of the videos if AAC does not support that of the recording.

Maps = Float[np.ndarray, "window number rows columns"]


class Target(NamedTuple):
    """A video to write.

    Attributes:
        path: The file.
        poster_s: Time of its poster in seconds; None for no poster.
    """

    path: Path
    poster_s: float | None


def video_frames(source: Source, picture_px: tuple[int, int]) -> Iterator[np.ndarray]:
    """Yields the frames of the written videos, uint8 (height, width, 3), without end.

    Args:
        source: The separated video.
        picture_px: Height and width of the video's frames.
    """
    times = (number / FPS for number in itertools.count())
    return source.frames(times, max(min(SHORT_SIDE_PX, *picture_px), 2), threads=2)


def write_videos(
    pictures: Iterator[np.ndarray],
    files: Mapping[int, Target],
    *,
    stems: Mapping[int, Path],
    rate_hz: int,
    layout: Sequence[str],
    maps: Maps,
    hop_s: float,
    progress: Callable[[float], None],
) -> dict[int, bytes]:
    """Writes all videos in one pass over the frames.

    Args:
        pictures: The frames, see `video_frames`.
        files: Videos to write, by the number of the sound, the loudest first; `RESIDUAL` is the number of the overview.
        stems: Sound files of all sounds and of the residual, by number; they sum to the recording.
        rate_hz: Sample rate of the stems.
        layout: FFmpeg's names of the channels; empty if they are unknown.
        maps: The energy maps; see `journal.read_maps`.
        hop_s: Seconds from one window to the next.
        progress: Called with the seconds of video that were written.

    Returns:
        The posters by number: frames with their heat maps, as JPEG files.
    """
    moments = {number: int(file.poster_s * FPS) for number, file in files.items() if file.poster_s is not None}
    images: dict[int, bytes] = {}
    numbers = [number for number in files if number != RESIDUAL]
    sounds = _sounds(stems, rate_hz, layout)
    rate = video_rate_hz(rate_hz)
    with contextlib.ExitStack() as stack:
        first = next(sounds)
        writers = {
            number: stack.enter_context(
                VideoWriter(file.path, fps=FPS, rate_hz=rate, channels=len(first[RESIDUAL]), preset=_PRESET)
            )
            for number, file in files.items()
        }
        # Entered last: after an error, the threads have ended before the videos that they write are closed. Each video
        # has one thread, which adds its parts in order.
        threads = {number: stack.enter_context(concurrent.futures.ThreadPoolExecutor(1)) for number in files}

        def add(number: int, part: _Part) -> None:
            """Adds a part to one video."""
            heat = _drawn(number, numbers, part)
            for index, base in enumerate(part.pictures, part.first):
                shown = base if heat is None else heat.over(base)
                writers[number].show(shown)
                if index == moments.get(number):
                    images[number] = _jpeg(shown)
            writers[number].play(part.sounds[number])

        writing: collections.deque[list[concurrent.futures.Future[None]]] = collections.deque()
        for part in _parts(pictures, itertools.chain([first], sounds), maps, hop_s):
            writing.append([threads[number].submit(add, number, part) for number in files])
            if len(writing) > _PARTS_AHEAD:
                _wait(writing.popleft())
            progress(len(part.pictures) / FPS)
        for tasks in writing:
            _wait(tasks)
    return images


def _wait(tasks: Iterable[concurrent.futures.Future[None]]) -> None:
    """Waits for tasks; raises the error of one that failed."""
    for task in tasks:
        task.result()


class _Part(NamedTuple):
    """Frames of all videos that show the same heat maps.

    Attributes:
        first: Index of the first frame.
        pictures: Planes of the frames, without heat maps; see `Planes`.
        sounds: Sound of these frames, (channels, samples) by number.
        maps: Energy maps of the sounds.
    """

    first: int
    pictures: list[np.ndarray]
    sounds: dict[int, np.ndarray]
    maps: Float[np.ndarray, "number rows columns"]


def _parts(
    pictures: Iterator[np.ndarray], sounds: Iterator[dict[int, np.ndarray]], maps: Maps, hop_s: float
) -> Iterator[_Part]:
    planes, size, index = Planes(), None, 0
    while group := list(itertools.islice(sounds, _PICTURES_A_MAP)):
        shown = []
        for _ in group:
            picture = next(pictures)
            size = picture.shape[1::-1] if size is None else size
            height, width = (side // 2 * 2 for side in size[::-1])
            shown.append(planes(np.ascontiguousarray(resized(picture, size)[:height, :width])))
        heard = {number: np.concatenate([sound[number] for sound in group], axis=1) for number in group[0]}
        yield _Part(index, shown, heard, maps_at(maps, index / FPS, hop_s))
        index += len(group)


def _jpeg(planes: UInt8[np.ndarray, "rows width"]) -> bytes:
    """Returns the planes of a frame (YUV 4:2:0) as a JPEG file."""
    file = io.BytesIO()
    av.VideoFrame.from_ndarray(planes, format="yuv420p").to_image().save(file, "JPEG", quality=_POSTER_QUALITY)
    return file.getvalue()


def video_rate_hz(rate_hz: int) -> int:
    """Returns the sample rate of the written videos: the recording's if AAC supports it."""
    return rate_hz if rate_hz in AAC_RATES_HZ else _RATE_HZ


def maps_at(maps: Maps, time_s: float, hop_s: float) -> Float[np.ndarray, "number rows columns"]:
    """Returns the maps at a time, cross-faded between the two windows that contain it like their sounds."""
    half, part = divmod(time_s / hop_s, 1.0)
    last = len(maps) - 1
    later, earlier = min(int(half), last), min(max(int(half) - 1, 0), last)
    weight = float(rising(1000)[int(part * 1000)])
    return weight * maps[later].astype(np.float32) + (1 - weight) * maps[earlier].astype(np.float32)


def _drawn(number: int, numbers: Sequence[int], part: _Part) -> overlay.Overlay | None:
    """Returns the overlay of a video: the heat map of its sound, or all maps in colours for the overview."""
    rows, width = part.pictures[0].shape
    height = rows * 2 // 3
    if number != RESIDUAL:
        levels = part.maps[number - 1]
        return overlay.heat(levels, height=height, width=width) if levels.any() else None
    shown = [part.maps[sound - 1] for sound in numbers]
    some = any(levels.any() for levels in shown)
    return overlay.colours(shown, height=height, width=width) if some else None


def _sounds(stems: Mapping[int, Path], rate_hz: int, layout: Sequence[str]) -> Iterator[dict[int, np.ndarray]]:
    """Yields the sound of each frame, (channels, samples) by number; number 0 is the complete recording."""
    waiting: dict[int, np.ndarray] = {}
    index, rate = 0, video_rate_hz(rate_hz)
    for block in _at_video_rate(_audible(stems, rate_hz, layout), rate_hz):
        waiting = {
            number: np.concatenate([waiting.get(number, sound[:, :0]), sound], axis=1)
            for number, sound in block.items()
        }
        while (size := round((index + 1) * rate / FPS) - round(index * rate / FPS)) <= waiting[RESIDUAL].shape[1]:
            yield {number: sound[:, :size] for number, sound in waiting.items()}
            waiting = {number: sound[:, size:] for number, sound in waiting.items()}
            index += 1
    if waiting and waiting[RESIDUAL].size:
        yield waiting


def _audible(stems: Mapping[int, Path], rate_hz: int, layout: Sequence[str]) -> Iterator[dict[int, np.ndarray]]:
    """Yields the stems and the recording in blocks (samples, channels); more than two channels are mixed to one."""
    mixers: dict[int, Downmix] = {}
    for blocks in read_blocks(list(stems.values())):
        if blocks[0].shape[1] > 2 and not mixers:
            mixers = {number: Downmix(rate_hz) for number in stems}
        sounds = dict(zip(stems, blocks, strict=True)) | {RESIDUAL: np.sum(blocks, axis=0)}
        if mixers:
            sounds = {number: mixers[number].add(sound.T, layout)[:, None] for number, sound in sounds.items()}
        yield sounds
    if mixers:
        yield {number: mixer.finish()[:, None] for number, mixer in mixers.items()}


def _at_video_rate(sounds: Iterator[dict[int, np.ndarray]], rate_hz: int) -> Iterator[dict[int, np.ndarray]]:
    """Yields blocks (channels, samples) by number, resampled where AAC does not support the sample rate."""
    resamplers: dict[int, soxr.ResampleStream] = {}
    wanted_hz, channels = video_rate_hz(rate_hz), 1
    for block in sounds:
        channels = block[RESIDUAL].shape[1]
        if wanted_hz != rate_hz:
            for number in block.keys() - resamplers.keys():
                resamplers[number] = soxr.ResampleStream(rate_hz, wanted_hz, channels, dtype="float32")
            block = {number: resamplers[number].resample_chunk(sound) for number, sound in block.items()}
        yield {number: sound.T for number, sound in block.items()}
    if resamplers:
        nothing = np.zeros((0, channels), np.float32)
        yield {number: stream.resample_chunk(nothing, last=True).T for number, stream in resamplers.items()}
