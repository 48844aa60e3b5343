"""Reads where the player of a video is from the JSON file of the same name, as far as that file says it.

Many tools write a JSON file beside a video, and some of them write boxes of another form, for example in pixels. Such a
file costs no video: the boxes are unknown.
"""

from pathlib import Path

import numpy as np

from data_pipeline.command import InputError
from data_pipeline.foreign_text import read_json

_MOST_PER_SECOND = 1000.0


def boxes_at(path: Path | None, times: np.ndarray) -> tuple[np.ndarray, dict[str, str]]:
    """Returns the player's boxes at some times of a video.

    Args:
        path: JSON file with `boxes` (one of four numbers per frame, or null where it is unknown) and `fps`; None
            without a file.
        times: Times in seconds.

    Returns:
        (boxes, remarks): float32 (times, 4), ymin, xmin, ymax, xmax in shares of the frame, NaN where unknown; and
        the kind of remark -> sentence when the file holds no boxes.
    """
    unknown = np.full((len(times), 4), np.nan, np.float32)
    if path is None:
        return unknown, {}
    try:
        boxes, fps = _read(path)
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        why = str(error) if isinstance(error, InputError) else f"{path} holds no `boxes` (frames x 4, 0 to 1) and `fps`"
        return unknown, {"unknown boxes": f"the player's boxes are unknown: {why}"}
    index = np.floor(times * fps + 1e-6).astype(np.int64)
    shown = boxes[np.minimum(index, len(boxes) - 1)].astype(np.float32)
    return np.where((index < len(boxes))[:, None], shown, unknown), {}


def _read(path: Path) -> tuple[np.ndarray, float]:
    """Returns boxes, float64 (frames, 4), and their rate per second; raises an error for anything else."""
    content = read_json(path)
    boxes = np.asarray([[np.nan] * 4 if box is None else box for box in content["boxes"]], np.float64)
    fps = float(content["fps"])
    if boxes.ndim != 2 or boxes.shape[1] != 4 or not 0 < fps <= _MOST_PER_SECOND:
        raise ValueError(f"boxes of shape {boxes.shape}, fps={fps}")
    ymin, xmin, ymax, xmax = boxes.T
    # A comparison with NaN, an unknown box, is False.
    if ((boxes < 0) | (boxes > 1)).any() or ((ymin > ymax) | (xmin > xmax)).any():
        raise ValueError("boxes beyond the frame")
    return boxes, fps
