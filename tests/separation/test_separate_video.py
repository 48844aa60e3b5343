"""Tests of a complete separation from the video file to the results, with an oracle instead of the networks."""

import errno
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from data_pipeline.command import InputError, guarded
from data_pipeline.media import reader
from data_pipeline.media.reader import TrackChoice
from mpnet_jax.separation.stems import RESIDUAL, Stems, stem_path
from mpnet_jax.separation.synthesis import Piece
from tests.data_pipeline.test_hostile_folder import cut_off
from tests.separation.conftest import duet, separate_video
from tests.support import damaged_media
from tests.support.damaged_media import write_scene
from tests.support.report_structure import read
from tests.support.tiny_videos import copy_streams, join, write_video

QUICK = dict(sounds=2, videos=False)


def stems(out, names=("sound1.wav", "sound2.wav", "residual.wav")):
    return {name.partition(".")[0]: soundfile.read(out / name, always_2d=True)[0].T for name in names}


@pytest.mark.parametrize(("rate_hz", "channels"), [(8000, 1), (44_100, 2), (48_000, 6)])
def test_stems_equal_the_truth(tmp_path, model, oracle, rate_hz, channels):
    low, high = duet(rate_hz, 3.0, channels)
    video = write_video(tmp_path / "a.mov", seconds=3.0, rate_hz=rate_hz, sound=low + high)
    oracle(swaps=True)
    summary = separate_video(video, tmp_path / "out", model, QUICK)
    found = stems(tmp_path / "out")
    names = ("sound1", "sound2") if np.sum(low**2) > np.sum(high**2) else ("sound2", "sound1")
    for name, truth in zip(names, (low, high), strict=True):
        np.testing.assert_allclose(found[name], truth, atol=1e-4)
    recorded = np.concatenate([block for _, block in reader.stream_channels(video)], axis=1)
    np.testing.assert_allclose(sum(found.values()), recorded, atol=1e-6)
    assert summary["video"]["rate_hz"] == rate_hz and summary["video"]["channels"] == channels
    assert summary["files"] == {"format": "WAV", "subtype": "FLOAT", "gain": 1.0}


@pytest.mark.skipif(sys.platform != "linux", reason="other systems allow UTF-8 names only")
def test_a_folder_whose_name_the_locale_cannot_decode(tmp_path, model, oracle):
    low, high = duet(8000, 2.0, 1)
    folder = tmp_path / os.fsdecode(b"gr\xf6\xdfe")
    folder.mkdir()
    video = write_video(tmp_path / "a.mov", seconds=2.0, rate_hz=8000, sound=low + high).rename(folder / "a.mov")
    separate_video(video, folder / "out", model, QUICK)
    assert len(list((folder / "out").glob("*.wav"))) == 3


def test_files_of_the_folder(tmp_path, model, oracle):
    low, high = duet(44_100, 3.0)
    video = write_video(tmp_path / "a.mov", seconds=3.0, sound=low + 0.9 * high)
    summary = separate_video(video, tmp_path / "out", model, dict(sounds=2))
    names = {"sound1.wav", "sound2.wav", "residual.wav", "sound1.mp4", "sound2.mp4", "overview.mp4"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names | {"separation.json", "index.html"}
    written = json.loads((tmp_path / "out" / "separation.json").read_text())
    windows = written.pop("windows")
    assert written == json.loads(json.dumps(summary))
    assert [[sound["number"] for sound in window["sounds"]] for window in windows] == [[1, 2]] * len(windows)
    assert {(tuple(sound["place"]), sound["number"]) for window in windows for sound in window["sounds"]} == {
        ((round(3.5 / 6, 4), round(1.5 / 8, 4)), 1),
        ((round(3.5 / 6, 4), round(6.5 / 8, 4)), 2),
    }
    assert windows[-1]["end_s"] == pytest.approx(3.0, abs=0.01)
    page = read(tmp_path / "out" / "index.html")
    shown = {element["src"] for tag in ("audio", "video") for element in page.all(tag)}
    assert shown == names
    for name in ("sound1.mp4", "overview.mp4"):
        header = reader.probe(tmp_path / "out" / name)
        assert header.duration_s == pytest.approx(3.0, abs=0.15) and header.has_audio
    # The video of a sound has only this sound.
    alone = reader.read_audio(tmp_path / "out" / "sound1.mp4", 44_100)
    expected = reader.read_audio(write_video(tmp_path / "low.mov", seconds=3.0, sound=low), 44_100)
    count = min(len(alone), len(expected))
    assert np.corrcoef(alone[:count], expected[:count])[0, 1] > 0.99


def test_heat_maps_are_at_the_players_places(tmp_path, model, oracle):
    low, high = duet(44_100, 3.0)
    grey = [np.full((96, 128, 3), 60, np.uint8)] * 30
    video = write_video(tmp_path / "a.mov", seconds=3.0, sound=low + 0.9 * high, pictures=grey)
    separate_video(video, tmp_path / "out", model, dict(sounds=2))
    for name, column in (("sound1", 1.5 / 8), ("sound2", 6.5 / 8)):
        picture = next(reader.read_frames(tmp_path / "out" / f"{name}.mp4", [1.5], 96)).astype(float).sum(2)
        assert (picture.sum(0).argmax() + 0.5) / 128 == pytest.approx(column, abs=0.06)
        far = slice(0, 24) if column > 0.5 else slice(-24, None)
        np.testing.assert_allclose(picture[:, far], 180, atol=12)


def test_a_paused_sound_keeps_its_number_and_is_silent(tmp_path, model, oracle):
    low, high = duet(8000, 4.0, 1)
    video = write_video(tmp_path / "a.mov", seconds=4.0, rate_hz=8000, sound=low + 0.9 * high)
    oracle(heard=lambda window, player: player == 0 or not 8 <= window < 16)
    separate_video(video, tmp_path / "out", model, dict(videos=False))
    windows = json.loads((tmp_path / "out" / "separation.json").read_text())["windows"]
    numbers = [[sound["number"] for sound in window["sounds"]] for window in windows]
    assert numbers == [[1, 2] if not 8 <= place < 16 else [1] for place in range(len(windows))]
    found = stems(tmp_path / "out")
    step = 16 * 64
    paused = slice(9 * step + 127, 16 * step - 127)  # Half a window of the transform.
    assert not found["sound2"][:, paused].any()
    np.testing.assert_allclose(found["residual"][:, paused], 0.9 * high[:, paused], atol=1e-3)


def test_a_short_sound_is_added_to_the_residual(tmp_path, model, oracle):
    low, high = duet(8000, 4.0, 1)
    video = write_video(tmp_path / "a.mov", seconds=4.0, rate_hz=8000, sound=low + high)
    oracle(heard=lambda window, player: player == 0 or window in (9, 10, 14))
    summary = separate_video(video, tmp_path / "out", model, dict(videos=False))
    assert [sound["number"] for sound in summary["sounds"]] == [1]
    found = stems(tmp_path / "out", ("sound1.wav", "residual.wav"))
    np.testing.assert_allclose(found["residual"], high, atol=1e-4)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "sound1.wav", "residual.wav", "separation.json", "index.html"
    }  # fmt: skip


def test_flac_never_clips(tmp_path, model, oracle):
    low, high = duet(44_100, 2.0)
    loud = 4.5 * low / np.abs(low).max()
    sound = np.clip(loud + high, -1.0, 1.0)
    video = write_video(tmp_path / "a.mov", seconds=2.0, sound=sound)
    summary = separate_video(video, tmp_path / "out", model, dict(sounds=2, format="flac", videos=False))
    found = stems(tmp_path / "out", ("sound1.flac", "sound2.flac", "residual.flac"))
    gain = summary["files"]["gain"]
    assert 0.5 < gain < 1.0 and summary["files"]["subtype"] == "PCM_24"
    assert max(np.abs(stem).max() for stem in found.values()) < 1.0
    np.testing.assert_allclose(sum(found.values()) / gain, sound, atol=1e-4)


def test_silence_has_no_sounds(tmp_path, model, oracle):
    video = write_video(tmp_path / "a.mov", seconds=2.0, level=0.0)
    summary = separate_video(video, tmp_path / "out", model, dict())
    assert summary["sounds"] == [] and "No sound was found" in summary["remarks"][0]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "residual.wav", "overview.mp4", "separation.json", "index.html"
    }  # fmt: skip


@pytest.mark.parametrize("seconds", [0.1, 0.35])
def test_a_short_video_is_padded_with_a_remark(tmp_path, model, oracle, seconds):
    video = write_video(tmp_path / "a.mov", seconds=seconds)
    model.method.config.audio.clip_samples = 127 * 64
    summary = separate_video(video, tmp_path / "out", model, dict(sounds=2))
    assert summary["video"]["seconds"] == pytest.approx(seconds, abs=0.01)
    assert any("silence was added" in remark for remark in summary["remarks"])
    assert len(soundfile.read(tmp_path / "out" / "residual.wav")[0]) == pytest.approx(seconds * 44_100, abs=2)


def test_broken_packets_are_skipped_with_a_remark(tmp_path, model, oracle):
    video = write_video(tmp_path / "a.mp4", seconds=4.0, header_first=True)
    content = bytearray(video.read_bytes())
    middle = slice(len(content) // 2, len(content) // 2 + 6000)
    content[middle] = np.random.default_rng(0).bytes(6000)
    video.write_bytes(content)
    summary = separate_video(video, tmp_path / "out", model, QUICK)
    assert summary["remarks"], "there is no remark on the broken packets"
    assert summary["video"]["seconds"] == pytest.approx(4.0, abs=0.2)


def test_a_truncated_video_is_separated_as_far_as_it_goes(tmp_path, model, oracle):
    video = write_video(tmp_path / "a.mp4", seconds=6.0, header_first=True)
    cut_off(video, 0.5)
    summary = separate_video(video, tmp_path / "out", model, QUICK)
    assert any("cut off" in remark for remark in summary["remarks"])
    assert summary["video"]["seconds"] < 5.0


def test_pictures_reach_the_network_upright_and_of_its_size(tmp_path, model, oracle):
    seen = oracle()
    video = write_video(tmp_path / "a.mp4", seconds=2.0, rotation=90)
    separate_video(video, tmp_path / "out", model, QUICK)
    assert {shape[2:4] for shape in seen.frames} == {(53, 40)}  # Stored as 64 x 48.
    wide = [np.zeros((32, 640, 3), np.uint8)] * 20
    separate_video(write_video(tmp_path / "b.mp4", seconds=2.0, pictures=wide), tmp_path / "wide", model, QUICK)
    assert {shape[2:4] for shape in seen.frames} == {(53, 40), (16, 320)}


def test_huge_frames_are_reduced(tmp_path, model, oracle):
    seen = oracle()
    huge = [np.zeros((4320, 7680, 3), np.uint8)] * 2
    video = write_video(tmp_path / "a.mp4", seconds=1.0, pictures=huge, times_ms=[0, 100])
    summary = separate_video(video, tmp_path / "out", model, dict(sounds=2))
    assert {shape[2:4] for shape in seen.frames} == {(40, 71)}
    assert any("pictures end at" in remark for remark in summary["remarks"])
    assert reader.probe(tmp_path / "out" / "overview.mp4").picture_px == (360, 640)


@pytest.mark.parametrize(("rate_hz", "channels"), [(22_050, 6), (192_000, 1), (192_000, 2)])
def test_videos_of_any_sample_rate(tmp_path, model, oracle, rate_hz, channels):
    low, high = duet(rate_hz, 1.0, channels)
    video = write_video(tmp_path / "a.mov", seconds=1.0, rate_hz=rate_hz, sound=low + high)
    separate_video(video, tmp_path / "out", model, dict(sounds=2))
    header = reader.probe(tmp_path / "out" / "overview.mp4")
    assert header.audio_rate_hz == min(rate_hz, 48_000) and header.duration_s == pytest.approx(1.0, abs=0.15)


def test_frames_are_resized_to_the_first_frame(tmp_path, model, oracle):
    parts = [
        write_video(tmp_path / f"{height}.webm", seconds=1.0, pictures=[np.full((height, width, 3), 90, np.uint8)] * 10,
                    rate_hz=48_000)
        for height, width in ((48, 64), (64, 48))
    ]  # fmt: skip
    video = join(tmp_path / "turned.webm", *parts)
    assert len({picture.shape for picture in reader.read_frames(video, [0.5, 1.5], 48)}) == 2
    summary = separate_video(video, tmp_path / "out", model, dict(sounds=2))
    assert summary["video"]["seconds"] == pytest.approx(2.0, abs=0.1)
    assert reader.probe(tmp_path / "out" / "overview.mp4").picture_px == (48, 64)


@pytest.mark.parametrize("change", [{"rate_hz": 48_000}, {"sound": np.zeros((1, 44_100))}])
def test_a_changing_sound_format_is_refused(tmp_path, model, oracle, capsys, change):
    steady = write_video(tmp_path / "a.ts", seconds=1.0)
    video = join(tmp_path / "both.ts", steady, write_video(tmp_path / "b.ts", seconds=1.0, **change))
    with pytest.raises(SystemExit) as failed:
        guarded(lambda: separate_video(video, tmp_path / "out", model, QUICK))
    message = "changes its sample rate" if "rate_hz" in change else "from 2 to 1 channels"
    assert failed.value.code == 2 and message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_video_is_closed_after_its_last_write(tmp_path, model, oracle, monkeypatch):
    busy, closed = set(), []

    class Writer:
        def __init__(self, path, **_):
            self._path = path

        def show(self, picture):
            if self._path.name == "sound1.mp4":
                raise OSError(errno.ENOSPC, "No space left on device", str(self._path))
            busy.add(self._path)
            time.sleep(0.2)
            busy.remove(self._path)

        def play(self, sound):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *_):
            closed.append(self._path not in busy)

    monkeypatch.setattr("mpnet_jax.separation.videos.VideoWriter", Writer)
    video = write_video(tmp_path / "a.mp4", seconds=1.0)
    with pytest.raises(OSError, match="No space left"):
        separate_video(video, tmp_path / "out", model, dict(sounds=2))
    assert closed == [True] * 3


def test_remarks_on_tracks_and_times(tmp_path, model, oracle):
    whole = write_video(tmp_path / "a.mp4", seconds=2.0)
    cases = {
        "The file has 2 tracks of sound; the first": copy_streams(
            tmp_path / "b.mkv", (whole, "video"), (whole, "audio"), (whole, "audio")
        ),
        "The file has 2 tracks of pictures; the first": copy_streams(
            tmp_path / "c.mkv", (whole, "video"), (whole, "video"), (whole, "audio")
        ),
        "The sound starts at 0.7 s; before it": write_video(
            tmp_path / "d.mkv", seconds=2.0, sound=duet(44_100, 1.3)[0], sound_delay_s=0.7
        ),
        "The pictures start at 0.8 s; until then": write_video(
            tmp_path / "e.mkv", seconds=2.0, pictures=[np.zeros((48, 64, 3), np.uint8)] * 12,
            times_ms=range(800, 2000, 100),
        ),
        "The sound ends at 1.0 s, before the file": write_video(
            tmp_path / "f.mkv", seconds=2.0, sound=np.zeros((2, 44_100))
        ),
        "The pictures end at 0.3 s; the last": write_video(
            tmp_path / "g.mkv", seconds=2.0, pictures=[np.zeros((48, 64, 3), np.uint8)] * 3
        ),
    }  # fmt: skip
    assert separate_video(whole, tmp_path / "out" / "a", model, QUICK)["remarks"] == []
    for beginning, video in cases.items():
        remarks = separate_video(video, tmp_path / "out" / video.stem, model, QUICK)["remarks"]
        assert [remark[: len(beginning)] for remark in remarks if not remark.startswith("No sound")] == [beginning]


def test_wrong_timestamps_and_lengths_change_nothing(tmp_path, model, oracle):
    """Names of files are those of the damage."""
    seconds = {}
    for damage in ("untouched", "starts_at_60_s", "wrong_sound_timestamp", "wrong_picture_timestamp"):
        video = write_scene(tmp_path / f"{damage}.mkv", getattr(damaged_media, damage))
        summary = separate_video(video, tmp_path / "out" / damage, model, QUICK)
        seconds[damage] = summary["video"]["seconds"]
        doubts = [remark for remark in summary["remarks"] if "not believed" in remark]
        assert bool(doubts) is damage.startswith("wrong"), summary["remarks"]
    assert list(seconds.values()) == pytest.approx([seconds["untouched"]] * 4, abs=0.001)


def test_a_track_is_chosen_by_hand(tmp_path, model, oracle):
    low, high = (write_video(tmp_path / f"{hz}.mov", seconds=2.0, tone_hz=hz) for hz in (300, 700))
    video = copy_streams(tmp_path / "a.mkv", (low, "video"), (low, "audio"), (high, "audio"))
    for number, expected_hz in ((1, 300), (2, 700)):
        tracks = TrackChoice(audio=number)
        summary = separate_video(video, tmp_path / "out" / str(number), model, QUICK, tracks=tracks)
        assert not any("tracks of sound" in remark for remark in summary["remarks"])
        files = [sound["file"] for sound in (*summary["sounds"], summary["residual"])]
        wave = sum(stems(tmp_path / "out" / str(number), files).values())[0]
        assert np.argmax(np.abs(np.fft.rfft(wave))) * 44_100 / len(wave) == pytest.approx(expected_hz, abs=1)


def test_a_shorter_sound_in_a_file_that_states_no_lengths_is_not_cut_off(tmp_path, model, oracle):
    video = write_video(tmp_path / "a.ts", seconds=2.0, sound=duet(44_100, 1.0)[0])
    remarks = separate_video(video, tmp_path / "out", model, QUICK)["remarks"]
    assert len(remarks) == 1 and "before the file does; so do the written videos" in remarks[0]


def test_a_remark_on_overlapping_timestamps(tmp_path, model, oracle):
    part = write_video(tmp_path / "a.ts", seconds=1.0)
    (tmp_path / "twice.ts").write_bytes(2 * part.read_bytes())
    summary = separate_video(tmp_path / "twice.ts", tmp_path / "out", model, QUICK)
    (text,) = (remark for remark in summary["remarks"] if "were left out" in remark)
    assert float(text.split()[0]) == pytest.approx(1.0, abs=0.06) and "re-encode it" in text


def test_an_error_leaves_no_files(tmp_path, model, oracle, monkeypatch):
    video = write_video(tmp_path / "a.mp4", seconds=2.0)
    (tmp_path / "results").mkdir()
    monkeypatch.setattr("mpnet_jax.separation.output.write_videos", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        separate_video(video, tmp_path / "results" / "out", model, dict(sounds=2))
    assert list((tmp_path / "results").iterdir()) == []


def test_a_read_only_folder_is_refused(tmp_path, model, oracle, monkeypatch, capsys):
    video, real = write_video(tmp_path / "a.mp4", seconds=1.0), Path.mkdir

    def mkdir(path, *arguments, **options):
        if path.parent == tmp_path / "locked":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        real(path, *arguments, **options)

    (tmp_path / "locked").mkdir()
    monkeypatch.setattr(Path, "mkdir", mkdir)
    with pytest.raises(SystemExit) as failed:
        guarded(lambda: separate_video(video, tmp_path / "locked" / "out", model, QUICK))
    assert failed.value.code == 2
    assert re.search(r"error: cannot write .*Permission denied", capsys.readouterr().err)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
@pytest.mark.parametrize("videos", [False, True])
def test_a_full_disk_is_refused_and_leaves_no_files(tmp_path, model, oracle, capsys, videos):
    disk = tmp_path / "disk"
    disk.mkdir()
    low, high = duet(44_100, 4.0)
    video = write_video(tmp_path / "a.mov", seconds=4.0, sound=low + high)
    # Three stems of 1.4 MB fill the smaller disk; the larger one is full when the videos are written.
    size = 4_200 if videos else 2_000
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no small disk can be mounted here")
    try:
        with pytest.raises(SystemExit) as failed:
            guarded(lambda: separate_video(video, disk / "out", model, dict(sounds=2, videos=videos)))
        assert failed.value.code == 2
        assert re.search(r"error: cannot write .*[Nn]o space left", capsys.readouterr().err)
        assert list(disk.iterdir()) == []
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)  # noqa: S607


@pytest.mark.parametrize(("most", "kind", "magic"), [(2**32 - 1, "WAV", b"RIFF"), (100_000, "RF64", b"RF64")])
def test_rf64_is_used_only_for_large_files(tmp_path, monkeypatch, most, kind, magic):
    monkeypatch.setattr("mpnet_jax.separation.stems._MOST_BYTES", most)
    stems = Stems(tmp_path, rate_hz=48_000, channels=8)
    sound = np.random.default_rng(0).normal(0, 0.1, (8, 2000)).astype(np.float32)
    stems.write(Piece(sound, {1: 0.25 * sound}))
    stems.write(Piece(sound, {1: 0.25 * sound, 2: 0.5 * sound}))
    stems.close()
    assert stems.settle({1: 2, 2: 1}) is (kind == "WAV")
    assert stem_path(tmp_path, 2).is_file() and stem_path(tmp_path, RESIDUAL).is_file()
    file = stem_path(tmp_path, 1)
    content = file.read_bytes()
    assert content[:4] == magic
    late = soundfile.read(file, always_2d=True)[0].T
    assert not late[:, :2000].any()
    np.testing.assert_allclose(late[:, 2000:], 0.5 * sound)
    if kind == "WAV":
        # A reader without support of RF64 finds the correct sizes.
        assert int.from_bytes(content[4:8], "little") == len(content) - 8
        data = content.index(b"data")
        assert int.from_bytes(content[data + 4 : data + 8], "little") == 4 * late.size == len(content) - data - 8
        assert b"ds64" not in content[:data]
        with av.open(str(file)) as read:
            assert sum(frame.samples for frame in read.decode(audio=0)) == 4000


def test_too_many_channels_for_flac_are_refused_at_once(tmp_path, model, oracle):
    seen = oracle()
    video = write_video(tmp_path / "a.mov", seconds=3.0, sound=np.zeros((12, 3 * 44_100)))
    with pytest.raises(InputError, match="at most 8 channels and the sound 12; take --format=wav"):
        separate_video(video, tmp_path / "out", model, dict(sounds=2, format="flac"))
    assert len(seen.frames) <= 2  # Only the first batches were read.
    assert not (tmp_path / "out").exists()
