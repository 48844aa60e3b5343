"""Tests of the composition of scenes and of the scores of a perfect map."""

import numpy as np
import pytest

from mpnet_jax.evaluation.scenes import GUESSES, OURS, localisation_results, maps_of_sources, scenes
from mpnet_jax.steps.device_pass import Separator

SIDE = 32
# The player's box in each source's own frame.
BOXES = np.array([[0.25, 0.0, 1.0, 0.5], [0.0, 0.5, 0.5, 1.0]])


def batch_of(count, sources=2):
    """Returns black frames with a white box for the first source's player and a grey one for the second's."""
    frames = np.zeros((count, sources, 1, SIDE, SIDE, 3), np.uint8)
    for source in range(sources):
        top, left, bottom, right = (SIDE * BOXES[source]).astype(int)
        frames[:, source, :, top:bottom, left:right] = 255 if source == 0 else 100
    return {
        "mixture_magnitude": np.ones((count, 4, 4), np.float32),
        "mixture_phase": np.zeros((count, 4, 4), np.float32),
        "frames": frames,
        "boxes": np.broadcast_to(BOXES[:sources, None], (count, sources, 1, 4)).astype(np.float32),
        "valid": np.arange(count) < count - 1,
        "index": np.arange(count),
    }


def brightness(_, batch):
    """Returns the brightness as the energy, so that the white box sounds most."""
    frames = np.asarray(batch["frames"], np.float32)  # (device, batch, frame, height, width, 3)
    *lead, _, height, width, _ = frames.shape
    cells = frames.mean(axis=(2, 5)).reshape(*lead, height // 4, 4, width // 4, 4).mean(axis=(3, 5))
    return {"energy": cells[:, :, None]}


SEPARATOR = Separator(brightness, None)


def test_the_sounding_player_alternates_between_left_and_right():
    made = list(scenes(SEPARATOR, [batch_of(4)]))
    assert [scene.index for scene in made] == [0, 1, 2]  # the last sample is padding
    left, right = made[:2]
    assert left.frame.shape == (SIDE, 2 * SIDE, 3)
    np.testing.assert_allclose(left.box, [0.25, 0.0, 1.0, 0.25])
    np.testing.assert_allclose(left.other, [0.0, 0.75, 0.5, 1.0])
    np.testing.assert_allclose(right.box, [0.25, 0.5, 1.0, 0.75])
    np.testing.assert_allclose(right.other, [0.0, 0.25, 0.5, 0.5])
    for scene in made:
        top, first, bottom, last = scene.box * np.array([SIDE, 2 * SIDE] * 2)
        assert (scene.frame[int(top) : int(bottom), int(first) : int(last)] == 255).all()
        assert (scene.frame == 255).sum() == 3 * (bottom - top) * (last - first)


def test_scores_of_a_perfect_map_and_of_the_baselines():
    made = list(scenes(SEPARATOR, [batch_of(4), batch_of(4)]))
    videos = [(str(number), str(number + 1)) for number in range(len(made))]
    out = localisation_results("two players", made, videos)
    assert out["scenes"] == 6
    assert out["box_share"]["max"] == pytest.approx(0.75 * 0.25)
    assert set(out["guesses"]) == {OURS, "centre", "random"} == set(GUESSES)
    assert {name: value["mean"] for name, value in out["guesses"][OURS].items()} == pytest.approx(
        {"pointing": 1.0, "iou": 1.0, "auc": 1.0, "player": 1.0}
    )
    assert out["guesses"]["centre"]["pointing"]["mean"] < 1
    assert 0.3 < out["guesses"]["random"]["auc"]["mean"] < 0.7


def test_with_one_player_there_is_no_score_for_the_right_player():
    made = list(scenes(SEPARATOR, [batch_of(4, sources=1)]))
    out = localisation_results("one player", made, [("a",), ("b",), ("c",)])
    assert "player" not in out["guesses"][OURS]
    assert out["guesses"][OURS]["auc"]["mean"] == 1.0


def test_maps_of_each_sources_own_picture():
    maps = maps_of_sources(SEPARATOR, batch_of(2))
    assert maps.shape == (2, 2, SIDE // 4, SIDE // 4)
    np.testing.assert_allclose(maps[0].max(axis=(1, 2)), [255.0, 100.0])
    assert np.argwhere(maps[0, 0] == 255)[:, 0].min() == 2  # the box begins a quarter down
