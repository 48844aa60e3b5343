from collections import Counter

import pytest

from data_pipeline.splits import assign_splits, split_sizes


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
