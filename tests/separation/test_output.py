"""Tests of the written files: formats, chosen sounds, names of files; and of several videos in one command."""

import json

import av
import jax
import numpy as np
import pytest
import soundfile

from data_pipeline.command import InputError
from mpnet_jax import separate
from mpnet_jax.methods.registry import method_of
from mpnet_jax.separation import separator as module
from mpnet_jax.separation.formats import FileFormat, write_stems
from mpnet_jax.weights.trained import Model
from tests.separation.conftest import duet
from tests.separation.test_names import Fixed
from tests.support.oracle import PLACES, SHAPE
from tests.support.tiny_run import tiny_config
from tests.support.tiny_videos import write_video
from tests.test_separate import flag_values

RATE_HZ = 8000


@pytest.fixture
def video(tmp_path):
    low, high = duet(RATE_HZ, 2.0, 1)
    return write_video(tmp_path / "a.mov", seconds=2.0, rate_hz=RATE_HZ, sound=low + 0.9 * high)


@pytest.fixture
def run(tmp_path, model, oracle, monkeypatch):
    """Runs the command in this process, with the oracle instead of the networks; returns the written names."""
    monkeypatch.setattr(module, "load", lambda _: model)
    monkeypatch.setattr(module, "load_namer", lambda: Fixed())

    def command(*arguments, **changes):
        values = flag_values(out=tmp_path / "out", names="page", **changes)
        monkeypatch.setattr(separate.flags, "FLAGS", values)
        separate.main(list(map(str, arguments)))
        return {path.name for path in (tmp_path / "out").iterdir()} - {"separation.json", "index.html"}

    return command


def read(path):
    return soundfile.read(path, always_2d=True)[0].T


def test_only_chosen_sounds_are_written(tmp_path, run, video, capsys):
    assert run(video, only="2", videos=True, format="flac") == {"sound2.flac", "sound2.mp4"}
    assert "sound 1: violin (83 %)" in capsys.readouterr().out
    summary = json.loads((tmp_path / "out" / "separation.json").read_text())
    assert [sound["file"] for sound in summary["sounds"]] == [None, "sound2.flac"]
    assert 'src="sound2.flac"' in (tmp_path / "out" / "index.html").read_text()


def test_the_recording_without_a_sound_and_the_sound_of_a_place(tmp_path, run, video, capsys):
    row, column = PLACES[0]
    place = f"{(column + 0.5) / SHAPE[1]},{(row + 0.5) / SHAPE[0]}"
    assert run(video, without="1", place=place, json=True) == {"without_1.wav", "place.wav"}
    low, high = duet(RATE_HZ, 2.0, 1)
    np.testing.assert_allclose(read(tmp_path / "out" / "without_1.wav"), 0.9 * high, atol=1e-3)
    np.testing.assert_allclose(read(tmp_path / "out" / "place.wav"), low, atol=5e-3)
    (line,) = capsys.readouterr().out.splitlines()
    found = json.loads(line)
    assert found["out"] == str(tmp_path / "out")
    assert [other["file"] for other in found["others"]] == ["without_1.wav", "place.wav"]


def test_a_sound_that_is_not_there_is_refused(tmp_path, run, video):
    with pytest.raises(InputError, match=r"only=cello: this video has no such sound; its sounds are: 1 \(violin\), 2"):
        run(video, only="cello")
    assert not (tmp_path / "out").exists()


def test_names_of_files_follow_a_pattern(run, video):
    names = run(video, only="violin", pattern="{video}-{number}-{name}")
    assert names == {"a-1-violin.wav", "a-2-violin.wav"}


@pytest.mark.parametrize("kind", ["mp3", "ogg", "m4a"])
def test_lossy_formats_hold_the_sound(tmp_path, kind):
    # 37,000 Hz are not supported by MP3 and AAC.
    rate_hz, channels = (37_000, 2)
    time = np.arange(rate_hz) / rate_hz
    sound = np.stack([np.sin(2 * np.pi * 440 * time), 1.5 * np.sin(2 * np.pi * 880 * time)]).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", sound.T, rate_hz, subtype="FLOAT")
    target = tmp_path / f"b.{kind}"
    facts = write_stems(
        {tmp_path / "a.wav": target}, FileFormat(kind, bitrate_kbps=128), rate_hz=rate_hz, channels=channels
    )
    assert facts == {"format": kind.upper(), "subtype": "128 kbit/s", "gain": pytest.approx(1 / 1.5, rel=1e-5)}
    with av.open(str(target)) as container:
        frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
        written_hz = container.streams.audio[0].rate
    assert written_hz == (rate_hz if kind == "ogg" else 44_100)
    found = np.concatenate(frames, axis=1)
    assert found.shape[1] / written_hz == pytest.approx(1.0, abs=0.06)
    middle = found[:, written_hz // 4 : 3 * written_hz // 4]
    # The MP3 encoder scales by 0.95 at this bit rate.
    np.testing.assert_allclose(np.sqrt(np.mean(np.square(middle), axis=1)), [0.47, 0.71], atol=0.06)


@pytest.mark.parametrize(
    ("kind", "bits", "subtype"), [("wav", 16, "PCM_16"), ("wav", 24, "PCM_24"), ("flac", 16, "PCM_16")]
)
def test_bit_depths(tmp_path, kind, bits, subtype):
    soundfile.write(tmp_path / "a.wav", np.full((100, 1), 0.5, np.float32), 8000, subtype="FLOAT")
    target = tmp_path / f"b.{kind}"
    write_stems({tmp_path / "a.wav": target}, FileFormat(kind, bits), rate_hz=8000, channels=1, move=True)
    info = soundfile.info(target)
    assert (info.subtype, info.frames, info.format.rstrip("EX")) == (subtype, 100, kind.upper())
    assert not (tmp_path / "a.wav").exists()


def test_too_many_channels_for_a_format():
    with pytest.raises(InputError, match="--format=mp3 has at most 2 channels and the sound 6; take --format=wav"):
        FileFormat("mp3").refuse_channels(6)


def test_one_bad_video_of_several_is_reported(tmp_path, run, video, capsys):
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(SystemExit) as ended:
        run(tmp_path / "text.mp4", video)
    assert ended.value.code == 2
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a"}
    error = capsys.readouterr().err
    assert "text.mp4 is not a video" in error and "1 of 2 videos were not separated" in error


def test_an_interrupt_keeps_what_is_complete(tmp_path, run, video, monkeypatch, capsys):
    other = write_video(tmp_path / "b.mp4", seconds=1.0)
    real = module.Separation.write_into

    def interrupted(self, folder, *arguments, **options):
        if "b" in folder.name:
            raise KeyboardInterrupt
        return real(self, folder, *arguments, **options)

    monkeypatch.setattr(module.Separation, "write_into", interrupted)
    with pytest.raises(SystemExit) as ended:
        run(video, other)
    assert ended.value.code == 130
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a"]
    assert capsys.readouterr().err.endswith("interrupted; 1 of 2 videos are complete\n")


def test_ten_videos_load_and_compile_once(tmp_path, monkeypatch, run):
    method = method_of(tiny_config(tmp_path))
    about = {"source": "tiny", "method": "mnet", "epsilon_relative": 0.1}
    variables = jax.tree.map(np.asarray, method.initial_state().variables)
    loads, traces = [], []

    def load(_):
        loads.append(1)
        return Model(method, variables, about)

    place_step = type(method).place_step

    def counted(self, *arguments, **options):
        step = place_step(self, *arguments, **options)

        def traced(*inputs):
            traces.append(1)
            return step(*inputs)

        return traced

    monkeypatch.undo()
    monkeypatch.setattr(module, "load", load)
    monkeypatch.setattr(type(method), "place_step", counted)
    for number in range(10):
        write_video(tmp_path / "videos" / f"{number}.mp4", seconds=0.3 + 0.1 * number, rate_hz=RATE_HZ)
    values = flag_values(out=tmp_path / "out")
    monkeypatch.setattr(separate.flags, "FLAGS", values)
    separate.main([str(tmp_path / "videos")])
    assert {path.name for path in (tmp_path / "out").iterdir()} == set(map(str, range(10)))
    assert len(loads) == 1
    assert len(traces) == 1  # A trace is a compilation.
