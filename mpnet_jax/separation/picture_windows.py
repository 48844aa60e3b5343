"""The pictures of each window of sound, as the network sees them."""

import collections
import itertools
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from data_pipeline.media import reader
from data_pipeline.spec import AudioSpec, FrameSpec
from mpnet_jax.separation.sound_windows import start_seconds

# A picture that is far from square is made smaller, so that it has no more places than this times a square one.
_LONGEST = 4.0
_LEAST_PX = 16


def short_side_px(picture_px: tuple[int, int], wanted_px: int) -> int:
    """Shorter side of the pictures that the network sees.

    Args:
        picture_px: (height, width) of the video's.
        wanted_px: what the networks were trained with.
    """
    short, long = sorted(picture_px)
    return max(_LEAST_PX, min(wanted_px, round(_LONGEST * wanted_px * short / max(long, 1))))


def picture_windows(
    path: Path,
    audio: AudioSpec,
    frames: FrameSpec,
    *,
    fps: float,
    side_px: int,
    threads: int = 1,
    trace: reader.Trace | None = None,
) -> Iterator[UInt8[np.ndarray, "frame height width 3"]]:
    """The whole pictures of one window after another, without end: after the last one it stays.

    Args:
        path: the video.
        audio: the network's.
        frames: how many pictures a window, and where in it.
        fps: pictures a second among which they are chosen, as in the data that the networks were trained with.
        side_px: shorter side of the pictures.
        threads: of the decoder.
        trace: takes down what decoding met.
    """
    seconds = frames.seconds(audio.clip_seconds)
    times = (number / fps for number in itertools.count())
    stream = reader.read_frames(path, times, side_px, threads=threads, trace=trace, whole=False)
    kept: collections.deque[np.ndarray] = collections.deque()
    first, size = 0, None  # number of the first picture that is kept
    for index in itertools.count():
        numbers = [max(0, math.floor((start_seconds(index, audio) + s) * fps)) for s in seconds]
        while first + len(kept) <= numbers[-1]:
            picture = next(stream)
            size = picture.shape[1::-1] if size is None else size
            kept.append(resized(picture, size))
            if first + len(kept) <= numbers[0]:
                kept.popleft()
                first += 1
        while first < numbers[0]:
            kept.popleft()
            first += 1
        yield np.stack([kept[number - first] for number in numbers])


def resized(picture: UInt8[np.ndarray, "height width 3"], size: tuple[int, ...]) -> UInt8[np.ndarray, "rows columns 3"]:
    """A picture in the (width, height) of the first one: a video may change its size in its midst."""
    if picture.shape[1::-1] == size:
        return picture
    return np.asarray(Image.fromarray(picture).resize((size[0], size[1])))
