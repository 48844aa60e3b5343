"""Writes frames and audio as an ordinary `.mp4` (H.264 and AAC) while they are produced."""

import pathlib
from collections.abc import Iterable
from fractions import Fraction
from types import TracebackType

import av
import numpy as np
from av.video.reformatter import VideoReformatter

# The sample rates of AAC.
AAC_RATES_HZ = (7350, 8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
_LAYOUTS = {1: "mono", 2: "stereo"}


class VideoWriter:
    """Writes one video; use it in a `with` block.

    Args:
        path: File to write; its name needs no `.mp4`.
        fps: Frames per second.
        rate_hz: Sample rate, one of `AAC_RATES_HZ`.
        channels: 1 or 2.
        preset: Speed of the encoder; faster ones make larger files.
    """

    def __init__(self, path: pathlib.Path, *, fps: int, rate_hz: int, channels: int, preset: str = "veryfast") -> None:
        self._fps, self._rate_hz, self._layout = fps, rate_hz, _LAYOUTS[channels]
        self._container = av.open(str(path.absolute()), "w", format="mp4", options={"movflags": "+faststart"})
        # One key frame per second keeps seeking by timestamp cheap; one thread keeps the file reproducible.
        options = {"crf": "23", "preset": preset, "g": str(fps), "bf": "0"}
        self._video = self._container.add_stream("libx264", rate=fps, options=options)
        self._video.pix_fmt = "yuv420p"
        self._video.codec_context.thread_count = 1
        self._audio = self._container.add_stream("aac", rate=rate_hz, options={"aac_coder": "fast"})
        self._audio.layout = self._layout
        self._audio.bit_rate = 128_000
        self._pictures = self._samples = 0

    def show(self, picture: np.ndarray) -> None:
        """Adds the next frame.

        Args:
            picture: uint8 frame of one size with even sides: (height, width, 3) RGB, or the planes of YUV 4:2:0 below
                each other, (3 / 2 * height, width).
        """
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24" if picture.ndim == 3 else "yuv420p")
        if not self._pictures:
            self._video.height, self._video.width = frame.height, frame.width
        frame.pts, frame.time_base = self._pictures, Fraction(1, self._fps)
        self._container.mux(self._video.encode(frame))
        self._pictures += 1

    def play(self, sound: np.ndarray) -> None:
        """Adds the next samples, float32 (channels, samples), full scale 1.0."""
        if not sound.size:
            return
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound), format="fltp", layout=self._layout)
        frame.sample_rate, frame.pts, frame.time_base = self._rate_hz, self._samples, Fraction(1, self._rate_hz)
        self._container.mux(self._audio.encode(frame))
        self._samples += sound.shape[1]

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finishes the video; after an error it stays incomplete."""
        if kind is None:
            self._container.mux(self._video.encode(None))
            self._container.mux(self._audio.encode(None))
        self._container.close()


class Planes:
    """Converts RGB images to the planes of YUV 4:2:0; keeps the conversion tables."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        """Converts uint8 (height, width, 3) with even sides to uint8 (3 / 2 * height, width)."""
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        return self._reformatter.reformat(frame, format="yuv420p").to_ndarray()


def write_video(
    path: pathlib.Path, pictures: Iterable[np.ndarray], sound: np.ndarray, *, fps: int, rate_hz: int
) -> None:
    """Encodes a video.

    Args:
        path: File to write; its name needs no `.mp4`.
        pictures: uint8 frames (height, width, 3) of one size with even sides.
        sound: (samples,) float32 mono in -1 to 1.
        fps: Frames per second.
        rate_hz: Sample rate.
    """
    chunk, count = rate_hz // fps, 0
    with VideoWriter(path, fps=fps, rate_hz=rate_hz, channels=1) as video:
        for count, picture in enumerate(pictures, start=1):
            video.show(picture)
            video.play(sound[np.newaxis, (count - 1) * chunk : count * chunk])
        video.play(sound[np.newaxis, count * chunk :])
