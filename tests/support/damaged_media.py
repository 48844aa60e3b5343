"""Writes one scene of flashes and bursts into many containers; its timestamps can be changed before."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

SECONDS = 6
FPS = 25
BURST_SECONDS = 0.02
FIRST_BURST_S = 0.52  # One burst and one flash in each second.
FLASH_PICTURES = 5
TONE_HZ = 1000.0
# Container -> format of the library, codec of the pictures, codec of the sound.
CONTAINERS = {
    "mp4": ("mp4", "libx264", "aac"),
    "mov": ("mov", "libx264", "aac"),
    "mkv": ("matroska", "libx264", "aac"),
    "webm": ("webm", "libvpx", "libopus"),
    "avi": ("avi", "mpeg4", "pcm_s16le"),
    "ts": ("mpegts", "libx264", "mp2"),
    "mpg": ("mpeg", "mpeg2video", "mp2"),
    "flv": ("flv", "flv", "libmp3lame"),
    "wmv": ("asf", "wmv2", "wmav2"),
}
# A change of a packet: (is it sound, its number in its stream, its time in seconds, packet) -> whether it is written.
Change = Callable[[bool, int, float, av.Packet], bool]


def move(packet: av.Packet, seconds: float) -> None:
    """Moves all timestamps of a packet."""
    ticks = round(seconds / packet.time_base)
    packet.pts, packet.dts = packet.pts + ticks, packet.dts + ticks


def untouched(is_sound: bool, number: int, time_s: float, packet: av.Packet) -> bool:
    return True


def starts_at_60_s(is_sound: bool, number: int, time_s: float, packet: av.Packet) -> bool:
    move(packet, 60.0)
    return True


def wrong_sound_timestamp(is_sound: bool, number: int, time_s: float, packet: av.Packet) -> bool:
    if is_sound and number == 60:
        packet.pts += round(20.0 / packet.time_base)
    return True


def wrong_picture_timestamp(is_sound: bool, number: int, time_s: float, packet: av.Packet) -> bool:
    if not is_sound and number in (60, 110):
        packet.pts += round(300.0 / packet.time_base)
    return True


def missing_sound(is_sound: bool, number: int, time_s: float, packet: av.Packet) -> bool:
    return not is_sound or not 2.6 <= time_s < 3.3


def late_sound(is_sound: bool, number: int, time_s: float, packet: av.Packet) -> bool:
    if is_sound:
        move(packet, 0.7)
    return True


def short_sound(is_sound: bool, number: int, time_s: float, packet: av.Packet) -> bool:
    return not is_sound or time_s < 4.3


def _packets(container: av.container.OutputContainer, suffix: str) -> list[tuple[bool, av.Packet]]:
    """Encodes the scene; in the order of the streams."""
    _, video_codec, audio_codec = CONTAINERS[suffix]
    rate_hz = 48_000 if audio_codec == "libopus" else 44_100
    pictures = container.add_stream(video_codec, rate=FPS)
    pictures.height, pictures.width, pictures.pix_fmt = 48, 64, "yuv420p"
    pictures.codec_context.thread_count = 1
    sound = container.add_stream(audio_codec, rate=rate_hz, layout="mono")
    sound.bit_rate = 128_000
    packets = []
    for number in range(SECONDS * FPS):
        light = 0 <= number % FPS - round(FIRST_BURST_S * FPS) < FLASH_PICTURES
        frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 230 if light else 20, np.uint8), format="rgb24")
        frame.pts, frame.time_base = number, Fraction(1, FPS)
        packets += pictures.encode(frame)
    packets += pictures.encode()
    wave = np.zeros(SECONDS * rate_hz, np.float32)
    for second in range(SECONDS):
        first = round((second + FIRST_BURST_S) * rate_hz)
        wave[first : first + round(BURST_SECONDS * rate_hz)] = burst(rate_hz)
    size = sound.codec_context.frame_size or 1024
    for first in range(0, len(wave), size):
        block = wave[first : first + size]
        if sound.codec_context.frame_size:
            block = np.pad(block, (0, size - len(block)))
        frame = av.AudioFrame.from_ndarray(block[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate_hz, first, Fraction(1, rate_hz)
        packets += sound.encode(frame)
    packets += sound.encode()
    return [(packet.stream is sound, packet) for packet in packets]


def burst(rate_hz: int) -> np.ndarray:
    """Returns the samples of one burst."""
    time = np.arange(round(BURST_SECONDS * rate_hz)) / rate_hz
    return (0.8 * np.sin(2 * np.pi * TONE_HZ * time)).astype(np.float32)


def write_scene(path: Path, change: Change = untouched) -> Path:
    """Writes the scene into the container of the path's suffix."""
    suffix = path.suffix[1:]
    with av.open(str(path), "w", format=CONTAINERS[suffix][0]) as container:
        numbers, kept = {False: 0, True: 0}, []
        for is_sound, packet in _packets(container, suffix):
            time_s = float(packet.pts * packet.time_base)
            packet.dts = packet.pts if packet.dts is None else packet.dts
            if change(is_sound, numbers[is_sound], time_s, packet):
                kept.append(packet)
            numbers[is_sound] += 1
        for packet in sorted(kept, key=lambda packet: packet.dts * packet.time_base):
            container.mux(packet)
    return path


def burst_times_s(sound: np.ndarray, rate_hz: int) -> list[float]:
    """Returns the times at which bursts begin in a sound (samples,)."""
    pattern = burst(rate_hz)
    alike = np.abs(np.convolve(sound, pattern[::-1], "valid"))
    times = []
    while alike.size and alike.max() > 0.5 * np.sum(pattern**2):
        best = int(np.argmax(alike))
        times.append(best / rate_hz)
        alike[max(0, best - rate_hz // 4) : best + rate_hz // 4] = 0.0
    return sorted(times)
