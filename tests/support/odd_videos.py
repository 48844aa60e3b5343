"""Writes videos in unusual formats, each of which was a public bug report of another program."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

RATE_HZ = 8000
FPS = 10


def tone(seconds: float = 3.0, *, hz: float = 440.0, rate_hz: int = RATE_HZ, level: float = 0.5) -> np.ndarray:
    """Returns a sine, float64 (samples,)."""
    return level * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate_hz)) / rate_hz)


def halves(height: int = 48, width: int = 64) -> np.ndarray:
    """Returns an image whose left half is red and whose right half is blue, uint8 (height, width, 3)."""
    image = np.zeros((height, width, 3), np.uint8)
    image[:, : width // 2] = (200, 30, 30)
    image[:, width // 2 :] = (30, 30, 200)
    return image


def write(
    path: Path,
    *,
    images: Sequence[np.ndarray] | None = None,
    sound: np.ndarray | None = None,
    video: tuple[str, str] = ("libx264", "yuv420p"),
    audio: tuple[str, str] = ("pcm_s16le", "s16"),
    layout: str = "mono",
    rate_hz: int = RATE_HZ,
    video_options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    video_settings: dict[str, Any] | None = None,
    image_format: str = "rgb24",
    repeat: int = 30,
) -> Path:
    """Writes a video with full control over codecs and formats.

    Args:
        path: File to write.
        images: Frames in `image_format`; by default `halves` 30 times. An empty sequence writes no video stream.
        sound: (channels, samples) in the sample format's own numbers, or a mono tone by default.
        video: Video codec and pixel format.
        audio: Audio codec and sample format.
        layout: Channel layout.
        rate_hz: Sample rate.
        video_options: Options of the video encoder.
        container_options: Options of the muxer.
        video_settings: Attributes of the video encoder's context.
        image_format: Pixel format of `images`.
        repeat: Number of the default images.
    """
    images = [halves()] * repeat if images is None else images
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", options=container_options or {}) as container:
        picture = None
        if len(images):
            picture = container.add_stream(video[0], rate=FPS, options=video_options or {})
            first = av.VideoFrame.from_ndarray(images[0], format=image_format)
            picture.width, picture.height, picture.pix_fmt = first.width, first.height, video[1]
            for name, value in (video_settings or {}).items():
                setattr(picture.codec_context, name, value)
        speaker = container.add_stream(audio[0], rate=rate_hz, layout=layout, format=audio[1])
        if picture is not None:
            for number, image in enumerate(images):
                frame = av.VideoFrame.from_ndarray(image, format=image_format)
                frame.pts, frame.time_base = number, Fraction(1, FPS)
                container.mux(picture.encode(frame))
            container.mux(picture.encode())
        if sound is None:
            sound = np.rint(32767 * tone(rate_hz=rate_hz)[None]).astype(np.int16)
        mux_sound(container, speaker, sound, layout=layout, sample_format=audio[1], rate_hz=rate_hz)
        container.mux(speaker.encode())
    return path


def mux_sound(
    container: Any, speaker: Any, sound: np.ndarray, *, layout: str, sample_format: str, rate_hz: int, first: int = 0
) -> None:
    """Encodes (channels, samples) block by block."""
    size = speaker.codec_context.frame_size or 1024
    for begin in range(0, sound.shape[1], size):
        block = sound[:, begin : begin + size]
        planar = sample_format.endswith("p")
        packed = block if planar else block.T.reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(packed), format=sample_format, layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate_hz, first + begin, Fraction(1, rate_hz)
        container.mux(speaker.encode(frame))
