from pathlib import Path

import pytest

from data_pipeline.command import InputError
from data_pipeline.sources import Place, Skipped, vegas


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def found(listing) -> list[tuple[str, str]]:
    return [(video.id, video.label) for video in listing.videos]


@pytest.mark.parametrize("above", ["", "data/", "videos/", "VEGAS/data/"])
@pytest.mark.parametrize("between", ["", "videos/"])
def test_class_folders_with_and_without_a_level_between(tmp_path, above, between):
    names = [f"{above}{label}/{between}video_0000{number}.mp4" for label in ("dog", "baby_cry") for number in (1, 2)]
    touch(tmp_path, *names, "README.md", "stray.mp4")
    listing = vegas.find_videos(Place(tmp_path))
    assert found(listing) == [
        ("baby_cry/video_00001", "baby_cry"),
        ("baby_cry/video_00002", "baby_cry"),
        ("dog/video_00001", "dog"),
        ("dog/video_00002", "dog"),
    ]
    assert listing.videos[2].path == tmp_path / names[0]
    assert listing.skipped == {
        "README.md": Skipped("other file"),
        "stray.mp4": Skipped("in no class folder"),
    }
    everything = vegas.find_videos(Place(tmp_path, label="sound"))
    assert ("sound/stray", "sound") in found(everything)
    assert ("dog/video_00001", "sound") in found(everything)


def test_of_both_layouts_with_one_video_the_first_is_taken(tmp_path):
    touch(tmp_path, "dog/video_00001.mp4", "dog/videos/video_00001.mp4")
    listing = vegas.find_videos(Place(tmp_path))
    assert [video.path for video in listing.videos] == [tmp_path / "dog" / "video_00001.mp4"]
    assert listing.skipped == {"dog/videos/video_00001.mp4": Skipped("another file has its id", "dog")}


@pytest.mark.parametrize("header", ["", "path,class\n"])
def test_a_list_gives_the_classes(tmp_path, header):
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    touch(root, "dog/videos/video_00001.mp4", "dog/videos/not_listed.mp4", "cat, big/a.mp4", "b.mp4", "notes.txt")
    touch(elsewhere, "drum/c.mp4", "d.mp4")
    (root / "link.mp4").symlink_to(elsewhere / "d.mp4")
    rows = header + (
        "dog/videos/video_00001.mp4,Dog barking\n"
        "./dog/../dog/videos/video_00001.mp4,Dog barking\n"
        "dog/videos/video_00001.mp4,Dog howling\n"
        '\n"cat, big/a.mp4", cat\r\n'
        "b.mp4,bird\n"
        f"{elsewhere}/drum/c.mp4,drum\n"
        "gone/e.mp4,bird\nlink.mp4,bird\nnotes.txt,bird\ndog/videos,dog\n"
    )
    (tmp_path / "list.csv").write_text(rows)
    listing = vegas.find_videos(Place(root, lists=(tmp_path / "list.csv",)))
    assert found(listing) == [
        ("bird/b", "bird"),
        ("cat, big/a", "cat"),
        ("dog/video_00001", "Dog barking"),
        ("drum/c", "drum"),
    ]
    assert listing.skipped == {
        "dog/videos/video_00001.mp4 under Dog howling": Skipped("listed under another class before", "Dog howling"),
        "gone/e.mp4": Skipped("missing", "bird"),
        "link.mp4": Skipped("link out of the folder", "bird"),
        "notes.txt": Skipped("other file", "bird"),
        "dog/videos": Skipped("other file", "dog"),
    }


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ("a.mp4\n", r"list\.csv:1 holds 'a\.mp4', not path,class"),
        ("a.mp4,dog\n\nb.mp4,\n", r"list\.csv:3 holds 'b\.mp4,', not path,class"),
        ("a.mp4,dog\n../b.mp4,dog\n", r"list\.csv:2 names '\.\./b\.mp4', which leaves --videos="),
        ("a.mp4,dog\ndog/../../b.mp4,dog\n", r"list\.csv:2 names .* which leaves"),
        ('a.mp4,"dog\n', r"list\.csv:1 is no CSV"),
        ("gone.mp4,dog\n", "holds none of the listed videos; give the folder that the list's paths start from"),
        ("path,class\n", "holds none of the listed videos"),
        ("a\0.mp4,dog\n", "holds none of the listed videos"),
    ],
)
def test_bad_lists_are_refused(tmp_path, rows, sentence):
    touch(tmp_path, "root/a.mp4", "b.mp4")
    (tmp_path / "list.csv").write_text(rows)
    with pytest.raises(InputError, match=sentence) as caught:
        vegas.find_videos(Place(tmp_path / "root", lists=(tmp_path / "list.csv",)))
    assert "\n" not in str(caught.value)


def test_no_videos_are_refused(tmp_path):
    touch(tmp_path, "stray.mp4")
    with pytest.raises(InputError, match="no videos in class folders; give the folder ROOT of"):
        vegas.find_videos(Place(tmp_path))
    with pytest.raises(InputError, match="is not a folder"):
        vegas.find_videos(Place(tmp_path / "nowhere"))
