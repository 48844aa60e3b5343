"""Gathering pictures from packages: npm and Debian archives, folders, licences, damaged and hostile archives."""

import io
import json
import lzma
import tarfile

import pytest
from PIL import Image

from data_pipeline.command import InputError
from data_pipeline.gather_pictures import LICENCES, gather
from data_pipeline.gathering.known_packages import CLASS_OF_CLIPART, CLASS_OF_NAME, KNOWN, NAME_OF_CODEPOINT
from data_pipeline.rendered.sound.instruments import CLASSES

SHAPE = '<path d="M2 6h12v4H2z" fill="{}"/>'
SVG = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">{SHAPE}</svg>'


def tar_bytes(files, mode="w:gz"):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode=mode) as archive:
        for name, value in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(value)
            archive.addfile(entry, io.BytesIO(value))
    return content.getvalue()


def npm(path, name, files, version="1.2.3"):
    package = json.dumps({"name": name, "version": version, "license": "MIT"}).encode()
    path.write_bytes(tar_bytes({f"package/{key}": value for key, value in {"package.json": package, **files}.items()}))
    return path


def icons(*names, colour="red"):
    content = {
        "prefix": "x",
        "icons": {name: {"body": SHAPE.format(colour)} for name in names},
        "width": 16,
        "height": 16,
    }
    return {"icons.json": json.dumps(content).encode()}


def ar_bytes(members):
    content = b"!<arch>\n"
    for name, value in members.items():
        content += (
            f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(value):<10}`\n".encode() + value + b"\n" * (len(value) % 2)
        )
    return content


def deb(path, name, files, compression="xz"):
    control = tar_bytes({"./control": f"Package: {name}\nVersion: 1:2.0-3\nDescription: a\n b: c\n".encode()})
    data = lzma.compress(tar_bytes(files, "w")) if compression == "xz" else b"zst"
    path.write_bytes(ar_bytes({"debian-binary": b"2.0\n", "control.tar.gz": control, f"data.tar.{compression}": data}))
    return path


def test_the_tables_name_the_classes_of_the_project():
    assert {*CLASS_OF_NAME.values(), *CLASS_OF_CLIPART.values()} <= set(CLASSES)
    assert set(NAME_OF_CODEPOINT.values()) <= set(CLASS_OF_NAME)
    assert not [name for name in KNOWN if "tuxpaint" in name or "gcompris" in name]


def test_pictures_of_all_kinds_of_packages_and_their_licences(tmp_path):
    music = "./usr/share/openclipart/svg/recreation/music"
    webp = io.BytesIO()
    Image.new("RGBA", (32, 20), (200, 0, 0, 200)).save(webp, "WEBP")
    archives = tmp_path / "archives"
    archives.mkdir()
    npm(archives / "a.tgz", "@iconify-json/game-icons", icons("violin", "tuba", "banjo"))
    npm(archives / "b.tgz", "openmoji", {f"{kind}/svg/1F3BA.svg": SVG.encode() for kind in ("color", "black")})
    npm(archives / "c.tgz", "@lobehub/fluent-emoji-3d", {"assets/1f3b7.webp": webp.getvalue()})
    npm(archives / "d.tgz", "left-pad", {})
    deb(archives / "e.deb", "openclipart-svg", {f"{music}/cello_ganson.svg": SVG.encode(), f"{music}/drum.svg": b""})
    lines = gather([archives], tmp_path / "out")
    found = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*"))
    assert found == [
        LICENCES,
        "cello/openclipart-svg-cello_ganson.svg",
        "saxophone/lobehub-fluent-emoji-3d-saxophone.webp",
        "trumpet/openmoji-trumpet.svg",
        "tuba/iconify-json-game-icons-tuba.svg",
        "violin/iconify-json-game-icons-violin.svg",
    ]
    assert lines[0].startswith("5 pictures in ") and lines[0].endswith(
        "cello 1, saxophone 1, trumpet 1, tuba 1, violin 1"
    )
    assert any("left-pad is unknown here" in line for line in lines)
    assert lines[-1] == "no pictures of accordion, acoustic_guitar, clarinet, erhu, flute, xylophone"
    licences = (tmp_path / "out" / LICENCES).read_text()
    assert (
        "| @iconify-json/game-icons | 1.2.3 | CC-BY-3.0 | MIT | https://game-icons.net | tuba 1, violin 1 |" in licences
    )
    assert "| openclipart-svg | 1:2.0-3 | public domain | - | https://openclipart.org | cello 1 |" in licences


def test_the_same_drawings_are_used_once_whatever_the_order(tmp_path):
    files = npm(tmp_path / "a.tgz", "@twemoji/svg", {"1f3bb.svg": SVG.encode()})
    vector = npm(tmp_path / "b.tgz", "@iconify-json/twemoji", icons("violin"))
    for number, paths in enumerate(([files, vector], [vector, files])):
        lines = gather(paths, tmp_path / f"out{number}")
        assert "left out @twemoji/svg (twemoji): the same drawings as in @iconify-json/twemoji" in lines
        assert [path.name for path in (tmp_path / f"out{number}" / "violin").iterdir()] == [
            "iconify-json-twemoji-violin.svg"
        ]


def test_unpacked_packages_are_read(tmp_path):
    music = tmp_path / "clip" / "usr/share/openclipart/svg/recreation/music"
    music.mkdir(parents=True)
    (music / "flute_ganson.svg").write_text(SVG)
    package = tmp_path / "package"
    package.mkdir()
    (package / "package.json").write_text('{"name": "@iconify-json/mdi", "version": "2"}')
    (package / "icons.json").write_bytes(icons("violin")["icons.json"])
    lines = gather([tmp_path / "clip", package], tmp_path / "out")
    assert lines[0].endswith("flute 1, violin 1")


def test_paths_in_an_archive_lead_nowhere(tmp_path):
    """Names of files come from the tables, and links in an archive are not followed."""
    (tmp_path / "secret.svg").write_text(SVG)
    path = npm(tmp_path / "a.tgz", "@twemoji/svg", {"1f3bb.svg": SVG.encode(), "../../1f3ba.svg": SVG.encode()})
    with tarfile.open(tmp_path / "b.tgz", "w:gz") as archive:
        for member in tarfile.open(path):
            archive.addfile(member, tarfile.open(path).extractfile(member))
        link = tarfile.TarInfo("package/1f3b7.svg")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "secret.svg")
        archive.addfile(link)
    gather([tmp_path / "b.tgz"], tmp_path / "out" / "deep")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tgz", "b.tgz", "out", "secret.svg"]
    assert [path.name for path in (tmp_path / "out" / "deep").glob("*/*")] == ["twemoji-svg-violin.svg"]


def test_unusable_pictures_are_left_out(tmp_path):
    path = npm(tmp_path / "a.tgz", "@twemoji/svg", {"1f3bb.svg": SVG.encode(), "1f3ba.svg": b"<svg"})
    assert "left out trumpet/twemoji-svg-trumpet.svg: damaged" in gather([path], tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.tgz", b"no archive", "cannot be read"),
        ("a.deb", b"no archive", "cannot be read"),
        ("a.deb", b"!<arch>\n" + b"x" * 70, "cannot be read"),
        ("a.deb", ar_bytes({"debian-binary": b"2.0\n"}), "is no Debian package"),
        ("a.deb", ar_bytes({"data.tar.zst": b"?"}), "Zstandard, which is not read here; unpack it by `dpkg-deb -x`"),
        ("a.tgz", tar_bytes({"package/a.svg": b""}), "no package.json"),
        ("a.tgz", tar_bytes({"package/package.json": b"[]"}), "damaged package.json"),
        ("a.tgz", tar_bytes({"package/package.json": b'{"name": "x"}'})[:60], "cannot be read"),
    ],
    # Names of our own: the bytes of an archive hold the time at which it was written.
    ids=["text.tgz", "text.deb", "noise.deb", "empty.deb", "zstandard.deb", "nameless.tgz", "list.tgz", "cut.tgz"],
)
def test_damaged_packages_are_one_sentence(tmp_path, name, content, sentence):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=sentence):
        gather([tmp_path / name], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_refusals(tmp_path):
    path = npm(tmp_path / "a.tgz", "@iconify-json/noto", {"icons.json": b"{}"})
    with pytest.raises(InputError, match="the package @iconify-json/noto is damaged"):
        gather([path], tmp_path / "out")
    with pytest.raises(InputError, match="no usable picture of an instrument; known packages are"):
        gather([npm(tmp_path / "b.tgz", "left-pad", {})], tmp_path / "out")
    with pytest.raises(InputError, match="does not exist; download it first"):
        gather([tmp_path / "nowhere.tgz"], tmp_path / "out")
    with pytest.raises(InputError, match="is empty; name"):
        gather([], tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no package"):
        gather([tmp_path / "empty"], tmp_path / "out")
    with pytest.raises(InputError, match="is not empty; choose a new folder"):
        gather([path], tmp_path)
    assert not (tmp_path / "out").exists()
