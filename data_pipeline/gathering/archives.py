"""Reads downloaded packages: npm archives (.tgz), Debian archives (.deb) and unpacked folders.

Nothing is unpacked to the disk. The wanted files are returned with their contents, and the caller chooses the names
under which they are saved, so a path in an archive cannot lead out of a folder.
"""

import dataclasses
import io
import json
import lzma
import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from data_pipeline.command import InputError

ARCHIVES = (".tgz", ".tar.gz", ".deb")
_MAX_BYTES = 256 << 20
# Files by which an unpacked Debian package is recognised.
_DEBIAN_FOLDERS = {
    "openclipart-svg": "usr/share/openclipart/svg",
    "fonts-noto-color-emoji": "usr/share/fonts/truetype/noto",
}


@dataclasses.dataclass(frozen=True)
class Package:
    """A downloaded package.

    Attributes:
        name: Name in the registry.
        version: Version; "unknown" for an unpacked Debian package.
        licence: Licence that the package states; "" for none.
        files: Function from a predicate on paths to the (path, content) of the files that satisfy it, sorted by path.
    """

    name: str
    version: str
    licence: str
    files: Callable[[Callable[[str], bool]], list[tuple[str, bytes]]]


def list_packages(paths: list[Path]) -> list[Path]:
    """Returns the packages that paths stand for: a folder that holds archives stands for all of them.

    Raises:
        InputError: A path does not exist, or there are no paths.
    """
    if not paths:
        raise InputError("--packages is empty; name .tgz or .deb files, or a folder of them")
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise InputError(f"--packages={path} does not exist; download it first")
        archives = sorted(entry for entry in path.iterdir() if entry.name.endswith(ARCHIVES)) if path.is_dir() else []
        found += archives or [path]
    return found


def open_package(path: Path) -> Package:
    """Reads the name and version of a package.

    Args:
        path: An archive or a folder.

    Raises:
        InputError: It is no package, is damaged, or holds a file that is too large.
    """
    try:
        if path.is_dir():
            return _open_folder(path)
        if path.name.endswith(".deb"):
            return _open_debian(path)
        return _open_npm(lambda wanted: _tar_files(path.read_bytes(), wanted, strip=1), path)
    except (tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, ValueError, OSError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"--packages={path} cannot be read ({error}); download it again") from error


def _open_npm(files: Callable[[Callable[[str], bool]], list[tuple[str, bytes]]], path: Path) -> Package:
    found = dict(files(lambda name: name == "package.json"))
    if "package.json" not in found:
        raise InputError(f"--packages={path} is no npm package, because it has no package.json; download it again")
    content = json.loads(found["package.json"])
    if not isinstance(content, dict):
        raise InputError(f"--packages={path} has a damaged package.json; download it again")
    return Package(
        str(content.get("name", "")), str(content.get("version", "unknown")), str(content.get("license") or ""), files
    )


def _open_folder(path: Path) -> Package:
    def files(wanted: Callable[[str], bool]) -> list[tuple[str, bytes]]:
        named = {entry.relative_to(path).as_posix(): entry for entry in path.rglob("*")}
        return [(name, named[name].read_bytes()) for name in sorted(named) if wanted(name) and named[name].is_file()]

    if (path / "package.json").is_file():
        return _open_npm(files, path)
    for name, folder in _DEBIAN_FOLDERS.items():
        if (path / folder).is_dir():
            return Package(name, "unknown", "", files)
    raise InputError(
        f"--packages={path} holds no package; name a folder with a package.json, or with .tgz or .deb files"
    )


def _open_debian(path: Path) -> Package:
    members = dict(_ar_members(path.read_bytes()))
    parts: dict[str, bytes] = {}
    for name, content in members.items():
        if name.startswith(("control.tar", "data.tar")):
            if name.endswith(".zst"):
                raise InputError(
                    f"--packages={path} is compressed by Zstandard, which is not read here; unpack it by `dpkg-deb -x` "
                    "and name the folder"
                )
            parts[name.split(".")[0]] = content
    if parts.keys() != {"control", "data"}:
        raise InputError(f"--packages={path} is no Debian package; download it again")
    control = dict(_tar_files(parts["control"], lambda name: name == "control"))
    fields = dict(
        line.split(": ", 1) for line in control.get("control", b"").decode().splitlines() if line[:1].isalpha()
    )
    return Package(
        fields.get("Package", ""),
        fields.get("Version", "unknown"),
        "",
        lambda wanted: _tar_files(parts["data"], wanted),
    )


def _ar_members(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Yields name and content of the members of an `ar` archive."""
    if not content.startswith(b"!<arch>\n"):
        raise ValueError("not an ar archive")
    place = 8
    while place + 60 <= len(content):
        header = content[place : place + 60]
        size = int(header[48:58])
        name = header[:16].decode("ascii", "replace").strip().rstrip("/")
        if size < 0 or place + 60 + size > len(content):
            raise ValueError("cut off")
        yield name, content[place + 60 : place + 60 + size]
        place += 60 + size + size % 2


def _tar_files(content: bytes, wanted: Callable[[str], bool], *, strip: int = 0) -> list[tuple[str, bytes]]:
    """Returns the wanted regular files of a compressed tar archive; `strip` folders are removed from their paths."""
    found: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:*") as archive:
        for member in archive:
            name = "/".join(part for part in member.name.split("/")[strip:] if part != ".")
            if not (member.isreg() and wanted(name)):
                continue
            if member.size > _MAX_BYTES:
                raise ValueError(f"{name} has {member.size >> 20} MB")
            file = archive.extractfile(member)
            assert file is not None
            found[name] = file.read()
    return sorted(found.items())
