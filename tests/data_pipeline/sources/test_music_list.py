import json
from pathlib import Path

import pytest

from data_pipeline.command import InputError
from data_pipeline.sources import Place, Skipped, music_list

DATA = Path(__file__).parent / "data"
SOLO, DUET, MUSIC21 = (DATA / f"{name}_part.json" for name in ("MUSIC_solo", "MUSIC_duet", "MUSIC21_solo"))


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def write_list(path: Path, videos: dict[str, list[str]]) -> Path:
    path.write_text(json.dumps({"videos": videos}), encoding="utf-8")
    return path


def test_published_lists_give_classes_and_what_is_missing(tmp_path):
    touch(tmp_path, "jW_AuF6dQYY.mp4", "tuba/-X4loU7hcpw.webm", "any/folder/Zqg4DwXmYBI.MKV", "flute/2tG4y_uyEAY.mp4")
    touch(tmp_path, "A tuba [loud] [LKMBOuDkEqo].mp4", "eHbxLcoLWYY_000010.mp4", "flute/kw-OQpF9N4E.mp4")
    touch(tmp_path, "2tG4y_uyEAY.json", "flute/2tG4y_uyEAY.json", "[3wPouBFa9U0] title.mp4", ".part/AKNt1SF-5VA.mp4")
    listing = music_list.find_videos(Place(tmp_path, lists=(SOLO, DUET)))
    assert [(video.id, video.label, video.path.relative_to(tmp_path).as_posix()) for video in listing.videos] == [
        ("-X4loU7hcpw", "tuba", "tuba/-X4loU7hcpw.webm"),
        ("2tG4y_uyEAY", "tuba", "flute/2tG4y_uyEAY.mp4"),
        ("LKMBOuDkEqo", "tuba", "A tuba [loud] [LKMBOuDkEqo].mp4"),
        ("Zqg4DwXmYBI", "trumpet tuba", "any/folder/Zqg4DwXmYBI.MKV"),
        ("jW_AuF6dQYY", "flute", "jW_AuF6dQYY.mp4"),
    ]
    assert listing.videos[1].boxes_path == tmp_path / "flute/2tG4y_uyEAY.json"
    assert listing.skipped == {
        "3wPouBFa9U0": Skipped("missing", "flute"),
        "eHbxLcoLWYY": Skipped("missing", "flute"),
        "AKNt1SF-5VA": Skipped("missing", "tuba"),
        "o3a6F070Xt0": Skipped("missing", "trumpet tuba"),
        "n8-2q4dheyU": Skipped("missing", "trumpet tuba"),
        "eHbxLcoLWYY_000010.mp4": Skipped("not in the list"),
        "flute/kw-OQpF9N4E.mp4": Skipped("not in the list"),
        "[3wPouBFa9U0] title.mp4": Skipped("not in the list"),
        "2tG4y_uyEAY.json": Skipped("other file"),
        ".part": Skipped("hidden"),
    }


def test_one_label_for_all(tmp_path):
    touch(tmp_path, "jW_AuF6dQYY.mp4")
    listing = music_list.find_videos(Place(tmp_path, lists=(SOLO,), label="wind"))
    assert {video.label for video in listing.videos} == {"wind"}
    assert set(listing.skipped.values()) == {Skipped("missing", "wind")}


def test_lists_that_overlap():
    labels, skipped = music_list.read_labels((SOLO, MUSIC21))
    assert len(labels) == 7 + 4
    assert skipped == {}
    assert labels["-ktVpJDWu_k"] == "bagpipe"


def test_an_id_under_two_classes_stays_under_its_first(tmp_path):
    touch(tmp_path, "both.mp4", "one.mp4")
    path = write_list(tmp_path / "list.json", {"violin": ["one", "both", "one"], "viola": ["both"]})
    listing = music_list.find_videos(Place(tmp_path, lists=(path,)))
    assert [(video.id, video.label) for video in listing.videos] == [("both", "violin"), ("one", "violin")]
    assert listing.skipped["both under viola"] == Skipped("listed under another class before", "viola")


@pytest.mark.parametrize("second", ["tuba/jW_AuF6dQYY.mp4", "jW_AuF6dQYY.webm", "title [jW_AuF6dQYY].mp4"])
def test_of_two_files_for_one_id_the_first_is_taken(tmp_path, second):
    touch(tmp_path, "jW_AuF6dQYY.mp4", second)
    listing = music_list.find_videos(Place(tmp_path, lists=(SOLO,)))
    assert [video.path.name for video in listing.videos] == ["jW_AuF6dQYY.mp4"]
    assert listing.skipped[second].reason == "another file has its id"


def test_nothing_there_says_how_to_fetch_it(tmp_path):
    with pytest.raises(InputError, match=r"none of the 7 listed videos as <id>.mp4; fetch them with"):
        music_list.find_videos(Place(tmp_path, lists=(SOLO,)))
    with pytest.raises(InputError, match="nowhere is not a folder"):
        music_list.find_videos(Place(tmp_path / "nowhere", lists=(SOLO,)))


def test_a_list_is_needed(tmp_path):
    with pytest.raises(InputError, match=r"this source needs --list=FILE, such as MUSIC_solo_videos.json"):
        music_list.find_videos(Place(tmp_path))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "no JSON file that can be used"),
        ("[]", "does not hold"),
        ('{"version": 1.0}', "does not hold"),
        ('{"videos": ["a"]}', "does not hold"),
        ('{"videos": {}}', "does not hold"),
        ('{"videos": {"flute": []}}', "lists no videos"),
        ('{"videos": {"flute": "jW_AuF6dQYY"}}', "list of ids under class 'flute'"),
        ('{"videos": {"flute": [3]}}', "list of ids under class 'flute'"),
        ('{"videos": {"flute": [""]}}', "list of ids under class 'flute'"),
        ('{"videos": {" ": ["a"]}}', "list of ids under class ' '"),
        ('{"videos": {"flute": ["a"], "flute": ["b"]}}', "the key 'flute' comes twice"),
        (b"\xff\xfe", "is empty"),
        ("", "is empty"),
        (b"\xff\xfe\x00", "no text in a known encoding; save it as UTF-8"),
        (b"\x89PNG\r\n\x1a\n", "no text in a known encoding; save it as UTF-8"),
        ('{"videos": {}}\n{"videos": {}}\n', "no JSON file that can be used"),
        ("[" * 100_000, "no JSON file that can be used"),
    ],
)
def test_bad_lists_are_refused(tmp_path, content, sentence):
    path = tmp_path / "list.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=rf"list\.json .*{sentence}") as caught:
        music_list.read_labels((path,))
    assert "\n" not in str(caught.value)


def test_lists_that_cannot_be_read_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.json cannot be read \(No such file"):
        music_list.read_labels((tmp_path / "nowhere.json",))
    with pytest.raises(InputError, match="is not a file; give one"):
        music_list.read_labels((tmp_path,))
    path = write_list(tmp_path / "list.json", {"flute": ["a"]})
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())  # a byte order mark, as some editors write
    assert music_list.read_labels((path,)) == ({"a": "flute"}, {})
