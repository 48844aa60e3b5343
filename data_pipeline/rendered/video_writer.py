"""Writes pictures and sound as an ordinary `.mp4` (H.264 and AAC), the kind of file that users have."""

import pathlib
from collections.abc import Iterable

import numpy as np

from data_pipeline.film_writer import FilmWriter


def write_video(
    path: pathlib.Path, pictures: Iterable[np.ndarray], sound: np.ndarray, *, fps: int, rate_hz: int
) -> None:
    """Encodes a film.

    Args:
        path: file to write; its name needs no `.mp4`.
        pictures: (height, width, 3) uint8 pictures of one size with even sides.
        sound: (samples,) float32 mono in -1 to 1.
        fps: pictures a second.
        rate_hz: samples a second.
    """
    chunk, count = rate_hz // fps, 0
    with FilmWriter(path, fps=fps, rate_hz=rate_hz, channels=1) as film:
        for count, picture in enumerate(pictures, start=1):
            film.show(picture)
            film.play(sound[np.newaxis, (count - 1) * chunk : count * chunk])
        film.play(sound[np.newaxis, count * chunk :])
