"""Tests of the shipped model: its size, format and description, and its separation of a new scene."""

import json

import numpy as np
import pytest
import safetensors
import soundfile
import soxr

from data_pipeline.render_scene import render
from mpnet_jax.metrics.bss_eval import bss_eval
from mpnet_jax.weights.trained import SHIPPED, load
from tests.separation.conftest import separate_video

RATE_HZ = 11_025


def test_it_is_small_and_its_readme_names_its_networks():
    assert SHIPPED.stat().st_size < 16 * 2**20
    with safetensors.safe_open(SHIPPED, "numpy") as file:
        kinds = {(name.endswith("kernel"), file.get_slice(name).get_dtype()) for name in file.keys()}
    assert kinds == {(True, "F16"), (False, "F32")}
    about = json.loads(SHIPPED.with_suffix(".json").read_text())
    assert 0 < about["epsilon_relative"] < 1
    assert about["networks"] in (SHIPPED.parent / "README.md").read_text()


def test_it_separates_two_players(tmp_path):
    render(tmp_path, ["tuba", "violin"], seconds=9.0, seed=1000)
    found = separate_video(tmp_path / "scene.mp4", tmp_path / "apart", load(None), dict(sounds=2, videos=False))
    places = [sound["place"][1] for sound in found["sounds"]]
    assert sorted(place < 0.5 for place in places) == [False, True], places
    truth = np.stack([read_sound(tmp_path / name) for name in ("1_tuba.wav", "2_violin.wav")])
    by_place = [tmp_path / "apart" / found["sounds"][index]["file"] for index in np.argsort(places)]
    stems = np.stack([read_sound(path)[: truth.shape[1]] for path in by_place])
    mixture = np.broadcast_to(truth.sum(axis=0), truth.shape)
    scores = bss_eval(truth[:, : stems.shape[1]], np.stack([stems, stems[::-1], mixture[:, : stems.shape[1]]]))
    improvement, swapped = (scores.sdr[:2] - scores.sdr[2]).mean(axis=1)
    assert improvement > 3.0, "SDR improvement over the unprocessed mixture, in dB"
    assert improvement > swapped + 6.0, "each stem is that of the player at its place"


def read_sound(path):
    samples, rate_hz = soundfile.read(path, dtype="float32")
    return soxr.resample(samples, rate_hz, RATE_HZ)


@pytest.mark.parametrize("sounds", [1, 2])
def test_it_counts_the_players(tmp_path, sounds):
    render(tmp_path, ["accordion", "trumpet"][:sounds], seconds=9.0, seed=1000)
    found = separate_video(tmp_path / "scene.mp4", tmp_path / "apart", load(None), dict(videos=False))
    assert len(found["sounds"]) == sounds
