"""Faults of recordings, overlays and textures."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from data_pipeline.rendered.filming import textures
from data_pipeline.rendered.filming.overlay import Overlay, choose_overlay
from data_pipeline.rendered.filming.ranges import SceneRanges
from data_pipeline.rendered.filming.recording import Recording, choose_recording
from data_pipeline.rendered.filming.shaded_pen import ShadedPen, choose_surfaces, coloured

CLEAN = Recording(list(range(256)) * 3, None, 0.0, 0.0, None, None, None, None, seed=0)
NOTHING = Overlay(None, (0.0, 0.0, 1.0, 1.0))


def edge_frame(x: int) -> Image.Image:
    """Returns a dark frame with a white part from column x on."""
    pixels = np.full((64, 64, 3), 40, np.uint8)
    pixels[:, x:] = 220
    return Image.fromarray(pixels)


def recorded(picture: Image.Image, **faults) -> np.ndarray:
    return np.asarray(dataclasses.replace(CLEAN, **faults).start()(picture, NOTHING)).astype(int)


def test_a_recording_without_faults_changes_nothing():
    np.testing.assert_array_equal(recorded(edge_frame(20)), np.asarray(edge_frame(20)))


def test_faults_do_what_they_say():
    frame = np.asarray(edge_frame(20)).astype(int)
    assert 40 < recorded(edge_frame(20), blur_px=2.0)[5, 19, 0] < 220
    noise = Image.fromarray(np.random.default_rng(0).normal(128, 10, (128, 128, 3)).astype(np.uint8))
    assert 7 < (recorded(edge_frame(20), grain=noise) - frame).std() < 12
    rough = np.abs(recorded(edge_frame(21), quality=10) - np.asarray(edge_frame(21))).mean()
    assert 1 < rough < 20 and np.abs(recorded(edge_frame(21), quality=95) - np.asarray(edge_frame(21))).mean() < rough
    assert 40 < recorded(edge_frame(20), small_px=16)[5, 20, 0] < 220
    half = Image.new("RGB", (64, 64), (128, 128, 128))
    assert recorded(edge_frame(20), shadow=half).max() in (110, 111)


def test_a_trail_mixes_a_frame_with_the_one_before():
    record = dataclasses.replace(CLEAN, trail=0.25).start()
    first, second = (np.asarray(record(edge_frame(x), NOTHING)).astype(int) for x in (10, 30))
    assert first[0, 20, 0] == 220 and second[0, 20, 0] == pytest.approx(40 + 0.25 * 180, abs=1)


def test_dark_and_bright_recordings_are_dark_and_bright():
    def mean_level(**probabilities):
        means = []
        for seed in range(20):
            ranges = dataclasses.replace(SceneRanges(), **probabilities)
            means.append(np.mean(choose_recording(np.random.default_rng(seed), ranges, size_px=64).levels))
        return float(np.mean(means))

    dark, usual, bright = (mean_level(dark=d, bright=b) for d, b in ((1, 0), (0, 0), (0, 1)))
    assert dark < 0.65 * usual and bright > 1.15 * usual


def test_strengths_stay_in_their_ranges():
    ranges = SceneRanges()
    found = [choose_recording(np.random.default_rng(seed), ranges, size_px=64) for seed in range(200)]
    qualities = [one.quality for one in found if one.quality]
    small = [one.small_px for one in found if one.small_px]
    assert 0.4 < len(qualities) / 200 < 0.6 and min(qualities) >= 10 and max(qualities) <= 60
    assert 0.15 < len(small) / 200 < 0.35 and min(small) >= 96 and max(small) <= 176


def test_bars_cover_what_lies_outside_the_opening():
    for seed in range(12):
        ranges = SceneRanges(bars=1.0, caption=0.0)
        overlay = choose_overlay(np.random.default_rng(seed), ranges, size_px=100)
        assert overlay.layer is not None
        left, top, right, bottom = (round(100 * edge) for edge in overlay.opening)
        hidden = np.asarray(overlay.layer)[..., 3] > 0
        assert not hidden[top:bottom, left:right].any()
        assert hidden.sum() == 100 * 100 - (bottom - top) * (right - left)
        assert 0.6 <= (bottom - top) * (right - left) / 1e4 < 0.9


def test_captions_and_logos_are_visible_and_small():
    for seed in range(12):
        overlay = choose_overlay(np.random.default_rng(seed), SceneRanges(bars=0.0, caption=1.0), size_px=256)
        assert overlay.layer is not None and overlay.opening == (0.0, 0.0, 1.0, 1.0)
        assert 0.001 < (np.asarray(overlay.layer)[..., 3] > 0).mean() < 0.3


@pytest.mark.parametrize(
    "make",
    [
        textures.wood,
        textures.metal,
        textures.lacquer,
        textures.cloth,
        textures.plaster,
        textures.brick,
        textures.foliage,
        textures.planks,
        textures.panes,
    ],
)
def test_textures_vary_around_one(make):
    texture = make(np.random.default_rng(0), 96)
    assert texture.shape == (96, 96) and np.isfinite(texture).all()
    assert 0.6 < texture.mean() < 1.4 and 0.03 < texture.std() < 0.8


def test_a_texture_keeps_its_colour():
    levels = Image.fromarray(np.array([[0, 55, 110, 255]], np.uint8))
    found = np.asarray(coloured(levels, (200, 100, 10)))[0].astype(int)
    assert found[:3].tolist() == [[0, 0, 0], [100, 50, 5], [200, 100, 10]]
    assert (found[3] > found[2]).all()


def test_a_shaded_line_is_lighter_on_the_side_of_the_light():
    surfaces = dataclasses.replace(choose_surfaces(np.random.default_rng(0)), light=(0.0, -1.0))
    image = Image.new("RGB", (100, 100))
    pen = ShadedPen(image, surfaces, material="metal", origin_px=(50, 50), unit_px=10)
    pen.line([(-4.0, 0.0), (4.0, 0.0)], 3.0, (120, 100, 40))
    column = np.asarray(image)[:, 50].astype(int).sum(axis=1)
    assert column[40:50].mean() > 1.3 * column[53:63].mean() > 0
    assert pen.shape_boxes().tolist() == [[-5.0, 35.0, 105.0, 65.0]]
