"""Reads the frames of each window for the network, or makes features of them."""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from data_pipeline.media.reader import Trace
from data_pipeline.spec import AudioSpec
from mpnet_jax.separation.sound_windows import start_seconds
from mpnet_jax.separation.source import Source
from mpnet_jax.steps.device_pass import HostBatch

# A frame that is far from square is reduced until it has at most this many times the places of a square one.
_LONGEST = 4.0
_LEAST_PX = 16


def short_side_px(picture_px: tuple[int, int], wanted_px: int) -> int:
    """Returns the shorter side of the network's frames.

    Args:
        picture_px: Height and width of the video's frames.
        wanted_px: Shorter side in training.
    """
    short, long = sorted(picture_px)
    return max(_LEAST_PX, min(wanted_px, round(_LONGEST * wanted_px * short / max(long, 1))))


def picture_windows(
    source: Source,
    audio: AudioSpec,
    seconds: Sequence[float],
    *,
    fps: float,
    side_px: int,
    threads: int = 1,
    trace: Trace | None = None,
) -> Iterator[UInt8[np.ndarray, "frame height width 3"]]:
    """Yields the frames of one window after another, without end; the last frame of the video is repeated.

    Args:
        source: The video.
        audio: The network's transform.
        seconds: Times of a window's frames, ascending, in seconds from its start.
        fps: Rate of the frames from which these are chosen, as in the training data.
        side_px: Shorter side of the returned frames.
        threads: Threads of the decoder.
        trace: Records irregularities of the decoded stream.
    """

    def numbers_of(window: int) -> list[int]:
        return [max(0, math.floor((start_seconds(window, audio) + s) * fps)) for s in seconds]

    wanted, asked = itertools.tee(_ascending(numbers_of))
    stream = source.frames((number / fps for number in asked), side_px, threads=threads, trace=trace)
    kept: dict[int, np.ndarray] = {}
    size = None
    for window in itertools.count():
        numbers = numbers_of(window)
        while numbers[-1] not in kept:
            picture = next(stream)
            size = picture.shape[1::-1] if size is None else size
            kept[next(wanted)] = resized(picture, size)
        kept = {number: picture for number, picture in kept.items() if number >= numbers[0]}
        yield np.stack([kept[number] for number in numbers])


def _ascending(numbers_of: Callable[[int], list[int]]) -> Iterator[int]:
    """Yields every number of any window once, in ascending order; other frames need not be converted."""
    waiting: set[int] = set()
    for window in itertools.count():
        numbers = numbers_of(window)
        # Later windows have no smaller number than the first one of this window.
        ready = sorted(number for number in waiting if number < numbers[0])
        yield from ready
        waiting = waiting.difference(ready).union(numbers)


def feature_windows(
    halves: Iterator[UInt8[np.ndarray, "1 height width 3"]], trunk: Callable[[HostBatch], HostBatch], size: int
) -> Iterator[Float[np.ndarray, "2 rows columns channel"]]:
    """Yields the features of one window after another, of two frames each.

    Windows overlap by half. The trunk takes nearly as long as all other networks together, so it sees the frame of
    every second half alone, which stands for the next half, too. This is a guess: with a frame of each half, 20
    validation scenes of `benchmarks.rendered_players` and one model were separated and counted no better.

    Args:
        halves: The frame of one half window after another, of which every second one is used.
        trunk: The pass of `features_step`.
        size: Number of frames that pass through the trunk together.
    """
    features = (
        each
        for frames in iter(lambda: list(itertools.islice(halves, 0, 2 * size, 2)), [])
        for each in np.repeat(trunk({"frames": np.stack(frames)[:, None]})["features"][:, 0], 2, axis=0)
    )
    for first, second in itertools.pairwise(features):
        yield np.concatenate([first, second])


def resized(picture: UInt8[np.ndarray, "height width 3"], size: tuple[int, ...]) -> UInt8[np.ndarray, "rows columns 3"]:
    """Resizes a frame to (width, height) of the first frame; a video's resolution may change midway."""
    if picture.shape[1::-1] == size:
        return picture
    return np.asarray(Image.fromarray(picture).resize((size[0], size[1])))
