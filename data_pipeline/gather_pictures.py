"""Gathers free pictures of instruments from packages that were downloaded before, for `render_solos --pictures`.

    npm pack @iconify-json/noto openmoji && apt-get download openclipart-svg
    python -m data_pipeline.gather_pictures --packages=. --out=data/pictures

The folder receives `<class>/<package>-<name>.svg` and `LICENCES.md`, which lists packages, versions and licences.
docs/DATA.md names the packages. Nothing is downloaded here.
"""

import re
from collections import Counter
from pathlib import Path

from absl import flags, logging

from data_pipeline import command
from data_pipeline.atomic import atomic_folder
from data_pipeline.command import InputError
from data_pipeline.gathering.archives import Package, list_packages, open_package
from data_pipeline.gathering.known_packages import KNOWN, Drawings
from data_pipeline.gathering.pick import pick_pictures
from data_pipeline.rendered.pictures.raster import UnusablePicture, read_cutout
from data_pipeline.rendered.sound.instruments import CLASSES

LICENCES = "LICENCES.md"


def gather(paths: list[Path], out: Path) -> list[str]:
    """Gathers pictures.

    Args:
        paths: Archives, unpacked packages, or folders of archives. Where several packages hold the same drawings, the
            first one in `KNOWN` is used, so that one drawing does not occur in two splits. Other packages are skipped.
        out: A new or empty folder.

    Returns:
        Lines for the user: the number of pictures of each class, and what was left out.

    Raises:
        InputError: A package is damaged, nothing was found, or `out` holds something.
    """
    if out.is_dir() and any(out.iterdir()):
        raise InputError(f"--out={out} is not empty; choose a new folder")
    remarks: list[str] = []
    packages: list[Package] = []
    for path in list_packages(paths):
        package = open_package(path)
        if package.name in KNOWN:
            packages.append(package)
        else:
            remarks.append(f"left out {path}: the package {package.name or 'without a name'} is unknown here")
    packages.sort(key=lambda package: list(KNOWN).index(package.name))
    counts: Counter[str] = Counter()
    rows: list[str] = []
    used: dict[str, str] = {}
    with atomic_folder(out, (*CLASSES, LICENCES)) as folder:
        for package in packages:
            for drawings in KNOWN[package.name]:
                if first := used.get(drawings.drawings):
                    remarks.append(f"left out {package.name} ({drawings.drawings}): the same drawings as in {first}")
                    continue
                saved = _save(folder, package, drawings, remarks)
                if saved:
                    used[drawings.drawings] = package.name
                    counts.update(saved)
                    rows.append(_row(package, drawings, saved))
        if not rows:
            raise InputError(
                f"the packages hold no usable picture of an instrument; known packages are {', '.join(KNOWN)}"
            )
        (folder / LICENCES).write_text(_licences(rows), encoding="utf-8")
    found = ", ".join(f"{name} {counts[name]}" for name in CLASSES if counts[name])
    missing = ", ".join(name for name in CLASSES if not counts[name])
    lines = [f"{counts.total()} pictures in {out}: {found}", *remarks]
    return [*lines, f"no pictures of {missing}"] if missing else lines


def _save(folder: Path, package: Package, drawings: Drawings, remarks: list[str]) -> Counter[str]:
    """Saves the usable pictures of one set of drawings; returns their number for each class."""
    slug = re.sub(r"[^a-z0-9]+", "-", package.name.lower()).strip("-")
    saved: Counter[str] = Counter()
    for picture in pick_pictures(package, drawings):
        part = "" if len(KNOWN[package.name]) == 1 else f"{drawings.drawings}-"
        target = folder / picture.label / f"{slug}-{part}{picture.name}.{picture.suffix}"
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(picture.content)
        try:
            read_cutout(target)
        except UnusablePicture as error:
            target.unlink()
            remarks.append(f"left out {picture.label}/{target.name}: {error}")
        else:
            saved[picture.label] += 1
    return saved


def _row(package: Package, drawings: Drawings, saved: Counter[str]) -> str:
    found = ", ".join(f"{name} {count}" for name, count in sorted(saved.items()))
    stated = package.licence or "-"
    return f"| {package.name} | {package.version} | {drawings.licence} | {stated} | {drawings.source} | {found} |"


def _licences(rows: list[str]) -> str:
    return "\n".join(
        [
            "# Licences of the pictures",
            "",
            "The name of a file begins with the name of its package. Whoever publishes the pictures, or videos that",
            "show them, must observe the licence: CC-BY asks for the names of the authors, CC-BY-SA also for the same",
            "licence.",
            "",
            "| package | version | licence of the pictures | licence that the package states | source | pictures |",
            "|---|---|---|---|---|---|",
            *rows,
            "",
        ]
    )


def main() -> None:
    """Runs the command."""
    values = flags.FLAGS
    for line in gather(values.packages, values.out):
        logging.info("%s", line)


if __name__ == "__main__":
    command.define_paths(
        "packages", None, "Packages: .tgz or .deb files, unpacked ones, or folders of such files.", required=True
    )
    command.define_path("out", None, "New folder to write into.", required=True)
    command.run(main)
