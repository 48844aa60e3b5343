"""The rendering command: files, resuming, refusals, workers."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import av
import numpy as np
import pytest

from data_pipeline import render_solos
from data_pipeline.command import InputError
from data_pipeline.rendered import solo
from data_pipeline.rendered.drawing import animation
from data_pipeline.rendered.sound import synthesise
from data_pipeline.rendered.sound.instruments import CLASSES
from data_pipeline.sources import rendered_solos
from data_pipeline.sources.rendered_solos import SoloSet

SECONDS = 2.0


@pytest.fixture(scope="module")
def renderer():
    return synthesise.choose_renderer("auto", None)


@pytest.fixture(scope="module")
def rendered(tmp_path_factory, renderer):
    folder = tmp_path_factory.mktemp("solos")
    solos = SoloSet(folder, solos_per_instrument=1, seconds=SECONDS, seed=3, renderers=(renderer,))
    line = render_solos.render(solos, workers=1)
    return solos, line


def facts_of(folder: pathlib.Path) -> dict[pathlib.Path, dict]:
    """Returns the finished solos in a fixed order: video file -> content of the JSON file of the same name."""
    facts = sorted(folder.glob("*/*.json"))
    return {
        path.with_suffix(".mp4"): json.loads(path.read_text()) for path in facts if path.with_suffix(".mp4").is_file()
    }


def decode(path: pathlib.Path) -> tuple[np.ndarray, list[float], np.ndarray]:
    """Returns frames (frames, height, width, 3), their times in seconds, and audio (samples,)."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    with av.open(str(path)) as container:
        sound = np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)
    return np.stack([f.to_ndarray(format="rgb24") for f in frames]), [float(f.time) for f in frames], sound[0]


def test_every_class_gets_a_video_and_its_facts(rendered):
    solos, line = rendered
    found = facts_of(solos.folder)
    assert [facts["instrument"] for facts in found.values()] == list(CLASSES)
    assert line.startswith("11 solos (0.4 minutes) in ")
    for video, facts in found.items():
        assert video.name == f"{facts['instrument']}_000.mp4"
        assert video.parent.name == facts["instrument"]


def test_video_has_both_streams_at_the_right_length_and_rate(rendered):
    solos, _ = rendered
    for video in facts_of(solos.folder):
        pictures, times_s, sound = decode(video)
        assert pictures.shape == (round(SECONDS * animation.FPS), animation.FRAME_PX, animation.FRAME_PX, 3)
        np.testing.assert_allclose(np.diff(times_s), 1 / animation.FPS, atol=1e-6)
        with av.open(str(video)) as container:
            assert container.streams.video[0].average_rate == animation.FPS
            assert container.streams.audio[0].rate == synthesise.RATE_HZ
            assert abs(container.duration / av.time_base - SECONDS) < 0.15
        assert abs(sound.size / synthesise.RATE_HZ - SECONDS) < 0.15
        assert np.abs(sound).max() < 10 ** (-1 / 20)


def test_sound_in_the_file_is_in_time_with_the_notes(rendered, renderer):
    solos, _ = rendered
    made = solo.make_sound("xylophone", index=0, seed=3, seconds=SECONDS, renderer=renderer)
    sound = decode(solos.folder / "xylophone" / "xylophone_000.mp4")[2][: made.samples.size]
    lags = range(-1500, 1501, 10)
    inner = slice(2000, made.samples.size - 4000)
    score = [float(np.dot(made.samples[inner], np.roll(sound, -lag)[: made.samples.size][inner])) for lag in lags]
    # An encoder's start padding of 1024 samples would shift the audio by 23 ms.
    assert abs(lags[int(np.argmax(score))]) <= 20


def test_boxes_lie_in_the_picture_and_stay_small(rendered):
    solos, _ = rendered
    for facts in facts_of(solos.folder).values():
        boxes = np.array(facts["boxes"])
        assert boxes.shape == (round(SECONDS * animation.FPS), 4)
        assert boxes.min() >= 0 and boxes.max() <= 1
        area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        assert area.min() > 0.04 and area.max() < animation.MAX_BOX_AREA


def test_everything_that_moves_is_in_the_box(rendered):
    solos, _ = rendered
    for video, facts in facts_of(solos.folder).items():
        pictures = decode(video)[0].astype(int)
        change = np.abs(pictures - np.median(pictures, axis=0)).max(axis=3)
        rows, columns = np.nonzero(change.max(axis=0) > 60)
        boxes = np.array(facts["boxes"]) * animation.FRAME_PX
        assert rows.size, facts["instrument"]
        assert rows.min() >= boxes[:, 0].min() - 3 and rows.max() <= boxes[:, 2].max() + 3
        assert columns.min() >= boxes[:, 1].min() - 3 and columns.max() <= boxes[:, 3].max() + 3


def test_facts_say_how_the_solo_was_made(rendered):
    solos, _ = rendered
    facts = json.loads((solos.folder / "erhu" / "erhu_000.json").read_text())
    assert (facts["gm_program"], facts["index"], facts["seed"], facts["seconds"]) == (110, 0, 3, SECONDS)
    assert abs(facts["room"]["cents"]) <= 20
    if facts["renderer"]["name"] == "soundfont":
        assert facts["soundfont"]["name"] == "TimGM6mb"
        assert facts["soundfont"]["licence"].startswith("GPL-2.0")
        assert len(facts["soundfont"]["sha256"]) == 64


def test_finished_solos_are_kept_and_missing_ones_made(rendered, renderer):
    solos, _ = rendered
    other = solos.folder / "violin" / "notes of mine.txt"
    other.write_text("kept")
    kept = solos.folder / "tuba" / "tuba_000.mp4"
    before = kept.stat().st_mtime_ns
    lost = solos.folder / "flute" / "flute_000.json"
    again = lost.read_text()
    lost.unlink()
    line = render_solos.render(solos, workers=1)
    assert "10 of them from an earlier run" in line
    assert kept.stat().st_mtime_ns == before
    assert lost.read_text() == again
    assert other.read_text() == "kept"
    assert not list(solos.folder.rglob("*.part"))


def test_interrupt_leaves_no_half_files(tmp_path, renderer, monkeypatch):
    def interrupt(path, *_args, **_kwargs):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(solo, "write_video", interrupt)
    solos = SoloSet(tmp_path, solos_per_instrument=1, seconds=SECONDS, seed=0, renderers=(renderer,))
    with pytest.raises(KeyboardInterrupt):
        render_solos.render(solos, workers=1)
    files = [path.name for path in tmp_path.rglob("*") if path.is_file()]
    assert files == [rendered_solos.RECORD_NAME]


@pytest.mark.parametrize(("change", "named"), [({"seed": 4}, "seed=3, not 4"), ({"seconds": 3.0}, "seconds=2.0")])
def test_folder_of_other_parameters_is_refused(rendered, renderer, change, named):
    solos, _ = rendered
    values = {"solos_per_instrument": 1, "seconds": SECONDS, "seed": 3, "renderers": (renderer,), **change}
    with pytest.raises(InputError, match=named):
        render_solos.render(SoloSet(solos.folder, **values), workers=1)


def test_folder_with_videos_of_somebody_else_is_refused(tmp_path, renderer):
    (tmp_path / "violin").mkdir()
    solos = SoloSet(tmp_path, solos_per_instrument=1, seconds=SECONDS, seed=0, renderers=(renderer,))
    with pytest.raises(InputError, match="not ours"):
        rendered_solos.claim_folder(solos)


def test_out_that_is_no_folder_is_refused(tmp_path, renderer):
    (tmp_path / "file").write_text("")
    solos = SoloSet(tmp_path / "file" / "sub", solos_per_instrument=1, seconds=2, seed=0, renderers=(renderer,))
    with pytest.raises(InputError, match="cannot be written"):
        rendered_solos.claim_folder(solos)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"solos_per_instrument": 0}, "solos_per_instrument=0 must be 1 to 1000"),
        ({"seconds": 1.0}, "seconds=1 must be 2 to 600"),
        ({"seconds": float("nan")}, "seconds=nan must be 2 to 600"),
        ({"seed": -5}, "seed=-5 must be 0 or larger; try 5"),
    ],
)
def test_numbers_out_of_range_are_refused(tmp_path, renderer, change, message):
    values = {"solos_per_instrument": 1, "seconds": 2.0, "seed": 0, "renderers": (renderer,), **change}
    with pytest.raises(InputError, match=message):
        SoloSet(tmp_path, **values)


def test_no_workers_are_refused(tmp_path, renderer):
    solos = SoloSet(tmp_path, solos_per_instrument=1, seconds=2, seed=0, renderers=(renderer,))
    with pytest.raises(InputError, match="workers=0 must be at least 1"):
        render_solos.render(solos, workers=0)


def test_two_workers_write_the_same_files_as_one(rendered, renderer, tmp_path):
    solos, _ = rendered
    pair = SoloSet(tmp_path, solos_per_instrument=2, seconds=SECONDS, seed=3, renderers=(renderer,))
    rendered_solos.claim_folder(pair)
    rendered_solos.render_jobs(pair, [("cello", 1), ("cello", 0)], workers=2, done=lambda: None)
    for suffix in (".json", ".mp4"):
        one = (solos.folder / "cello" / f"cello_000{suffix}").read_bytes()
        assert one == (tmp_path / "cello" / f"cello_000{suffix}").read_bytes()


def die(*_args):
    os._exit(9)


def test_dead_worker_is_told(tmp_path, renderer, monkeypatch):
    solos = SoloSet(tmp_path, solos_per_instrument=1, seconds=SECONDS, seed=0, renderers=(renderer,))
    monkeypatch.setattr(rendered_solos, "_leave_interrupts_to_parent", die)
    with pytest.raises(InputError, match="one of workers=2 processes was ended from outside"):
        rendered_solos.render_jobs(solos, [("tuba", 0), ("tuba", 1)], workers=2, done=lambda: None)


@pytest.mark.e2e
def test_command_refuses_a_bad_soundfont_with_status_2(tmp_path):
    font = tmp_path / "bad.sf2"
    font.write_bytes(b"no soundfont at all")
    command = [
        sys.executable,
        "-m",
        "data_pipeline.render_solos",
        f"--out={tmp_path / 'out'}",
        f"--soundfont={font}",
    ]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert "bad.sf2 begins with b'no soundfont" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.e2e
def test_two_interrupts_end_the_command_with_whole_files_only(tmp_path):
    out = tmp_path / "out"
    command = [
        sys.executable,
        "-m",
        "data_pipeline.render_solos",
        f"--out={out}",
        "--seconds=8",
        "--workers=2",
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        while not list(out.glob("*/*.mp4")) and process.poll() is None:
            time.sleep(0.1)
        for _ in range(2):
            os.killpg(process.pid, signal.SIGINT)
            time.sleep(0.2)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same command resumes" in said and "Traceback" not in said
    names = {path.name for path in out.rglob("*") if path.is_file()} - {rendered_solos.RECORD_NAME}
    stems = {name.split(".")[0] for name in names}
    assert stems and names == {f"{stem}{suffix}" for stem in stems for suffix in (".mp4", ".json")}


def test_players_are_as_large_as_asked(tmp_path, renderer):
    solos = SoloSet(tmp_path / "small", 1, SECONDS, seed=3, renderers=(renderer,), area=(0.1, 0.15))
    rendered_solos.claim_folder(solos)
    rendered_solos.render_jobs(solos, [("cello", 0)], workers=1, done=lambda: None)
    (facts,) = facts_of(tmp_path / "small").values()
    top, left, bottom, right = np.array(facts["boxes"]).T
    assert (((bottom - top) * (right - left)) <= 0.15).all()
    with pytest.raises(InputError, match=r"with area=\[0.1, 0.15\], not \[0.28, 0.36\]"):
        rendered_solos.claim_folder(SoloSet(tmp_path / "small", 1, SECONDS, seed=3, renderers=(renderer,)))
    for area in ((0.2, 0.1), (0.0, 0.1), (0.1, 0.9)):
        with pytest.raises(InputError, match="must be two rising shares"):
            SoloSet(tmp_path, 1, SECONDS, seed=3, renderers=(renderer,), area=area)
    with pytest.raises(InputError, match=r"--area=0\.1 must be two numbers"):
        render_solos._area(["0.1"])


def test_a_set_of_several_timbres_says_what_it_is_made_of(tmp_path, renderer):
    pair = (renderer, synthesise.additive_renderer())
    solos = SoloSet(tmp_path / "far", 2, SECONDS, seed=3, renderers=pair, variety="far")
    jobs = [("violin", 0), ("violin", 1)]
    rendered_solos.claim_folder(solos)
    rendered_solos.render_jobs(solos, jobs, workers=1, done=lambda: None)
    facts = [json.loads((tmp_path / "far" / "violin" / f"violin_00{k}.json").read_text()) for k in (0, 1)]
    assert {each["style"] for each in facts} <= {"sketched", "posterised", "night"}
    assert facts[1]["renderer"]["name"] == "additive"  # the solos use the renderers in turn
    with pytest.raises(InputError, match="was rendered with variety='far', not 'wide'"):
        rendered_solos.claim_folder(SoloSet(tmp_path / "far", 2, SECONDS, seed=3, renderers=pair, variety="wide"))
