"""Folders of pictures: what is found, and that everything left out is named and counted."""

import pytest
from PIL import Image

from data_pipeline.command import InputError
from data_pipeline.rendered.pictures.folder import find_pictures

CLASSES = ("cello", "flute", "violin")


def picture(path, colour=(200, 30, 40)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGBA", (40, 20), (*colour, 200)).save(path)


def test_pictures_are_found_by_class_and_the_others_are_counted(tmp_path):
    picture(tmp_path / "in" / "violin" / "a.png")
    picture(tmp_path / "in" / "violin" / "copy.PNG")
    picture(tmp_path / "in" / "violin" / ".hidden.png", (1, 2, 3))
    picture(tmp_path / "outside.png", (9, 9, 9))
    (tmp_path / "in" / "violin" / "link.png").symlink_to(tmp_path / "outside.png")
    (tmp_path / "in" / "violin" / "bad.jpg").write_bytes(b"?")
    (tmp_path / "in" / "violin" / "notes.txt").write_text("no picture")
    (tmp_path / "in" / "LICENCES.md").write_text("-")
    (tmp_path / "in" / "cello").mkdir()
    for name in ("harp/a.png", "harp/b.png", "drum/a.png"):
        picture(tmp_path / "in" / name)
    found = find_pictures(tmp_path / "in", CLASSES)
    assert sorted(each.name for each in found.pictures) == ["violin/a.png", "violin/link.png"]
    assert found.remarks == (
        "skipped 1 pictures (copies of others): violin/copy.PNG",
        "skipped 1 pictures (damaged): violin/bad.jpg",
        "skipped 3 pictures of 2 unknown classes: drum, harp",
        "no pictures of cello, flute: these instruments are drawn",
    )


def test_a_picture_in_two_classes_is_used_once(tmp_path):
    picture(tmp_path / "cello" / "a.png")
    picture(tmp_path / "violin" / "a.png")
    found = find_pictures(tmp_path, CLASSES)
    assert [each.name for each in found.pictures] == ["cello/a.png"]
    assert "skipped 1 pictures (copies of others): violin/a.png" in found.remarks


def test_a_folder_without_pictures_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match="is no folder; name one that holds pictures as violin"):
        find_pictures(tmp_path / "nowhere", CLASSES)
    (tmp_path / "violin").mkdir()
    with pytest.raises(InputError, match=r"holds no usable picture of cello, flute, violin \(0 files left out\)"):
        find_pictures(tmp_path, CLASSES)
    (tmp_path / "violin" / "a.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"\(1 files left out\)"):
        find_pictures(tmp_path, CLASSES)
