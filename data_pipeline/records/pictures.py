"""Decodes, crops and mirrors the frames of a window, and converts boxes to the cropped frames."""

from collections.abc import Sequence

import numpy as np

from data_pipeline.command import InputError
from data_pipeline.records.picture_cache import Picture
from data_pipeline.tf_cpu import tf


def decode(jpegs: Sequence[bytes]) -> list[np.ndarray]:
    """Decodes JPEG files to read-only arrays, each uint8 (height, width, 3)."""
    # One tensor for all files and no copy of an image save time, as does the raw operation without the checks of
    # `tf.io`. Decoding only a part of an image (`crop`) takes longer than decoding all of it.
    files = tf.unstack(tf.constant(np.array(jpegs, object))) if jpegs else []
    return [np.asarray(tf.raw_ops.DecodeJpeg(contents=file, channels=3)) for file in files]


def cut(picture: Picture, out: np.ndarray, *, crop: tuple[float, float], flip: bool) -> tuple[int, int]:
    """Crops a square from a frame and mirrors it.

    Args:
        picture: Frame, uint8 (height, width, 3).
        out: Result, uint8 (side, side, 3).
        crop: Position of the square, (down, right), each from 0 (top or left) to 1.
        flip: Whether to mirror it.

    Returns:
        Corner of the square, (down, right) in pixels.
    """
    side, (height, width, _) = len(out), picture.shape
    if side > min(height, width):
        raise InputError(
            f"a picture of {width} x {height} pixels holds no square of {side}; lower config.frames.crop_px or "
            f"prepare the data set with a --frame_px of at least {side}"
        )
    down, right = _first_pixel(crop[0], height - side), _first_pixel(crop[1], width - side)
    # Rows first, because only these are read when the frame lies on a disk.
    square = picture[down : down + side][:, right : right + side]
    if flip:
        for channel in range(3):  # NumPy copies reversed channels faster than reversed pixels
            out[..., channel] = square[:, ::-1, channel]
    else:
        out[...] = square
    return down, right


def _first_pixel(place: float, room: int) -> int:
    """Returns an offset from 0 to `room` pixels, all equally likely when `place` is uniform in [0, 1]."""
    return int(np.float32(place) * (np.float32(room) + np.float32(0.999)))


def cut_box(box: np.ndarray, *, corner: tuple[int, int], size: tuple[int, ...], side: int, flip: bool) -> np.ndarray:
    """Converts a box from shares of a frame to shares of the square that was cropped from it and mirrored.

    Args:
        box: float32 (4,): top, left, bottom, right.
        corner: Corner of the square, (down, right) in pixels.
        size: (height, width) of the frame.
        side: Side of the square.
        flip: Whether the square was mirrored.

    Returns:
        float32 (4,); all NaN when the box lies outside of the square.
    """
    scale, shift = (np.tile(np.array(pair, np.float32), 2) for pair in (size, corner))
    top, left, bottom, right = np.clip((box * scale - shift) / np.float32(side), 0.0, 1.0)
    if bottom <= top or right <= left:
        return np.full(4, np.nan, np.float32)
    return np.array([top, 1 - right, bottom, 1 - left] if flip else [top, left, bottom, right], np.float32)
