import os

import pytest

from data_pipeline.command import InputError
from data_pipeline.foreign_text import as_path, as_text, read_json, read_text
from data_pipeline.sources import list_files
from data_pipeline.staging import splits

ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1", "cp1252"]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_text_is_read_in_any_usual_encoding(tmp_path, encoding):
    path = tmp_path / "list.csv"
    path.write_bytes("flûte,violón\r\n\r\nb,c\rd,e".encode(encoding))
    assert read_text(path) == "flûte,violón\n\nb,c\nd,e"
    assert [cells for _, cells in list_files.csv_rows(path)] == [["flûte", "violón"], ["b", "c"], ["d", "e"]]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_split_file_is_read_in_any_usual_encoding(tmp_path, encoding):
    wanted = {"flûte/a": "train", "flûte/b": "test"}
    for name, content in {
        "s.json": '{"train": ["flûte/a"],\r\n"test": ["flûte/b"]}',
        "s.jsonl": '{"name": "flûte/a", "split": "train"}\r\n\r\n{"name": "flûte/b", "split": "test"}\r\n',
        "s.csv": "id,split\r\nflûte/a,train\r\nflûte/b,test\r\n",
    }.items():
        (tmp_path / name).write_bytes(content.encode(encoding))
        assert splits.read_split_file(tmp_path / name) == wanted


@pytest.mark.parametrize(
    "content",
    [b"\x89PNG\r\n\x1a\n\xff", "flûte,violón".encode()[:-2], b"\xff\xfe\x00", b"\xef\xbb\xbf\xff", b"a\x81\xff"],
)
def test_what_is_no_text_is_refused(tmp_path, content):
    path = tmp_path / "list.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"list\.csv is no text in a known encoding; save it as UTF-8"):
        read_text(path)


def test_an_empty_file_is_empty_text_and_no_json(tmp_path):
    path = tmp_path / "list.json"
    path.write_bytes(b"\xef\xbb\xbf\r\n")
    assert read_text(path) == "\n"
    with pytest.raises(InputError, match=r"list\.json is empty"):
        read_json(path)


@pytest.mark.parametrize("name", [b"a.mp4", "二胡.mp4".encode(), b"\xff.mp4"])
def test_paths_in_text_have_the_bytes_of_the_disk(name):
    assert as_text(os.fsdecode(name)).encode("utf-8", "surrogateescape") == name
    assert os.fsencode(as_path(as_text(os.fsdecode(name)))) == name
