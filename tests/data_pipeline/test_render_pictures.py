"""Rendering with pictures: same bytes without, with any number of workers, and refusals of the commands."""

import json
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from PIL import Image, ImageDraw

from data_pipeline import render_scene
from data_pipeline.command import InputError
from data_pipeline.rendered.sound import synthesise
from data_pipeline.rendered.sound.instruments import CLASSES
from data_pipeline.sources import rendered_solos
from data_pipeline.sources.rendered_solos import SoloSet
from data_pipeline.staging.picture_splits import read_pictures
from tests.support.repository import ROOT

JOBS = [(name, index) for name in CLASSES for index in range(4)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("pictures")
    for name in ("violin", "tuba"):
        (root / name).mkdir()
        for number in range(4):
            image = Image.new("RGBA", (120, 60))
            ImageDraw.Draw(image).ellipse((0, 0, 100 + number, 59), fill=(len(name), 200, 40 * number, 255))
            image.save(root / name / f"{number}.png")
    return root


def solo_set(out, folder=None, share=1.0):
    renderer = synthesise.choose_renderer("additive", None)
    choice = read_pictures(folder, JOBS, seed=3, share=share)[0] if folder else None
    return SoloSet(out, solos_per_instrument=4, seconds=2.0, seed=3, renderers=(renderer,), pictures=choice)


def rendered(solos, jobs, workers=1):
    rendered_solos.claim_folder(solos)
    rendered_solos.render_jobs(solos, jobs, workers=workers, done=lambda: None)
    return {path.name: path.read_bytes() for path in solos.folder.glob("*/*")}


def test_facts_name_the_picture_and_the_drawn_players_stay_as_they_are(tmp_path, folder):
    jobs = [("violin", 0), ("flute", 0)]
    plain = rendered(solo_set(tmp_path / "plain"), jobs)
    held = rendered(solo_set(tmp_path / "held", folder), jobs)
    none = rendered(solo_set(tmp_path / "none", folder, share=0.0), jobs)
    assert none == plain
    assert {name for name in plain if plain[name] != held[name]} == {"violin_000.mp4", "violin_000.json"}
    assert "pictures" not in json.loads((tmp_path / "plain" / rendered_solos.RECORD_NAME).read_text())
    facts, before = json.loads(held["violin_000.json"]), json.loads(plain["violin_000.json"])
    assert facts.pop("picture")["file"].startswith("violin/")
    assert facts.pop("boxes") != before.pop("boxes")
    assert facts == before, "the sound does not depend on the picture"


def test_two_workers_hold_the_same_pictures_as_one(tmp_path, folder):
    jobs = [("violin", 0), ("violin", 1), ("tuba", 2)]
    one, two = (rendered(solo_set(tmp_path / str(k), folder), jobs, workers=k) for k in (1, 2))
    assert one == two


def test_a_set_is_resumed_with_the_same_pictures_only(tmp_path, folder):
    rendered_solos.claim_folder(solo_set(tmp_path / "set", folder))
    rendered_solos.claim_folder(solo_set(tmp_path / "set", folder))
    for other in (solo_set(tmp_path / "set"), solo_set(tmp_path / "set", folder, share=0.4)):
        with pytest.raises(InputError, match="was rendered with other pictures, another share"):
            rendered_solos.claim_folder(other)
    rendered_solos.claim_folder(solo_set(tmp_path / "plain"))
    with pytest.raises(InputError, match="was rendered with other pictures"):
        rendered_solos.claim_folder(solo_set(tmp_path / "plain", folder))


def test_a_picture_that_disappears_is_one_sentence(tmp_path):
    (tmp_path / "in" / "violin").mkdir(parents=True)
    path = tmp_path / "in" / "violin" / "a.png"
    Image.new("RGBA", (40, 20), (0, 200, 0, 200)).save(path)
    solos = solo_set(tmp_path / "out", tmp_path / "in")
    path.unlink()
    assert solos.pictures is not None
    with pytest.raises(InputError, match=r"a\.png changed while the solos were rendered \(no file\)"):
        rendered(solos, list(solos.pictures.held)[:1])


def test_players_of_a_scene_hold_pictures_for_tests(tmp_path, folder):
    remarks = render_scene.render(tmp_path / "a", ["violin", "flute"], seconds=2.0, seed=1000, pictures=folder)
    assert remarks[-1] == "1 of 2 players hold one of 1 pictures"
    render_scene.render(tmp_path / "b", ["violin", "flute"], seconds=2.0, seed=1000)
    first, second = tmp_path / "a", tmp_path / "b"
    assert (first / "scene.mp4").read_bytes() != (second / "scene.mp4").read_bytes()
    sounds = [soundfile.read(folder / "1_violin.wav")[0] for folder in (first, second)]
    np.testing.assert_array_equal(*sounds)


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--pictures={tmp}/nowhere"], "is no folder"),
        (["--pictures={tmp}"], "holds no usable picture"),
        (["--pictures={folder}", "--pictures_share=2"], "pictures_share=2 must be 0 to 1"),
        (["--pictures={folder}", "--pictures_split=all"], "pictures_split"),
    ],
)
def test_bad_flags_end_with_status_2(tmp_path, folder, flags, sentence):
    given = [flag.format(tmp=tmp_path, folder=folder) for flag in flags]
    command = [sys.executable, "-m", "data_pipeline.render_solos", f"--out={tmp_path / 'out'}", *given]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert result.returncode == 2 and sentence in result.stderr and "Traceback" not in result.stderr
    assert not (tmp_path / "out").exists()
