import json

import numpy as np
import pytest

from benchmarks.rendered_players import draw_scenes, scores, share_counted
from data_pipeline.command import InputError

RATE = 2000
WINDOWS = [(0.5 * place, 0.5 * place + 1.0) for place in range(7)]


def players():
    rng = np.random.default_rng(0)
    return rng.normal(0, 0.1, (2, 4 * RATE)).astype(np.float32)


def test_scores_of_the_truth_and_of_swapped_stems():
    truth = players()
    options = {"rate_hz": RATE, "windows": WINDOWS}
    right = scores(truth, truth, places=[0.2, 0.8], **options)
    assert min(right["nsdr"]) > 100 and right["right_player"] == right["keeps_number"] == 1.0
    # The order of the stems does not matter: their locations assign them.
    assert scores(truth[::-1], truth, places=[0.8, 0.2], **options)["nsdr"] == pytest.approx(right["nsdr"])
    wrong = scores(truth, truth, places=[0.8, 0.2], **options)
    assert max(wrong["nsdr"]) < -10 and wrong["right_player"] == 0.0
    assert wrong["nsdr_best_order"] == pytest.approx(right["nsdr"]) and wrong["keeps_number"] == 1.0


def test_a_stem_that_changes_its_player_is_counted():
    truth = players()
    stems = truth.copy()
    stems[:, 3 * RATE :] = truth[::-1, 3 * RATE :]
    found = scores(stems, truth, rate_hz=RATE, places=[0.2, 0.8], windows=[(0, 1), (1, 2), (2, 3), (3, 4)])
    assert found["keeps_number"] == 0.75


def test_only_windows_in_which_both_play_count():
    truth = players()
    truth[1, : 2 * RATE] = 0
    stems = truth.copy()
    stems[:, :RATE] = truth[::-1, :RATE]
    found = scores(stems, truth, rate_hz=RATE, places=[0.2, 0.8], windows=[(0, 1), (1, 2), (2, 3), (3, 4)])
    assert found["keeps_number"] == 1.0


def test_scenes_use_every_solo_before_reusing_one(tmp_path):
    rows = [
        {"name": f"{label}/{number}", "class": label, "file": f"{label}/{number}.mp4", "split": split}
        for label in ("cello", "flute", "tuba")
        for number, split in enumerate(("train", "test", "test"))
    ]
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_text("\n".join(map(json.dumps, rows)))
    scenes = draw_scenes(tmp_path, manifest, split="test", count=9, seed=0)
    names = [name for scene in scenes for name in scene.names]
    assert all(one.partition("/")[0] != other.partition("/")[0] for one, other in (s.names for s in scenes))
    assert set(names) == {row["name"] for row in rows if row["split"] == "test"}
    assert np.ptp([names.count(name) for name in set(names)]) <= 1
    assert scenes == draw_scenes(tmp_path, manifest, split="test", count=9, seed=0)
    with pytest.raises(InputError, match="fewer than 2 classes"):
        draw_scenes(tmp_path, manifest, split="validation", count=1, seed=0)
    with pytest.raises(InputError, match="does not exist"):
        draw_scenes(tmp_path, tmp_path / "no.jsonl", split="test", count=1, seed=0)


def test_scenes_of_other_numbers_of_players(tmp_path):
    rows = [
        {"name": label, "class": label, "file": f"{label}.mp4", "split": "test"} for label in ("cello", "flute", "tuba")
    ]
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_text("\n".join(map(json.dumps, rows)))
    scenes = draw_scenes(tmp_path, manifest, split="test", count=4, seed=0, players=3)
    assert all(sorted(scene.names) == ["cello", "flute", "tuba"] for scene in scenes)
    alone = draw_scenes(tmp_path, manifest, split="test", count=3, seed=0, players=1)
    assert sorted(scene.names for scene in alone) == [("cello",), ("flute",), ("tuba",)]
    with pytest.raises(InputError, match="fewer than 4 classes"):
        draw_scenes(tmp_path, manifest, split="test", count=1, seed=0, players=4)


def test_a_scene_is_counted_right_only_by_its_own_number():
    rows = [{"videos": (str(place),), "counted": counted} for place, counted in enumerate((1, 1, 2, 1))]
    assert share_counted(rows, 1)["mean"] == 0.75
