"""Converts decoded frames to what a player shows: upright, in the right shape, in one size."""

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from data_pipeline.media.container import MediaError

_LONGEST_PX = 65_500  # JPEG files, which hold the stored frames, have no longer sides


class Scaler:
    """Converts decoded frames to upright RGB images with one shorter side; keeps the conversion tables."""

    def __init__(self, short_side_px: int, stream: VideoStream) -> None:
        self._short_side_px = short_side_px
        self._pixel_aspect = float(stream.sample_aspect_ratio or 1)
        self._reformatter = VideoReformatter()

    def __call__(self, frame: VideoFrame) -> np.ndarray:
        """Returns the image, uint8 (height, width, 3) RGB; raises `MediaError` as `scaled_size` does."""
        shown_width = frame.width * self._pixel_aspect
        scale = self._short_side_px / min(shown_width, frame.height)
        width, height = scaled_size(shown_width, frame.height, self._short_side_px)
        method = "AREA" if scale < 1 else "BICUBIC"
        scaled = self._reformatter.reformat(frame, width, height, format="rgb24", interpolation=method)
        return _upright(scaled.to_ndarray(), _display_matrix(frame))


def scaled_size(width: float, height: float, short_side_px: int) -> tuple[int, int]:
    """Returns the (width, height) of a frame after scaling to a shorter side.

    Raises:
        MediaError: The frame is so long and narrow that the result would have more than 65,500 pixels on one side.
    """
    scale = short_side_px / min(width, height)
    scaled_width, scaled_height = (max(short_side_px, round(side * scale)) for side in (width, height))
    if max(scaled_width, scaled_height) > _LONGEST_PX:
        raise MediaError(
            "too narrow",
            f"its frames of {width:.0f} x {height:.0f} pixels would become {scaled_width} x {scaled_height}, and a "
            f"frame may have at most {_LONGEST_PX} pixels on a side; crop the video",
        )
    return scaled_width, scaled_height


def _display_matrix(frame: VideoFrame) -> np.ndarray | None:
    """Returns the 2 x 2 part of the display matrix: a stored row vector (x, y) times it is the shown (x, y)."""
    data = frame.side_data.get("DISPLAYMATRIX")
    return None if data is None else np.frombuffer(data, np.int32).reshape(3, 3)[:2, :2]


def is_turned(frame: VideoFrame) -> bool:
    """Returns whether a player rotates or mirrors the frames of a video, as it does for those of telephones."""
    matrix = _display_matrix(frame)
    return matrix is not None and not (matrix[0, 0] > 0 and matrix[1, 1] > 0)


def _upright(picture: np.ndarray, matrix: np.ndarray | None) -> np.ndarray:
    """Applies a display matrix (quarter turns and mirroring) to an RGB image (height, width, 3)."""
    if matrix is None:
        return picture
    (a, b), (c, d) = matrix
    if abs(a) < abs(b):  # a quarter turn: shown x comes from stored y
        picture, flip_x, flip_y = picture.transpose(1, 0, 2), c < 0, b < 0
    else:
        flip_x, flip_y = a < 0, d < 0
    return np.ascontiguousarray(picture[:: -1 if flip_y else 1, :: -1 if flip_x else 1])
