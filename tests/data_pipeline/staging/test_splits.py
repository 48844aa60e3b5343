import hashlib
import json
import re
from collections import Counter
from pathlib import Path

import pytest

from data_pipeline.command import InputError
from data_pipeline.sources import Skipped
from data_pipeline.staging.splits import (
    PROTOCOLS,
    SPLITS,
    assign_splits,
    check_leakage,
    groups_by,
    read_split_file,
    split_sizes,
    splits_by_list,
    splits_from_file,
)

# Videos of each class in MUSIC_solo_videos.json.
MUSIC_CLASSES = {
    "flute": 48,
    "acoustic_guitar": 56,
    "accordion": 60,
    "xylophone": 49,
    "erhu": 53,
    "tuba": 51,
    "saxophone": 25,
    "cello": 57,
    "violin": 53,
    "clarinet": 41,
    "trumpet": 43,
}


def ids_of(label: str, count: int) -> dict[str, str]:
    return {f"{label}/{number:03d}": label for number in range(count)}


@pytest.mark.parametrize(
    ("videos", "sizes"),
    [(0, (0, 0, 0)), (1, (1, 0, 0)), (2, (2, 0, 0)), (3, (1, 1, 1)), (5, (3, 1, 1)), (16, (11, 2, 3))],
)
def test_sizes(videos, sizes):
    assert split_sizes(videos) == sizes


def test_every_class_is_divided_alike():
    labels = ids_of("violin", 16) | ids_of("tuba", 16) | ids_of("erhu", 2)
    splits = assign_splits(list(labels), labels)
    counts = Counter((labels[video], split) for video, split in splits.items())
    for label in ("violin", "tuba"):
        assert [counts[label, split] for split in ("train", "validation", "test")] == [11, 2, 3]
    assert counts["erhu", "train"] == 2


def test_order_and_other_classes_change_nothing():
    labels = ids_of("violin", 16) | ids_of("tuba", 7)
    forward = assign_splits(list(labels), labels)
    assert assign_splits(list(reversed(labels)), labels) == forward
    violins = [video for video, label in labels.items() if label == "violin"]
    assert assign_splits(violins, labels) == {video: forward[video] for video in violins}


def test_outcome_is_the_same_on_every_machine():
    # `printf c | sha256sum` begins 2e7d, b's begins 3e23, a's begins ca97.
    labels = dict.fromkeys("abc", "x")
    assert assign_splits(["a", "b", "c"], labels) == {"c": "train", "b": "validation", "a": "test"}


def test_unknown_class_and_repetition_are_refused():
    with pytest.raises(ValueError, match="'b' has no class"):
        assign_splits(["a", "b"], {"a": "x"})
    with pytest.raises(ValueError, match="'a' comes more than once"):
        assign_splits(["a", "a"], {"a": "x"})


def totals(splits: dict[str, str]) -> list[int]:
    return [list(splits.values()).count(split) for split in SPLITS]


def test_default_splits_stay_what_they_were():
    labels = {video: label for name, count in MUSIC_CLASSES.items() for video, label in ids_of(name, count).items()}
    splits = assign_splits(list(labels), labels)
    # Recorded with the first version: existing data sets keep their splits.
    digest = hashlib.sha256(json.dumps(sorted(splits.items())).encode()).hexdigest()
    assert digest.startswith("a05ad36acfa92686")
    assert assign_splits(list(labels), labels, PROTOCOLS["default"]) == splits
    assert assign_splits(list(labels), labels, groups={}) == splits


def test_protocols_come_close_to_the_stated_numbers():
    labels = {video: label for name, count in MUSIC_CLASSES.items() for video, label in ids_of(name, count).items()}
    # 536 videos in the proportion 500 : 40 : 130 are 400.0, 32.0 and 104.0.
    assert totals(assign_splits(list(labels), labels, PROTOCOLS["music"])) == [401, 31, 104]
    sizes = [split_sizes(2800, PROTOCOLS["vegas"]) for _ in range(10)]
    assert [sum(split) for split in zip(*sizes, strict=True)] == [25000, 1000, 2000]


@pytest.mark.parametrize("parts", [(1, 1, 1), (1, 50, 50), (1, 100, 0), (3, 0, 1), (1, 0, 0), *PROTOCOLS.values()])
def test_every_share_gets_a_video_and_zero_gets_none(parts):
    for videos in range(3, 100):
        sizes = split_sizes(videos, parts)
        assert sum(sizes) == videos
        assert [size > 0 for size in sizes] == [part > 0 for part in parts]


@pytest.mark.parametrize("parts", [(0, 1, 1), (5, -1, 1)])
def test_parts_that_are_no_shares_are_refused(parts):
    with pytest.raises(ValueError, match=re.escape(f"parts={parts} must be whole numbers")):
        assign_splits([], {}, parts)


def test_pieces_of_one_video_stay_together():
    labels = {
        f"{original}_{piece:06d}": label for original, label in ids_of("violin", 16).items() for piece in range(5)
    }
    labels |= {"violin/003": "violin"}  # the complete video, together with its parts
    groups = groups_by(r"(.*)_\d{6}", list(labels))
    splits = assign_splits(list(labels), labels, groups=groups)
    check_leakage(splits, groups)
    assert sum(totals(splits)) == 16 * 5 + 1
    of_originals = assign_splits(list(ids_of("violin", 16)), ids_of("violin", 16))
    assert {groups[video]: split for video, split in splits.items()} == of_originals
    with pytest.raises(InputError, match=r"belong together \('violin/000'\) but lie in two splits; put them into one"):
        check_leakage(assign_splits(list(labels), labels), groups)


def test_a_group_across_classes_goes_to_one_split():
    labels = ids_of("violin", 8) | ids_of("tuba", 8)
    groups = {f"{label}/{number:03d}": f"duo {number}" for number in range(8) for label in ("violin", "tuba")}
    splits = assign_splits(list(labels), labels, groups=groups)
    check_leakage(splits, groups)
    assert totals(splits) == [2 * size for size in split_sizes(8)]
    assert assign_splits(list(reversed(labels)), labels, groups=groups) == splits


def test_equal_sounds_in_two_splits_are_found():
    check_leakage({"a": "train", "b": "test"}, {})
    with pytest.raises(InputError, match=r"^'a' \(train\) and 'b' \(test\) belong together \('digest'\)"):
        check_leakage({"b": "test", "a": "train"}, {"a": "digest", "b": "digest"})


@pytest.mark.parametrize(
    ("pattern", "groups"),
    [
        (r"^.{3}", {"abc_1": "abc", "abc_2": "abc", "de": "de"}),
        (r"^(?:x|(abc))?", {"abc_1": "abc", "abc_2": "abc", "de": "de"}),
        (r"_(1)", {"abc_1": "1", "abc_2": "abc_2", "de": "de"}),
    ],
)
def test_patterns_name_the_original(pattern, groups):
    assert groups_by(pattern, ["abc_1", "abc_2", "de"]) == groups


@pytest.mark.parametrize(
    ("pattern", "sentence"),
    [
        (
            "(",
            r"the pattern '\(' is no regular expression \(missing \), unterminated subpattern at position 0\); fix it",
        ),
        ("xyz", "the pattern 'xyz' matches none of the ids, such as a, b; fix it"),
        ("x*", "matches none of the ids"),
    ],
)
def test_patterns_that_cannot_be_used_are_refused(pattern, sentence):
    with pytest.raises(InputError, match=sentence):
        groups_by(pattern, ["b", "a"])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("s.json", '{"train": ["violin/a", "b"], "val": ["c, d"], "test": ["e", "e"]}'),
        ("s.csv", 'violin/a,train\nb,TRAIN\n\n"c, d",val\ne,test\ne,test\n'),
        ("s.txt", 'id,split\r\nviolin/a,train\r\nb,train\r\n"c, d", validation\r\ne,test'),
    ],
)
def test_split_files(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    listed = read_split_file(tmp_path / name)
    assert listed == {"violin/a": "train", "b": "train", "c, d": "validation", "e": "test"}
    found = splits_from_file(["b", "violin/x", "e"], {"b": "cello", "violin/x": "violin", "e": "cello"}, listed)
    assert found.splits == {"b": "train", "e": "test"}
    assert found.left_out == {"violin/x": Skipped("not in the split file", "violin")}
    assert found.absent == ("c, d", "violin/a")


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("s.json", '{"train": ["a"], "test": ["b", "a"]}', "puts 'a' into train and into test; remove it from one"),
        ("s.csv", "a,val\na,validation\na,test", "puts 'a' into validation and into test"),
        ("s.json", '{"training": ["a"]}', "names the split 'training'; use one of train, validation, test"),
        ("s.csv", "a,train\nb,dev", r"s\.csv:2 names the split 'dev'"),
        ("s.csv", "a,train\nb", r"s\.csv:2 holds 'b', not id,split"),
        ("s.csv", ",train", r"s\.csv:1 holds ',train', not id,split"),
        ("s.csv", "id,split\n", "names no videos; give rows of id,split or JSON"),
        ("s.json", "[]", r'does not hold \{"train": \[ids\]'),
        ("s.json", '{"train": "a"}', "does not hold a list of ids under 'train'"),
        ("s.json", '{"train": [1]}', "does not hold a list of ids under 'train'"),
        ("s.json", '{"train": ["a"], "train": ["b"]}', "the key 'train' comes twice"),
        ("s.json", "train", "no JSON file"),
    ],
)
def test_bad_split_files_are_refused(tmp_path, name, content, sentence):
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=sentence):
        read_split_file(tmp_path / name)


def test_a_split_file_of_other_videos_is_refused():
    with pytest.raises(
        InputError, match=r"none of the 1 videos: it has ids such as 'a', the videos such as 'violin/a'"
    ):
        splits_from_file(["violin/a"], {"violin/a": "violin"}, {"a": "train", "b": "test"})
    assert splits_from_file([], {}, {"a": "train"}).absent == ("a",)


def test_lists_named_after_splits():
    listed_in = {
        "a": Path("x/train.csv"),
        "b": Path("music_val.csv"),
        "c": Path("Test-2.csv"),
        "d": Path("x/train.csv"),
    }
    assert splits_by_list(listed_in) == {"a": "train", "b": "validation", "c": "test", "d": "train"}
    for name in ("solo.csv", "trainer.csv", "train_val.csv"):
        with pytest.raises(InputError, match=rf"{name} does not tell its split by its name; call it train\.csv"):
            splits_by_list({"a": Path(name)})
