"""Decoded pictures as a player shows them: upright, of the right shape, in one size."""

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream


class Scaler:
    """Turns decoded frames into upright RGB pictures of one shorter side; keeps the conversion tables."""

    def __init__(self, short_side_px: int, stream: VideoStream) -> None:
        self._short_side_px = short_side_px
        self._pixel_aspect = float(stream.sample_aspect_ratio or 1)
        self._reformatter = VideoReformatter()

    def __call__(self, frame: VideoFrame) -> np.ndarray:
        """The picture, uint8 (height, width, 3) RGB."""
        shown_width = frame.width * self._pixel_aspect
        scale = self._short_side_px / min(shown_width, frame.height)
        width, height = (max(self._short_side_px, round(side * scale)) for side in (shown_width, frame.height))
        method = "AREA" if scale < 1 else "BICUBIC"
        scaled = self._reformatter.reformat(frame, width, height, format="rgb24", interpolation=method)
        return _upright(scaled.to_ndarray(), _display_matrix(frame))


def _display_matrix(frame: VideoFrame) -> np.ndarray | None:
    """The 2 x 2 part of the display matrix: stored (x, y), as a row vector, times it is shown (x, y)."""
    data = frame.side_data.get("DISPLAYMATRIX")
    return None if data is None else np.frombuffer(data, np.int32).reshape(3, 3)[:2, :2]


def is_turned(frame: VideoFrame) -> bool:
    """Whether a player turns or mirrors the pictures of a video, as those of telephones are."""
    matrix = _display_matrix(frame)
    return matrix is not None and not (matrix[0, 0] > 0 and matrix[1, 1] > 0)


def _upright(picture: np.ndarray, matrix: np.ndarray | None) -> np.ndarray:
    """Applies a quarter-turn or mirror display matrix to an RGB picture (height, width, 3)."""
    if matrix is None:
        return picture
    (a, b), (c, d) = matrix
    if abs(a) < abs(b):  # a quarter turn: shown x comes from stored y
        picture, flip_x, flip_y = picture.transpose(1, 0, 2), c < 0, b < 0
    else:
        flip_x, flip_y = a < 0, d < 0
    return np.ascontiguousarray(picture[:: -1 if flip_y else 1, :: -1 if flip_x else 1])
