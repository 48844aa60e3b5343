"""Which player holds which picture: no picture in two splits, the same in every run."""

import pytest
from PIL import Image

from data_pipeline.command import InputError
from data_pipeline.rendered.solo import solo_stem
from data_pipeline.rendered.sound.instruments import CLASSES
from data_pipeline.sources import Place, folder
from data_pipeline.staging.division import Division
from data_pipeline.staging.picture_splits import read_pictures
from data_pipeline.staging.staged_video import Facts


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Returns a folder with 8 violins, 2 cellos and a tuba."""
    root = tmp_path_factory.mktemp("pictures")
    for label, count in (("violin", 8), ("cello", 2), ("tuba", 1)):
        (root / label).mkdir()
        for number in range(count):
            colour = (10 * number, len(label), 50, 200)
            Image.new("RGBA", (40, 20 + number), colour).save(root / label / f"{number}.png")
    return root


def jobs(count):
    return [(name, index) for index in range(count) for name in CLASSES]


def test_no_picture_is_in_two_splits_of_the_prepared_set(tmp_path, pictures):
    choice, remarks = read_pictures(pictures, jobs(40), seed=0, share=0.5)
    for name, index in jobs(40):
        path = tmp_path / name / f"{solo_stem(name, index)}.mp4"
        path.parent.mkdir(exist_ok=True)
        path.touch()
    videos = folder.find_videos(Place(tmp_path)).videos
    facts = [Facts(video.id, video.label, {}, sound_digest=video.id) for video in videos]
    prepared = Division().divide(facts, {}).splits
    seen: dict[str, set[str]] = {}
    for (name, index), held in choice.held.items():
        assert held.picture.label == name
        assert held.split == prepared[f"{name}/{solo_stem(name, index)}"]
        seen.setdefault(held.picture.sha256, set()).add(held.split)
    assert all(len(splits) == 1 for splits in seen.values())
    used = [(held.picture.label, held.split) for held in choice.held.values()]
    assert {split for label, split in used if label == "violin"} == {"train", "validation", "test"}
    # Classes of fewer than three pictures have none for validation and test.
    assert {split for label, split in used if label != "violin"} == {"train"}
    assert 12 <= sum(label == "violin" for label, _ in used) <= 28
    assert remarks[-1] == f"{len(used)} of 440 players hold one of {len(seen)} pictures"


def test_the_choice_depends_on_the_seed_and_not_on_the_order_of_the_solos(pictures):
    first, _ = read_pictures(pictures, jobs(16), seed=1, share=0.5)
    again, _ = read_pictures(pictures, jobs(16)[::-1], seed=1, share=0.5)
    other, _ = read_pictures(pictures, jobs(16), seed=2, share=0.5)
    assert first.held == again.held and first.parameters == again.parameters
    assert first.held != other.held


def test_one_split_and_all_shares(pictures):
    every, _ = read_pictures(pictures, jobs(16), seed=1, share=1.0, split="test")
    assert {(held.picture.label, held.split) for held in every.held.values()} == {("violin", "test")}
    assert len(every.held) == 16
    trained, _ = read_pictures(pictures, jobs(16), seed=1, share=1.0, split="train")
    assert {held.picture for held in every.held.values()}.isdisjoint(held.picture for held in trained.held.values())
    none, _ = read_pictures(pictures, jobs(16), seed=1, share=0.0)
    assert none.held == {}
    for share in (-0.1, 1.1, float("nan")):
        with pytest.raises(InputError, match=r"must be 0 to 1; try 0\.5"):
            read_pictures(pictures, jobs(1), seed=1, share=share)
