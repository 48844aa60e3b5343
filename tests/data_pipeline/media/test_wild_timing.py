"""Flashes and bursts stay together in unusual files; docs/CASES.md names the public reports."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from data_pipeline.media import reader
from data_pipeline.media.reader import MediaError
from tests.support.odd_videos import write
from tests.support.tiny_videos import join

FLASH_S = 2.0
AAC, OPUS, MP3 = ("aac", "fltp"), ("libopus", "flt"), ("libmp3lame", "fltp")
B_FRAMES = {"bf": "3", "g": "12", "x264-params": "open-gop=1"}


def flashes(frames: int = 30, at_s: float = FLASH_S) -> list[np.ndarray]:
    """Returns dark frames of which one is bright."""
    return [np.full((48, 64, 3), 250 if number == round(10 * at_s) else 5, np.uint8) for number in range(frames)]


def burst(rate_hz: int, seconds: float = 3.0, at_s: float = FLASH_S) -> np.ndarray:
    """Returns silence with a tone of 50 ms, float32 (1, samples)."""
    sound = np.zeros((1, round(seconds * rate_hz)), np.float32)
    first, count = round(at_s * rate_hz), round(0.05 * rate_hz)
    sound[0, first : first + count] = 0.9 * np.sin(2 * np.pi * 1000 * np.arange(count) / rate_hz)
    return sound


def with_burst(path: Path, audio: tuple[str, str] = AAC, **options: Any) -> Path:
    """Writes a video whose flash and burst begin at 2 s."""
    rate_hz = 48_000 if audio is OPUS else 44_100
    sound = burst(rate_hz)
    if audio[1].startswith("s16"):
        sound = np.rint(32_767 * sound).astype(np.int16)
    return write(path, **{"images": flashes(), "audio": audio, "rate_hz": rate_hz, "sound": sound} | options)


def found(path: Path) -> tuple[float, float]:
    """Returns the times at which the burst and the flash begin, in seconds."""
    heard = np.flatnonzero(np.abs(reader.read_audio(path, 8000)) > 0.3)[0] / 8000
    times = np.arange(0, 3, 0.005)
    bright = [frame.mean() > 120 for frame in reader.read_frames(path, times, 48)]
    return heard, times[bright.index(True)]


def remuxed(path: Path, source: Path, change: Callable[[Any], bool], **options: str) -> Path:
    """Copies the packets that `change` changes and keeps."""
    with av.open(str(source)) as read, av.open(str(path), "w", options=options) as written:
        streams = {stream.index: written.add_stream_from_template(stream) for stream in read.streams}
        for packet in read.demux():
            if packet.dts is not None and change(packet):
                packet.stream = streams[packet.stream.index]
                written.mux(packet)
    return path


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("priming.mp4", {}),
        ("mp3.mp4", {"audio": MP3}),
        ("mp3.mkv", {"audio": MP3}),
        ("opus.webm", {"audio": OPUS, "video": ("libvpx", "yuv420p")}),
        ("opus.mp4", {"audio": OPUS}),
        ("flac.mkv", {"audio": ("flac", "s16")}),
        ("alac.mov", {"audio": ("alac", "s16p")}),
        ("b_frames.mp4", {"video_options": B_FRAMES}),
        ("no_edit_list.mp4", {"video_options": {"bf": "3"}, "container_options": {"use_editlist": "0"}}),
        ("fragments.mp4", {"video_options": B_FRAMES, "container_options": {"movflags": "frag_keyframe+empty_moov"}}),
    ],
)
def test_sound_and_frames_stay_together(tmp_path: Path, name: str, options: dict[str, Any]) -> None:
    heard_s, seen_s = found(with_burst(tmp_path / name, **options))
    assert heard_s == pytest.approx(seen_s, abs=0.006)
    assert heard_s == pytest.approx(FLASH_S, abs=0.01 if "edit" not in name and "fragments" not in name else 0.25)


def test_a_start_that_was_trimmed_by_an_edit_list_is_not_shown(tmp_path: Path) -> None:
    source = with_burst(tmp_path / "source.mp4", video_options={"bf": "2", "g": "10"})

    def earlier(packet: Any) -> bool:
        shift = round(0.55 / packet.time_base)
        packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
        return True

    path = remuxed(tmp_path / "trimmed.mp4", source, earlier, avoid_negative_ts="disabled")
    heard_s, seen_s = found(path)
    assert heard_s == pytest.approx(FLASH_S - 0.55, abs=0.003)
    assert seen_s == pytest.approx(FLASH_S - 0.55, abs=0.101)  # FFmpeg cuts whole frames
    assert len(reader.read_audio(path, 8000)) / 8000 == pytest.approx(3.0 - 0.55, abs=0.03)


def test_a_recording_that_begins_within_a_group_of_frames(tmp_path: Path) -> None:
    source = with_burst(tmp_path / "source.ts", video_options={"bf": "2", "g": "10"})
    with av.open(str(source)) as container:
        first_s = container.start_time / av.time_base + 1.25
    path = remuxed(tmp_path / "joined.ts", source, lambda packet: packet.dts * packet.time_base >= first_s)
    heard_s, _ = found(path)
    shown = [frame.mean() for frame in reader.read_frames(path, [heard_s - 0.05, heard_s + 0.05, heard_s + 0.15], 48)]
    assert shown[1] > 120 > shown[2]  # the frames before the first key frame cannot be decoded


def test_packets_with_junk_at_the_end_cost_nothing(tmp_path: Path) -> None:
    source = with_burst(tmp_path / "source.mp4", MP3)
    whole = reader.read_audio(source, 8000)
    counted = 0
    path = tmp_path / "junk.mp4"
    with av.open(str(source)) as read, av.open(str(path), "w") as written:
        streams = {stream.index: written.add_stream_from_template(stream) for stream in read.streams}
        for packet in read.demux():
            if packet.dts is None:
                continue
            stream, sound = streams[packet.stream.index], packet.stream.type == "audio"
            counted += sound
            if sound and counted % 7 == 0:
                junk = av.Packet(bytes(packet) + b"\x00" * 9)
                junk.pts, junk.dts, junk.duration, junk.time_base = (
                    packet.pts,
                    packet.dts,
                    packet.duration,
                    packet.time_base,
                )
                packet = junk
            packet.stream = stream
            written.mux(packet)
    np.testing.assert_allclose(reader.read_audio(path, 8000)[: len(whole)], whole, atol=1e-3)


def test_a_sample_rate_that_changes_is_one_sentence_and_a_layout_that_changes_is_used(tmp_path: Path) -> None:
    def part(name: str, rate_hz: int, layout: str) -> Path:
        sound = np.repeat(burst(rate_hz, 1.5, 0.5), 2 if layout == "stereo" else 1, axis=0)
        images = flashes(15, 0.5)
        return write(tmp_path / name, images=images, audio=AAC, rate_hz=rate_hz, layout=layout, sound=sound)

    first = part("a.ts", 44_100, "mono")
    with pytest.raises(MediaError, match=r"changes its sample rate from 44100 to 48000 Hz at 1\.\d s; re-encode it"):
        reader.read_audio(join(tmp_path / "rates.ts", first, part("b.ts", 48_000, "mono")), 8000)
    heard = np.abs(reader.read_audio(join(tmp_path / "layouts.ts", first, part("c.ts", 44_100, "stereo")), 8000)) > 0.3
    starts = np.flatnonzero(heard)
    assert starts[0] / 8000 == pytest.approx(0.5, abs=0.05)
    assert starts[starts > 10_000][0] / 8000 == pytest.approx(2.0, abs=0.1)
