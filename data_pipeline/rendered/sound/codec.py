"""Encodes a sound at a low bit rate and decodes it, without delay."""

import dataclasses
import io
from typing import cast

import av
import numpy as np
import soxr


@dataclasses.dataclass(frozen=True)
class Codec:
    """A lossy encoding.

    Attributes:
        name: Key of `CODECS`.
        kilobits_per_second: Bit rate.
        rate_hz: Sample rate of the encoded sound.
    """

    name: str
    kilobits_per_second: int
    rate_hz: int


# Encoder, container and sample format. The containers tell how many samples of padding an encoder has added.
CODECS: dict[str, tuple[str, str, str]] = {
    "aac": ("aac", "mp4", "fltp"),
    "mp3": ("libmp3lame", "mp3", "fltp"),
    "opus": ("libopus", "ogg", "flt"),
}


def has_codec(name: str) -> bool:
    """Returns whether the FFmpeg libraries of PyAV can encode with a codec."""
    return CODECS[name][0] in av.codecs_available


def encode_and_decode(sound: np.ndarray, codec: Codec, *, rate_hz: int) -> np.ndarray:
    """Returns a sound as it comes back from an encoder.

    Args:
        sound: (samples,) float32 mono in -1 to 1.
        codec: Codec, bit rate and sample rate.
        rate_hz: Sample rate of the sound.

    Returns:
        (samples,) float32 of the same length, aligned with `sound`.
    """
    encoder, container, sample_format = CODECS[codec.name]
    before = sound if codec.rate_hz == rate_hz else soxr.resample(sound, rate_hz, codec.rate_hz)
    stream = io.BytesIO()
    with av.open(stream, "w", format=container) as file:
        track = cast(av.AudioStream, file.add_stream(encoder, rate=codec.rate_hz, layout="mono"))
        track.codec_context.thread_count = 1  # keeps the result reproducible
        track.bit_rate = 1000 * codec.kilobits_per_second
        frame = av.AudioFrame.from_ndarray(before[None].astype(np.float32), format=sample_format, layout="mono")
        frame.sample_rate = codec.rate_hz
        frame.pts = 0
        for packets in (track.encode(frame), track.encode(None)):
            for packet in packets:
                file.mux(packet)
    stream.seek(0)
    with av.open(stream, "r") as file:
        frames = list(file.decode(audio=0))
    decoded_hz = frames[0].sample_rate
    after = np.concatenate([_first_channel(frame) for frame in frames])
    if decoded_hz != rate_hz:
        after = soxr.resample(after, decoded_hz, rate_hz)
    return np.pad(after[: sound.size], (0, max(0, sound.size - after.size))).astype(np.float32)


def _first_channel(frame: av.AudioFrame) -> np.ndarray:
    samples = frame.to_ndarray()
    first = samples[0] if frame.format.is_planar else samples.reshape(-1, frame.layout.nb_channels)[:, 0]
    return first.astype(np.float32) / (1 if frame.format.name.startswith("flt") else 2 ** (8 * first.itemsize - 1))
