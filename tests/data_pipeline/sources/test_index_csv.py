from pathlib import Path

import pytest

from data_pipeline.command import InputError
from data_pipeline.sources import FrameFolder, Place, Skipped, Video, index_csv


def make(root: Path, *names: str) -> None:
    """Sounds, and folders of pictures where a name ends in "/"."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            path.mkdir()
        else:
            path.touch()


def find(root: Path, *lists: str, label: str = ""):
    paths = []
    for number, text in enumerate(lists):
        paths.append(root.parent / ("train.csv", "val.csv")[number])
        paths[-1].write_text(text)
    return index_csv.find_videos(Place(root, lists=tuple(paths), label=label))


@pytest.fixture
def root(tmp_path):
    make(tmp_path / "root", "audio/violin/a.mp3", "audio/violin/b.wav", "audio/tuba/c.npy", "d.wav")
    make(tmp_path / "root", "frames/violin/a.mp4/", "frames/violin/b.mp4/", "frames/tuba/c/", "frames/d/")
    return tmp_path / "root"


def test_lists_of_sounds_and_pictures(root):
    train = "./audio/violin/a.mp3,./frames/violin/a.mp4,1580\r\naudio/tuba/c.npy,frames/tuba/c,12\n\n"
    listing = find(root, train, "audio/violin/b.wav,frames/violin/b.mp4,7\nd.wav,frames/d/,01\n")
    frames = root / "frames"
    assert listing.videos == (
        Video("audio/tuba/c", root / "audio/tuba/c.npy", "tuba", pictures=FrameFolder(frames / "tuba/c", 12, 8.0)),
        Video(
            "audio/violin/a", root / "audio/violin/a.mp3", "violin", None, FrameFolder(frames / "violin/a.mp4", 1580, 8)
        ),
        Video(
            "audio/violin/b", root / "audio/violin/b.wav", "violin", None, FrameFolder(frames / "violin/b.mp4", 7, 8)
        ),
        Video("d", root / "d.wav", "unlabelled", pictures=FrameFolder(frames / "d", 1, 8.0)),
    )
    assert listing.skipped == {}
    train_csv, val_csv = root.parent / "train.csv", root.parent / "val.csv"
    assert listing.listed_in == {
        "audio/tuba/c": train_csv,
        "audio/violin/a": train_csv,
        "audio/violin/b": val_csv,
        "d": val_csv,
    }


def test_what_is_absent_or_unusable_is_skipped(root, tmp_path):
    make(tmp_path, "elsewhere/e.wav", "elsewhere/pictures/")
    make(root, "audio/violin/f.flac")
    (root / "audio/violin/out.wav").symlink_to(tmp_path / "elsewhere/e.wav")
    (root / "frames/out").symlink_to(tmp_path / "elsewhere/pictures")
    rows = (
        "audio/violin/a.mp3,frames/violin/a.mp4,3\naudio/violin/gone.mp3,frames/violin/a.mp4,3\n"
        "audio/violin/b.wav,frames/violin/gone,3\naudio/tuba/c.npy,d.wav,3\nd.wav,frames/d,0\n"
        "audio/violin/f.flac,frames/d,3\naudio/violin/out.wav,frames/d,3\n"
    )
    listing = find(root, rows)
    assert [video.id for video in listing.videos] == ["audio/violin/a"]
    assert listing.skipped == {
        "audio/violin/gone": Skipped("missing", "violin"),
        "audio/violin/b": Skipped("missing", "violin"),
        "audio/tuba/c": Skipped("missing", "tuba"),
        "d": Skipped("no picture", "unlabelled"),
        "audio/violin/f": Skipped("not a sound's name", "violin"),
        "audio/violin/out": Skipped("link out of the folder", "violin"),
    }
    listing = find(root, "audio/violin/a.mp3,frames/violin/a.mp4,3\nd.wav,frames/out,3\n")
    assert listing.skipped == {"d": Skipped("link out of the folder", "unlabelled")}


def test_absolute_paths_are_the_users_own_word(root, tmp_path):
    make(tmp_path, "elsewhere/cello/e.wav", "elsewhere/pictures/")
    (tmp_path / "elsewhere/pictures/link").symlink_to(root / "frames/d")
    away = tmp_path / "elsewhere"
    rows = f"{root}/audio/violin/a.mp3,{away}/pictures,3\n{away}/cello/e.wav,{away}/pictures/link,3\n"
    listing = find(root, rows)
    assert [(video.id, video.label) for video in listing.videos] == [("audio/violin/a", "violin"), ("cello/e", "cello")]
    assert {video.label for video in find(root, rows, label="string").videos} == {"string"}
    make(tmp_path, "elsewhere/other/cello/e.wav")
    with pytest.raises(InputError, match="have one id, 'cello/e'"):
        find(root, rows + f"{away}/other/cello/e.wav,{away}/pictures,3\n")


def test_a_relative_root(root, monkeypatch):
    monkeypatch.chdir(root)
    (root.parent / "train.csv").write_text(f"d.wav,frames/d,3\n{root}/audio/tuba/c.npy,frames/tuba/c,3\n")
    listing = index_csv.find_videos(Place(Path(), lists=(root.parent / "train.csv",)))
    assert [(video.id, video.label) for video in listing.videos] == [("audio/tuba/c", "tuba"), ("d", "unlabelled")]


A_ROW = "audio/violin/a.mp3,frames/violin/a.mp4,3\n"


@pytest.mark.parametrize(
    ("lists", "sentence"),
    [
        ((A_ROW + "audio,frames,count\n",), r"train\.csv:2 gives 'count' as the number of pictures; write a whole"),
        ((A_ROW + "\nd.wav,frames/d,3.5\n",), r"train\.csv:3 gives '3\.5' as the number"),
        (("d.wav,frames/d,-3\n",), r"train\.csv:1 gives '-3' as the number"),
        (("d.wav,frames/d,²\n",), r"train\.csv:1 gives '²' as the number"),
        (("d.wav,frames/d," + "9" * 5000 + "\n",), r"train\.csv:1 gives '9+' as the number"),
        (("d.wav,3\n",), r"train\.csv:1 holds 'd\.wav,3', which is no row of sound file,folder of pictures,number"),
        (("d.wav,,3\n",), r"train\.csv:1 holds 'd\.wav,,3'"),
        (("../d.wav,frames/d,3\n",), r"train\.csv:1 names '\.\./d\.wav', which leaves --videos=.*absolute path"),
        (("d.wav,frames/../../d,3\n",), r"train\.csv:1 names 'frames/\.\./\.\./d', which leaves"),
        ((A_ROW, A_ROW), r"val\.csv:1 names .*a\.mp3, which .*train\.csv:1 names too; lists are splits, so remove"),
        ((A_ROW + "audio/violin/a.mp3,frames/d,3\n",), r"train\.csv:2 and .*train\.csv:1 give .* different pictures"),
        (("gone.wav,frames/d,3\n",), r"none of the 1 listed sounds with their pictures \(gone: missing\); give the"),
        (("",), r"none of the 0 listed sounds with their pictures \(the lists are empty\)"),
    ],
)
def test_bad_lists_are_refused(root, lists, sentence):
    with pytest.raises(InputError, match=sentence) as caught:
        find(root, *lists)
    assert "\n" not in str(caught.value)


def test_a_row_twice_in_one_list_counts_once(root):
    assert len(find(root, A_ROW + A_ROW).videos) == 1


def test_a_list_and_a_folder_are_needed(root, tmp_path):
    with pytest.raises(InputError, match="this source needs --list=FILE, with rows of sound file"):
        index_csv.find_videos(Place(root))
    with pytest.raises(InputError, match="is not a folder"):
        index_csv.find_videos(Place(root / "nowhere", lists=(tmp_path / "train.csv",)))
