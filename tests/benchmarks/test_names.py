import json

import numpy as np
import pytest
from PIL import Image

from benchmarks.names import Named, best_threshold, in_frame, read_solos, summarise, table, wilson
from data_pipeline.command import InputError

SOUNDS = [
    Named("a", "violin", "violin", 0.9),
    Named("b", "violin", "cello", 0.6),
    Named("c", "acoustic_guitar", "acoustic guitar", 0.2),
    Named("d", "flute", None, 0.0),
    Named("e", "erhu", "violin", 0.4),
    Named("f", "erhu", "harp", 0.1),
]


def test_wilson_intervals():
    # statsmodels 0.14: proportion_confint(7, 10, method="wilson").
    assert wilson(7, 10)["ci95"] == pytest.approx([0.39677, 0.89221], abs=1e-4)
    assert wilson(0, 5)["ci95"][0] == 0.0 and wilson(5, 5)["ci95"][1] == 1.0
    assert wilson(0, 0) == {"share": None, "ci95": None, "count": 0}


def test_sounds_are_right_wrong_or_unknown():
    found = summarise(SOUNDS, 0.3)
    shares = {key: found[key]["share"] for key in ("top1", "right", "wrong", "unknown", "right_of_named")}
    assert shares == {"top1": 0.5, "right": 0.25, "wrong": 0.25, "unknown": 0.5, "right_of_named": 0.5}
    assert found["without_class_unknown"]["share"] == 0.5 and found["without_class_unknown"]["count"] == 2
    assert found["by_class"]["violin"] == {"right": 1, "wrong": 1, "unknown": 0, "top1": 1}
    assert "right_of_named         0.50" in table("players", found)


def test_the_best_threshold_has_the_most_right_minus_wrong_names():
    assert best_threshold(SOUNDS) == {"threshold": 0.9, "right_minus_wrong": 1}
    assert best_threshold([SOUNDS[1]]) == {"threshold": 1.0, "right_minus_wrong": 0}


def test_a_picture_lies_in_the_middle_of_its_frame():
    frame = in_frame(Image.new("RGBA", (40, 20), (255, 0, 0, 255)), 128)
    rows, columns = np.nonzero((frame == (255, 0, 0)).all(axis=2))
    assert frame.shape == (320, 320, 3) and (frame[0] == 128).all()
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (110, 209, 60, 259)


def test_solos_of_a_split(tmp_path):
    manifest = tmp_path / "manifest.jsonl"
    rows = [{"name": f"cello/{s}", "class": "cello", "file": f"cello/{s}.mp4", "split": s} for s in ("train", "test")]
    manifest.write_text("\n".join(map(json.dumps, rows)))
    assert [solo.file for solo in read_solos(tmp_path, manifest, "test")] == [tmp_path / "cello" / "test.mp4"]
    with pytest.raises(InputError, match="no solos in its validation split"):
        read_solos(tmp_path, manifest, "validation")
    with pytest.raises(InputError, match="does not exist"):
        read_solos(tmp_path, tmp_path / "no.jsonl", "test")
