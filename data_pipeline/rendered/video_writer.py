"""Writes pictures and sound as an ordinary `.mp4` (H.264 and AAC), the kind of file that users have."""

import pathlib
from collections.abc import Iterable
from fractions import Fraction

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer


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
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        # A key picture every second keeps seeking by timestamp cheap; one thread keeps the file reproducible.
        options = {"crf": "23", "preset": "veryfast", "g": str(fps), "bf": "0"}
        video = container.add_stream("libx264", rate=fps, options=options)
        video.pix_fmt = "yuv420p"
        video.codec_context.thread_count = 1
        audio = container.add_stream("aac", rate=rate_hz, options={"aac_coder": "fast"})
        audio.layout = "mono"
        audio.bit_rate = 128_000
        chunk = rate_hz // fps
        count = 0
        for count, picture in enumerate(pictures, start=1):
            if count == 1:
                video.height, video.width = picture.shape[:2]
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = count - 1, Fraction(1, fps)
            container.mux(video.encode(frame))
            first = (count - 1) * chunk
            _encode_sound(container, audio, sound[first : first + chunk], first=first, rate_hz=rate_hz)
        _encode_sound(container, audio, sound[count * chunk :], first=count * chunk, rate_hz=rate_hz)
        container.mux(video.encode(None))
        container.mux(audio.encode(None))


def _encode_sound(
    container: OutputContainer,
    stream: AudioStream,
    samples: np.ndarray,
    *,
    first: int,
    rate_hz: int,
) -> None:
    if samples.size == 0:
        return
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[None, :]), format="fltp", layout="mono")
    frame.sample_rate = rate_hz
    frame.pts, frame.time_base = first, Fraction(1, rate_hz)
    container.mux(stream.encode(frame))
