import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from data_pipeline.command import InputError
from data_pipeline.sources import Place, Skipped, files, folder
from tests.support.repository import ROOT

NOBODY = 65534

# Lists a folder as a user who is not root, because permissions do not apply to root.
AS_NOBODY = f"""
import json, os, sys
from pathlib import Path
from data_pipeline.command import InputError
from data_pipeline.sources import Place, folder
if os.geteuid() == 0:
    os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})
try:
    found = folder.find_videos(Place(Path(sys.argv[1])))
    print(json.dumps([[video.id for video in found.videos], found.skipped]))
except InputError as error:
    print(json.dumps(str(error)))
"""


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def list_as_nobody(root: Path):
    command = [sys.executable, "-c", AS_NOBODY, str(root)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    return json.loads(result.stdout)


@pytest.fixture
def open_folder():
    """Yields a folder that other users can reach, unlike pytest's own, and restores all permissions afterwards."""
    root = Path(tempfile.mkdtemp())
    root.chmod(0o755)
    yield root
    for path in [root, *root.rglob("*")]:
        path.chmod(0o755)
    shutil.rmtree(root)


def test_everything_that_is_no_video_is_accounted_for(tmp_path):
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    touch(root, "b.MP4", "violin/a.mp4", "violin/a.json", "violin/year/c.mkv", "rendered_solos.json", "download.json")
    touch(root, ".hidden/d.mp4", "violin/._a.mp4", "violin/notes.txt", "violin/c.json", "violin/a.mp4.part")
    touch(elsewhere, "e.mp4", "f.json")
    (root / "out.mp4").symlink_to(elsewhere / "e.mp4")
    (root / "violin/out.mp4").symlink_to(elsewhere / "e.mp4")
    (root / "linked").symlink_to(elsewhere)
    (root / "b.json").symlink_to(elsewhere / "f.json")
    listing = folder.find_videos(Place(root))
    assert [(video.id, video.label) for video in listing.videos] == [
        ("b", "unlabelled"),
        ("violin/a", "violin"),
        ("violin/year/c", "violin"),
    ]
    assert [video.boxes_path for video in listing.videos] == [None, root / "violin/a.json", None]
    assert listing.skipped == {
        ".hidden": Skipped("hidden"),
        "violin/._a.mp4": Skipped("hidden"),
        "violin/a.mp4.part": Skipped("other file"),
        "violin/c.json": Skipped("other file"),
        "violin/notes.txt": Skipped("other file"),
        "linked": Skipped("link to a folder"),
        "out.mp4": Skipped("link out of the folder"),
        "violin/out.mp4": Skipped("link out of the folder", "violin"),
    }
    assert {video.label for video in folder.find_videos(Place(root, label="cello")).videos} == {"cello"}


def test_many_other_files_of_a_folder_are_one_entry(tmp_path):
    touch(tmp_path, "a.mp4", *(f"pictures/{number:06d}.jpg" for number in range(101)))
    assert folder.find_videos(Place(tmp_path)).skipped == {"pictures/ (101 files)": Skipped("other file")}


def test_links_that_lead_nowhere_and_pipes_are_never_opened(tmp_path):
    touch(tmp_path, "a.mp4")
    (tmp_path / "loop.mp4").symlink_to("loop.mp4")
    (tmp_path / "one.mp4").symlink_to("other.mp4")
    (tmp_path / "other.mp4").symlink_to("one.mp4")
    (tmp_path / "gone.mp4").symlink_to("nothing.mp4")
    (tmp_path / "a.json").symlink_to("a.json")
    (tmp_path / "inside.mp4").symlink_to("a.mp4")
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "ring").mkdir()
    (tmp_path / "ring/back").symlink_to(tmp_path)
    listing = folder.find_videos(Place(tmp_path))
    assert [video.id for video in listing.videos] == ["a", "inside"]
    assert listing.videos[0].boxes_path is None
    assert listing.skipped == {
        "gone.mp4": Skipped("broken link"),
        "loop.mp4": Skipped("broken link"),
        "one.mp4": Skipped("broken link"),
        "other.mp4": Skipped("broken link"),
        "pipe.mp4": Skipped("not a file"),
        "ring/back": Skipped("link to a folder"),
    }


def test_odd_names_give_ids_of_valid_unicode(tmp_path):
    try:
        (tmp_path / os.fsdecode(b"se\xf1or.mp4")).touch()
    except OSError:
        pytest.skip("this file system takes only names in UTF-8")
    touch(tmp_path, "año.mp4", "\N{VIOLIN} 東京/\N{WOMAN}\N{ZERO WIDTH JOINER}\N{ROCKET}.mp4", "two\nlines.mp4")
    (tmp_path / os.fsdecode(b"cl\xffss")).mkdir()
    (tmp_path / os.fsdecode(b"cl\xffss/notes\xff.txt")).touch()
    (tmp_path / os.fsdecode(b"cl\xffss/a.mp4")).touch()
    listing = folder.find_videos(Place(tmp_path))
    assert [video.id for video in listing.videos] == [
        "año",
        r"cl\xffss/a",
        r"se\xf1or",
        r"two\nlines",
        "\N{VIOLIN} 東京/\N{WOMAN}\N{ZERO WIDTH JOINER}\N{ROCKET}",
    ]
    assert listing.videos[1].label == r"cl\xffss"
    assert list(listing.skipped) == [r"cl\xffss/notes\xff.txt"]
    for video in listing.videos:
        video.id.encode()
        assert video.path.exists()
    (tmp_path / r"se\xf1or.mp4").touch()
    again = folder.find_videos(Place(tmp_path))
    assert len(again.videos) == len(listing.videos)
    assert again.skipped[r"se\xf1or.mp4"] == Skipped("another file has its id", "unlabelled")


def test_what_may_not_be_read_is_skipped(open_folder):
    touch(open_folder, "a.mp4", "locked/b.mp4", "names_only/c.mp4", "violin/d.mp4", "violin/e.mp4")
    (open_folder / "locked").chmod(0)
    (open_folder / "names_only").chmod(0o744)  # other users may list it but not enter it
    (open_folder / "violin/d.mp4").chmod(0)
    if os.geteuid() != 0:
        (open_folder / "names_only").chmod(0o444)
    ids, skipped = list_as_nobody(open_folder)
    assert ids == ["a", "violin/e"]
    assert skipped == {
        "locked": ["not readable", ""],
        "names_only/c.mp4": ["not readable", "names_only"],
        "violin/d.mp4": ["not readable", "violin"],
    }


def test_a_folder_that_may_not_be_read_is_refused(open_folder):
    touch(open_folder, "inner/a.mp4")
    (open_folder / "inner").chmod(0)
    message = list_as_nobody(open_folder / "inner")
    assert message == (
        f"--videos={open_folder}/inner cannot be read (Permission denied); allow it with chmod, or give another folder"
    )
    assert "is not a folder" in list_as_nobody(open_folder / "inner" / "deeper")


def test_of_twins_the_first_is_taken(tmp_path):
    touch(tmp_path, "cello/a.mp4", "cello/a.webm")
    listing = folder.find_videos(Place(tmp_path))
    assert [video.path.name for video in listing.videos] == ["a.mp4"]
    assert listing.skipped == {"cello/a.webm": Skipped("another file has its id", "cello")}


def test_folders_without_videos_are_refused(tmp_path):
    touch(tmp_path, "notes.txt")
    with pytest.raises(InputError, match=r"holds no videos; give a folder of files that FFmpeg reads"):
        folder.find_videos(Place(tmp_path))
    with pytest.raises(InputError, match=r"notes\.txt is not a folder; give one"):
        folder.find_videos(Place(tmp_path / "notes.txt"))


def test_names_become_one_line():
    assert files.safe_name("a\tb\r\u2028c d\\e") == r"a\tb\r\u2028c d\e"
    assert files.shortened(["a", "b"]) == "a, b"
    assert files.shortened(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"
