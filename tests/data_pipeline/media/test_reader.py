import itertools
import os
from pathlib import Path

import numpy as np
import pytest

from data_pipeline.media import reader, upright
from data_pipeline.media.downmix import channel_weights
from data_pipeline.media.reader import MediaError
from data_pipeline.media.video_writer import VideoWriter
from tests.support.tiny_videos import copy_streams


def strongest_hz(sound: np.ndarray, rate_hz: int) -> float:
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    return np.argmax(spectrum) * rate_hz / len(sound)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov", ".webm", ".avi"])
@pytest.mark.parametrize("rate_hz", [11025, 16000])
def test_sound_keeps_pitch_length_and_level(tmp_path, write_video, suffix, rate_hz):
    source_rate = 48000 if suffix == ".webm" else 44100
    path = write_video(tmp_path / f"a{suffix}", seconds=3, tone_hz=700, level=0.5, rate_hz=source_rate)
    sound = reader.read_audio(path, rate_hz)
    assert sound.dtype == np.float32
    # Lossy codecs add up to a frame of padding (1,024 samples at the source's rate) at the end.
    assert 3.0 <= len(sound) / rate_hz < 3.03
    middle = sound[rate_hz : 2 * rate_hz]
    assert strongest_hz(middle, rate_hz) == pytest.approx(700, abs=1)
    assert np.sqrt(2 * np.mean(middle**2)) == pytest.approx(0.5, abs=0.01)


def test_resampling_keeps_out_what_the_new_rate_cannot_hold(tmp_path, write_video):
    path = write_video(tmp_path / "a.mov", seconds=2, tone_hz=9000)
    assert np.abs(reader.read_audio(path, 11025)[2000:-2000]).max() < 1e-3


def test_channels_are_averaged(tmp_path, write_video):
    time = np.arange(88200) / 44100
    sound = np.stack([0.8 * np.sin(2 * np.pi * 300 * time), np.zeros_like(time)])
    path = write_video(tmp_path / "a.mov", sound=sound, seconds=2)
    expected = 0.4 * np.sin(2 * np.pi * 300 * np.arange(22050) / 11025)
    # 16-bit storage and the resampler's filter leave less than this.
    np.testing.assert_allclose(reader.read_audio(path, 11025)[500:-500], expected[500:-500], atol=1e-3)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("delay_s", [0.0, 0.5])
def test_sound_lies_on_the_timeline_of_the_pictures(tmp_path, write_video, suffix, delay_s):
    sound = np.zeros((2, 2 * 44100))
    sound[:, 44100 : 44100 + 60] = 0.9
    path = write_video(tmp_path / f"a{suffix}", sound=sound, seconds=2, sound_delay_s=delay_s)
    heard = np.abs(reader.read_audio(path, 11025))
    # The click lasts 1.4 ms; some containers round timestamps to milliseconds.
    assert np.argmax(heard) / 11025 == pytest.approx(1.0 + delay_s, abs=0.003)


def test_a_hole_in_the_sound_is_silence_and_not_a_shift(tmp_path, write_video, monkeypatch):
    sound = np.zeros((2, 3 * 44100))
    sound[:, 2 * 44100 : 2 * 44100 + 60] = 0.9
    path = write_video(tmp_path / "a.mov", sound=sound, seconds=3)
    decoded = reader.decoded

    def with_hole(container, stream, trace):
        yield from (frame for frame in decoded(container, stream, trace) if not 0.5 < frame.time < 1.0)

    monkeypatch.setattr(reader, "decoded", with_hole)
    heard = np.abs(reader.read_audio(path, 11025))
    assert np.argmax(heard) / 11025 == pytest.approx(2.0, abs=0.003)


def test_timestamps_choose_the_picture_not_a_counter(tmp_path, write_video):
    # A slow start and a fast end: a frame counter at the mean rate would be wrong nearly everywhere.
    times_ms = [0, 900, 1000, 1040, 1080, 1500, 1520, 1540, 2900, 2950]
    levels = np.arange(10) * 25 + 10
    pictures = [np.full((48, 64, 3), level, np.uint8) for level in levels]
    path = write_video(tmp_path / "a.mp4", pictures=pictures, times_ms=times_ms, with_sound=False)
    asked = np.array([0.0, 0.5, 0.899, 0.9, 1.01, 1.2, 1.53, 2.8, 2.9, 2.96, 9.0])
    shown = [round(picture.mean()) for picture in reader.read_frames(path, asked, 48)]
    expected = levels[np.searchsorted(np.array(times_ms) / 1000, asked + 1e-9, side="right") - 1]
    np.testing.assert_allclose(shown, expected, atol=4)  # lossy video; adjacent frames differ by 25


def test_times_before_the_first_picture_show_the_first(tmp_path, write_video):
    pictures = [np.full((48, 64, 3), level, np.uint8) for level in (50, 200)]
    path = write_video(tmp_path / "a.mkv", pictures=pictures, times_ms=[600, 1200], seconds=2)
    shown = [round(picture.mean()) for picture in reader.read_frames(path, [0.0, 0.7, 1.5], 48)]
    np.testing.assert_allclose(shown, [50, 50, 200], atol=4)


@pytest.mark.parametrize(("rotation", "red_corner"), [(0, "tl"), (90, "bl"), (180, "br"), (270, "tr"), (-90, "tr")])
def test_rotation_of_the_player_is_applied(tmp_path, write_video, rotation, red_corner):
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:24, :32] = (250, 0, 0)
    path = write_video(tmp_path / "a.mp4", pictures=[picture] * 5, rotation=rotation, seconds=0.5)
    (shown,) = reader.read_frames(path, [0.2], 24)
    assert shown.shape == ((24, 32, 3) if rotation in (0, 180) else (32, 24, 3))
    corners = {"tl": shown[4, 4], "tr": shown[4, -5], "bl": shown[-5, 4], "br": shown[-5, -5]}
    assert max(corners, key=lambda corner: corners[corner][0]) == red_corner


def test_mirrored_display_matrix_is_applied():
    picture = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    one = 1 << 16
    np.testing.assert_array_equal(upright._upright(picture, np.array([[-one, 0], [0, one]])), picture[:, ::-1])
    np.testing.assert_array_equal(upright._upright(picture, np.array([[0, one], [one, 0]])), picture.transpose(1, 0, 2))


def test_pictures_keep_their_aspect_and_are_uint8(tmp_path, write_video):
    path = write_video(tmp_path / "a.mp4", seconds=1)
    for side, shape in ((24, (24, 32, 3)), (96, (96, 128, 3))):
        picture = next(reader.read_frames(path, [0.0], side))
        assert picture.shape == shape
        assert picture.dtype == np.uint8


def test_times_that_go_back_are_refused(tmp_path, write_video):
    path = write_video(tmp_path / "a.mp4", seconds=1)
    with pytest.raises(ValueError, match="goes back at index 2"):
        list(reader.read_frames(path, [0.0, 0.5, 0.2], 24))


def test_probe_says_what_is_there(tmp_path, write_video):
    info = reader.probe(write_video(tmp_path / "a.mp4", seconds=2))
    assert info.duration_s == pytest.approx(2.0, abs=0.1)
    assert (info.has_video, info.has_audio, info.audio_rate_hz, info.picture_px) == (
        True,
        True,
        44100,
        (48, 64),
    )


def test_missing_streams_are_named(tmp_path, write_video):
    mute = write_video(tmp_path / "mute.mp4", seconds=1, with_sound=False)
    blind = write_video(tmp_path / "blind.mp4", seconds=1, with_pictures=False)
    with pytest.raises(MediaError, match=r"mute\.mp4 has no sound") as caught:
        reader.read_audio(mute, 11025)
    assert caught.value.reason == "no sound"
    with pytest.raises(MediaError, match=r"blind\.mp4 has no picture"):
        next(reader.read_frames(blind, [0.0], 24))


def test_file_cut_before_its_header_is_refused(tmp_path, write_video):
    path = write_video(tmp_path / "a.mp4", seconds=2)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(MediaError, match="not a video or its header is cut off"):
        reader.probe(path)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_file_cut_in_the_middle_is_truncated(tmp_path, write_video, name):
    path = write_video(tmp_path / name, seconds=8, header_first=True)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(MediaError, match=r"is truncated: \d+\.\d s of 8\.\d s of its audio") as caught:
        reader.read_audio(path, 11025)
    assert caught.value.reason == "truncated"
    with pytest.raises(MediaError, match="of its video can be decoded"):
        list(reader.read_frames(path, np.arange(0, 8, 0.5), 24))


def test_damage_inside_does_not_end_the_sound(tmp_path, write_video):
    path = write_video(tmp_path / "a.mp4", seconds=4, header_first=True)
    data = bytearray(path.read_bytes())
    middle = len(data) * 6 // 10
    data[middle : middle + 200] = b"\xff" * 200
    path.write_bytes(data)
    assert len(reader.read_audio(path, 11025)) / 11025 == pytest.approx(4.0, abs=0.1)


@pytest.mark.parametrize("content", [b"", b"not a video at all" * 100])
def test_garbage_is_refused(tmp_path, content):
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    with pytest.raises(MediaError, match=r"a\.mp4 is not a video"):
        reader.read_audio(path, 11025)


def test_a_list_of_other_files_is_no_video(tmp_path, write_video):
    write_video(tmp_path / "secret.mp4")
    path = tmp_path / "a.mp4"
    path.write_text("ffconcat version 1.0\nfile secret.mp4\n", encoding="utf-8")
    with pytest.raises(MediaError, match=r"a\.mp4 is not a video"):
        reader.probe(path)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(MediaError, match=r"gone\.mp4 is not there"):
        reader.probe(tmp_path / "gone.mp4")


def test_channels_come_as_they_were_recorded(tmp_path, write_video):
    sound = np.random.default_rng(0).normal(0, 0.1, (6, 2 * 44_100)).clip(-1, 1)
    path = write_video(tmp_path / "a.mov", seconds=2.0, sound=sound)
    trace = reader.Trace()
    rates, blocks = zip(*reader.stream_channels(path, trace), strict=True)
    assert set(rates) == {44_100} and trace.rate_hz == 44_100
    np.testing.assert_allclose(np.concatenate(blocks, axis=1), sound, atol=2**-15)
    assert trace.end_s == trace.stated_end_s == 2.0
    with pytest.raises(reader.MediaError, match="has no sound"):
        list(reader.stream_channels(write_video(tmp_path / "b.mp4", seconds=1.0, with_sound=False)))


def test_what_was_cut_off_is_told_where_it_need_not_be_whole(tmp_path, write_video):
    path = write_video(tmp_path / "a.mp4", seconds=8.0, header_first=True)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    trace = reader.Trace()
    blocks = [block for _, block in reader.stream_channels(path, trace)]
    assert sum(block.shape[1] for block in blocks) / 44_100 == trace.end_s < 0.9 * trace.stated_end_s
    shown = list(reader.read_frames(path, np.arange(0, 8, 0.5), 24, whole=False))
    assert len(shown) == 16 and np.array_equal(shown[-1], shown[-2])


def test_times_may_have_no_end(tmp_path, write_video):
    path = write_video(tmp_path / "a.mp4", seconds=1.0)
    endless = reader.read_frames(path, (number / 5 for number in itertools.count()), 24)
    assert len([next(endless) for _ in range(20)]) == 20


def test_eight_planes_of_sound_are_read_as_they_were_recorded(tmp_path, write_video):
    time = np.arange(44_100) / 44_100
    tones = np.array([200, 300, 400, 60, 600, 700, 800, 900])  # the fourth is the bass channel
    path = write_video(tmp_path / "a.mkv", seconds=1.0, sound=0.2 * np.sin(2 * np.pi * tones[:, None] * time))
    # The encoder writes planar audio; a library that miscounts the planes crashes the process.
    trace = reader.Trace()
    heard = np.concatenate([block for _, block in reader.stream_channels(path, trace)], axis=1)[:, :44_100]
    assert heard.shape == (8, 44_100)
    assert [strongest_hz(channel, 44_100) for channel in heard] == pytest.approx(tones.tolist(), abs=2)
    assert trace.layout == ("FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR")
    mono = reader.read_audio(path, 44_100)[:44_100]
    levels = [2 * np.abs(np.mean(mono * np.exp(-2j * np.pi * hz * time))) for hz in tones]
    np.testing.assert_allclose(levels, 0.2 * channel_weights(trace.layout), atol=1e-3)


@pytest.mark.parametrize(("name", "known"), [("audio", b"A_AAC"), ("video", b"V_MPEG4/ISO/AVC")])
def test_a_stream_of_an_unknown_codec_is_one_sentence(tmp_path, write_video, name, known):
    path = write_video(tmp_path / "a.mkv", seconds=1.0)
    path.write_bytes(path.read_bytes().replace(known, known[:-3] + b"XYZ"))
    with pytest.raises(MediaError, match=rf"a\.mkv has {name} of a codec that cannot be decoded here; re-encode it"):
        reader.probe(path)


def test_a_stream_of_an_unknown_codec_is_passed_over_where_there_is_another(tmp_path, write_video):
    first = write_video(tmp_path / "1.mkv", seconds=1.0, tone_hz=300)
    second = write_video(tmp_path / "2.mkv", seconds=1.0, tone_hz=700)
    path = copy_streams(tmp_path / "a.mkv", (first, "video"), (first, "audio"), (second, "audio"))
    assert reader.probe(path).streams == (1, 2)
    assert strongest_hz(reader.read_audio(path, 11025), 11025) == pytest.approx(300, abs=3)
    path.write_bytes(path.read_bytes().replace(b"A_AAC", b"A_XYZ", 1))
    assert strongest_hz(reader.read_audio(path, 11025), 11025) == pytest.approx(700, abs=3)


def test_a_relative_name_may_hold_a_colon(tmp_path, write_video, monkeypatch):
    write_video(tmp_path / "2024-01-01T12:30.mkv", seconds=1.0)
    monkeypatch.chdir(tmp_path)
    assert reader.probe(Path("2024-01-01T12:30.mkv")).has_audio
    with VideoWriter(Path("12:30.mp4"), fps=10, rate_hz=8000, channels=1) as film:
        film.show(np.zeros((32, 32, 3), np.uint8))
        film.play(np.zeros((1, 800), np.float32))
    assert "12:30.mp4" in os.listdir()


def test_what_is_cut_because_timestamps_start_again_is_counted_once(tmp_path, write_video):
    part = write_video(tmp_path / "a.ts", seconds=1.0)
    path = tmp_path / "twice.ts"
    path.write_bytes(2 * part.read_bytes())
    trace = reader.Trace()
    heard = sum(block.shape[1] for _, block in reader.stream_channels(path, trace))
    # A block of the encoder lasts 26 ms.
    assert heard / 44_100 == pytest.approx(1.0, abs=0.06) and trace.cut_s == pytest.approx(1.0, abs=0.06)


@pytest.mark.parametrize(("suffix", "stated"), [(".mkv", True), (".mp4", True), (".ts", False)])
def test_a_sound_is_stated_where_the_file_says_it_of_the_sound(tmp_path, write_video, suffix, stated):
    path = write_video(tmp_path / f"a{suffix}", seconds=2.0, sound=np.zeros((2, 44_100)))
    trace = reader.Trace()
    list(reader.stream_channels(path, trace))
    assert trace.stated_end_s == (pytest.approx(1.0, abs=0.06) if stated else None)


def test_a_trace_says_whether_the_pictures_ended(tmp_path, write_video):
    path = write_video(tmp_path / "a.mp4", seconds=2.0)
    for times, ended in (([0.0, 1.0], False), ([0.0, 3.0], True)):
        trace = reader.Trace()
        list(reader.read_frames(path, times, 24, trace=trace))
        assert trace.ended is ended
