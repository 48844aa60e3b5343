import json

import pytest

from data_pipeline.command import InputError
from data_pipeline.staging.division import Division
from data_pipeline.staging.staged_video import Facts


def facts(count=6, digest=None):
    return [Facts(f"v/{n}", "violin", {}, sound_digest=digest or str(n)) for n in range(count)]


def split_file(path, **splits):
    path.write_text(json.dumps(splits))
    return path


def test_by_default_every_class_is_dealt():
    found = Division().divide(facts(16), {})
    assert sorted(found.splits.values()) == ["test"] * 3 + ["train"] * 11 + ["validation"] * 2
    assert Division(split="test").divide(facts(2), {}).splits == {"v/0": "test", "v/1": "test"}
    music = Division(protocol="music").divide(facts(67), {}).splits
    assert [list(music.values()).count(split) for split in ("train", "validation", "test")] == [50, 4, 13]


def test_one_sound_and_one_original_stay_together():
    assert set(Division().divide(facts(6, digest="same"), {}).splits.values()) == {"train"}
    pieces = [Facts(f"{name}_{n}", "violin", {}, sound_digest=name + str(n)) for name in "abcdef" for n in range(3)]
    splits = Division(group=r"(.)_\d").divide(pieces, {}).splits
    assert all(len({splits[f"{name}_{n}"] for n in range(3)}) == 1 for name in "abcdef")
    assert set(splits.values()) == {"train", "validation", "test"}
    # Two originals with one part of identical audio form one group.
    pieces[0] = Facts("a_0", "violin", {}, sound_digest="f1")
    splits = Division(group=r"(.)_\d").divide(pieces, {}).splits
    assert len({splits[f"{name}_{n}"] for name in "af" for n in range(3)}) == 1


def test_a_file_says_which_video_goes_where(tmp_path):
    path = split_file(tmp_path / "splits.json", train=["v/0", "v/1"], val=["v/2"], test=["v/3", "gone"])
    found = Division(file=path).divide(facts(5), {})
    assert found.splits == {"v/0": "train", "v/1": "train", "v/2": "validation", "v/3": "test"}
    assert list(found.left_out) == ["v/4"]
    assert found.absent == ("gone",)
    same = [*facts(2), Facts("v/2", "violin", {}, sound_digest="0")]
    with pytest.raises(InputError, match=r"'v/0' \(train\) and 'v/2' \(validation\) belong together"):
        Division(file=path).divide(same, {})


def test_the_manifest_of_a_set_keeps_its_splits(tmp_path):
    rows = [{"name": f"v/{n}", "split": split} for n, split in enumerate(("test", "train", "validation"))]
    path = tmp_path / "manifest.jsonl"
    path.write_text("\n".join(map(json.dumps, [*rows, {"name": "bad", "split": None}, {"name": "gone"}])))
    found = Division(file=path).divide(facts(4), {})
    assert found.splits == {"v/0": "test", "v/1": "train", "v/2": "validation"}
    path.write_text("no JSON")
    with pytest.raises(InputError, match=r"manifest\.jsonl is no manifest of a prepared set"):
        Division(file=path).divide(facts(4), {})


def test_lists_are_splits_where_asked(tmp_path):
    lists = {"v/0": tmp_path / "train.csv", "v/1": tmp_path / "val.csv"}
    assert Division(by_list=True).divide(facts(2), lists).splits == {"v/0": "train", "v/1": "validation"}
    with pytest.raises(InputError, match="--split_by_list needs lists that stand for splits"):
        Division(by_list=True).divide(facts(2), {})


def test_two_ways_at_once_are_refused(tmp_path):
    with pytest.raises(InputError, match="--split and --split_by_list both say"):
        Division(split="train", by_list=True)
    with pytest.raises(InputError, match=r"--split_file=.*gone\.json is no file; give one"):
        Division(file=tmp_path / "gone.json")
    with pytest.raises(InputError, match="--protocol=x is unknown; use one of default, music, vegas"):
        Division(protocol="x")


def test_what_was_asked_is_recorded(tmp_path):
    path = split_file(tmp_path / "splits.json", train=["a"])
    assert Division().recorded == ""
    assert Division(split="test").recorded == "test"
    before = Division(file=path, group="x").recorded
    split_file(path, train=["b"])
    assert Division(file=path, group="x").recorded != before
