"""Filmed solos: boxes hold the visible part of the player in every shot, seeds decide everything."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image, ImageDraw

from data_pipeline.rendered import solo
from data_pipeline.rendered.drawing.animation import FRAME_PX, Held, Staging
from data_pipeline.rendered.drawing.look import Look
from data_pipeline.rendered.drawing.motion import Pose
from data_pipeline.rendered.drawing.pen import Pen
from data_pipeline.rendered.filming import footage
from data_pipeline.rendered.filming.footage import Footage
from data_pipeline.rendered.filming.ranges import SceneRanges
from data_pipeline.rendered.filming.recording import Recording
from data_pipeline.rendered.pictures.raster import cut_out
from data_pipeline.rendered.sound import synthesise
from data_pipeline.rendered.sound.compose import Note
from data_pipeline.rendered.sound.instruments import CLASSES
from data_pipeline.rendered.variety import VARIETIES

NOTES = [Note(0.2 * k, 0.2 * k + 0.18, 60 + 2 * (k % 4), 100) for k in range(10)]
CLEAN = Recording(list(range(256)) * 3, None, 0.0, 0.0, None, None, None, None, seed=0)
# Nothing hides the player, and bars leave at least two thirds of the frame.
OPEN = SceneRanges(heads=0.0, caption=0.0, bars=0.5)
SHOTS = ((1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0), (0.0, 0.0, 0.0, 1.0))


@pytest.fixture
def clean(monkeypatch):
    """Replaces the recording with one without faults, so that only the player changes pixels."""
    monkeypatch.setattr(footage, "choose_recording", lambda *_, **__: CLEAN)


def film_of(name, *, notes=NOTES, ranges=OPEN, seed=0, seconds=2.0, held=None):
    staging = Staging(held=Held(held, np.random.default_rng([7, seed])) if held else None)
    return Footage(
        name,
        notes,
        np.random.default_rng([seed, 1]),
        index=seed,
        seed=0,
        seconds=seconds,
        ranges=ranges,
        staging=staging,
    )


def without_player(film: Footage) -> np.ndarray:
    """Returns the frames of a film from which the player and the instrument are missing."""

    def draw_nothing(pen: Pen, look: Look, pose: Pose) -> None:
        del look, pose
        pen._place([(0.0, 0.0)], 0.0)

    film._draw_figure = draw_nothing
    return np.stack([frame for frame, _ in film])


def bottle():
    """Returns a green shape with a thin and a wide end."""
    image = Image.new("RGBA", (300, 300))
    canvas = ImageDraw.Draw(image)
    canvas.rectangle((20, 140, 200, 160), fill=(0, 255, 0, 255))
    canvas.ellipse((180, 100, 280, 200), fill=(0, 255, 0, 255))
    return cut_out(image)


@pytest.mark.parametrize("shots", SHOTS)
@pytest.mark.parametrize(("name", "held"), [("violin", False), ("tuba", False), ("flute", True), ("accordion", True)])
@pytest.mark.usefixtures("clean")
def test_boxes_are_those_of_the_visible_part_of_the_player(shots, name, held):
    for seed in range(3):
        ranges = dataclasses.replace(OPEN, shots=shots)
        film = film_of(name, ranges=ranges, seed=seed, held=bottle() if held else None)
        frames, boxes = zip(*film, strict=True)
        changed = np.abs(np.stack(frames).astype(int) - without_player(film)).max(axis=3) > 6
        for mask, box in zip(changed, boxes, strict=True):
            ymin, xmin, ymax, xmax = np.array(box) * FRAME_PX
            assert 0 <= ymin < ymax <= FRAME_PX and 0 <= xmin < xmax <= FRAME_PX
            rows, columns = np.nonzero(mask)
            assert rows.min() >= ymin - 3 and rows.max() <= ymax + 3
            assert columns.min() >= xmin - 3 and columns.max() <= xmax + 3
            # Tight, except where the player has the colour of the background.
            assert (np.ptp(rows) + 1) * (np.ptp(columns) + 1) > 0.6 * (ymax - ymin) * (xmax - xmin)


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.usefixtures("clean")
def test_the_instrument_is_visible_in_every_frame(name):
    for seed, shots in enumerate(SHOTS):
        film = film_of(name, notes=NOTES[:5], ranges=dataclasses.replace(OPEN, shots=shots), seed=seed, seconds=1.0)
        with_player = np.stack([frame for frame, _ in film]).astype(int)
        changed = np.abs(with_player - without_player(film)).max(axis=3) > 6
        assert changed.mean(axis=(1, 2)).min() > 0.004


@pytest.mark.usefixtures("clean")
def test_the_instrument_alone_has_no_player():
    alone = dataclasses.replace(OPEN, shots=SHOTS[3], listeners=(1.0,))
    film = film_of("trumpet", ranges=alone)
    pen = film._pen(Image.new("RGB", (8, 8)), film.poses[0])
    film._draw_figure(pen, film.look, film.poses[0])
    assert film.shot.alone and not any(pen._reached_by_person)


def test_everything_depends_on_the_seed():
    first, again, other = (np.stack([frame for frame, _ in film_of("cello", seed=seed)]) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_styles_of_the_held_out_set_are_not_used():
    assert VARIETIES["broad"].scene is not None
    assert not set(VARIETIES["broad"].styles) & set(VARIETIES["far"].styles)
    assert all(VARIETIES[name].scene is None for name in ("plain", "wide", "far"))


def test_a_film_can_be_drawn_twice():
    film = film_of("flute", ranges=SceneRanges(), seed=5)
    first, again = (np.stack([frame for frame, _ in film]) for _ in range(2))
    np.testing.assert_array_equal(first, again)


@pytest.mark.usefixtures("clean")
def test_listeners_are_drawn_and_silent_instruments_are_rare_and_small():
    def first_frame(listeners):
        ranges = dataclasses.replace(OPEN, shots=SHOTS[0], listeners=listeners)
        return next(iter(film_of("violin", ranges=ranges)))[0].astype(int)

    change = np.abs(first_frame((0.0, 0.0, 0.0, 1.0)) - first_frame((1.0,))).max(axis=2)
    assert (change > 20).mean() > 0.03
    assert SceneRanges().silent_instrument <= 0.1 and SceneRanges().silent_length[1] ** 2 < 0.06


def test_half_of_the_broad_solos_are_filmed_and_none_of_the_others():
    filmed = {
        variety: [solo.is_filmed(VARIETIES[variety], name, index=k, seed=0) for name in CLASSES for k in range(20)]
        for variety in VARIETIES
    }
    assert 0.42 < np.mean(filmed["broad"]) < 0.58
    assert not any(any(filmed[variety]) for variety in ("plain", "wide", "far"))


def test_a_rendered_solo_names_its_shot(tmp_path):
    index = next(k for k in range(9) if solo.is_filmed(VARIETIES["broad"], "tuba", index=k, seed=0))
    solo.render_solo(
        tmp_path,
        "tuba",
        index=index,
        seed=0,
        seconds=2.0,
        renderer=synthesise.additive_renderer(),
        options=solo.SoloOptions(kinds=VARIETIES["broad"]),
    )
    facts = json.loads((tmp_path / "tuba" / f"tuba_{index:03d}.json").read_text(encoding="utf-8"))
    assert facts["style"] == "filmed" and facts["shot"] in ("full", "part", "close", "alone")
    assert len(facts["boxes"]) == 20 and np.ptp(np.array(facts["boxes"])[:, [0, 2]], axis=1).min() > 0
