"""Shows several solos side by side in one video and sums their sounds; the true sources are known."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from data_pipeline.media import reader
from data_pipeline.media.video_writer import write_video
from data_pipeline.rendered.drawing.animation import FPS, FRAME_PX
from data_pipeline.rendered.sound.synthesise import RATE_HZ

LEVEL = 0.1  # root mean square of each solo

Waves = Float[np.ndarray, "player samples"]


def true_sounds(solos: Sequence[Path], *, seconds: float) -> Waves:
    """Returns the sounds of a scene at one level, cut to the shortest of them.

    Args:
        solos: Video files, from left to right.
        seconds: Largest length.
    """
    waves = [reader.read_audio(file, RATE_HZ)[: round(seconds * RATE_HZ)] for file in solos]
    samples = min(map(len, waves))
    together = np.stack([wave[:samples] for wave in waves])
    levels = np.sqrt(np.mean(np.square(together), axis=1, keepdims=True))
    return together * (LEVEL / np.maximum(levels, 1e-9))


def write_scene(path: Path, solos: Sequence[Path], sounds: Waves) -> None:
    """Writes the video.

    Args:
        path: File to write.
        solos: Video files that are shown, from left to right.
        sounds: Their sounds at `RATE_HZ`.
    """
    write_video(path, _side_by_side(solos, sounds.shape[1] / RATE_HZ), sounds.sum(axis=0), fps=FPS, rate_hz=RATE_HZ)


def _side_by_side(solos: Sequence[Path], seconds: float) -> Iterator[np.ndarray]:
    times = np.arange(0, seconds, 1 / FPS)
    videos = [reader.read_frames(file, times, FRAME_PX) for file in solos]
    return (np.concatenate(pictures, axis=1) for pictures in zip(*videos, strict=True))
