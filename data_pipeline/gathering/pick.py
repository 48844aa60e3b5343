"""Picks the pictures of instruments from a package."""

import io
import json
from typing import Any, NamedTuple

from PIL import Image, ImageDraw, ImageFont

from data_pipeline.command import InputError
from data_pipeline.gathering.archives import Package
from data_pipeline.gathering.known_packages import CLASS_OF_CLIPART, CLASS_OF_NAME, NAME_OF_CODEPOINT, Drawings

_SUFFIXES = ("svg", "png", "webp")
# The one size in which the font's bitmaps exist, and the size of these.
_FONT_PX = 109
_GLYPH_PX = 136


class PickedPicture(NamedTuple):
    """A picture of an instrument from a package.

    Attributes:
        label: Class of the instrument.
        name: Name in the package, without folders.
        suffix: Suffix of the file's name, without a dot.
        content: The file.
    """

    label: str
    name: str
    suffix: str
    content: bytes


def pick_pictures(package: Package, drawings: Drawings) -> list[PickedPicture]:
    """Picks the pictures of one set of drawings.

    Args:
        package: The package.
        drawings: One of its entries in `known_packages.KNOWN`.

    Raises:
        InputError: The package is damaged.
    """
    try:
        if drawings.layout == "iconify":
            return _from_iconify(package)
        if drawings.layout == "font":
            return _from_font(package, drawings.folder)
        return _from_files(package, drawings)
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"the package {package.name} is damaged ({error}); download it again") from error


def _from_iconify(package: Package) -> list[PickedPicture]:
    content: dict[str, Any] = json.loads(dict(package.files(lambda name: name == "icons.json"))["icons.json"])
    picked = []
    for name, label in CLASS_OF_NAME.items():
        icon = content["icons"].get(name)
        if icon is None:
            continue
        values = {"left": 0, "top": 0, "width": 16, "height": 16} | content | icon
        box = " ".join(f"{float(values[key]):g}" for key in ("left", "top", "width", "height"))
        svg = (
            '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
            f'viewBox="{box}">{icon["body"]}</svg>\n'
        )
        picked.append(PickedPicture(label, name, "svg", svg.encode()))
    return picked


def _from_files(package: Package, drawings: Drawings) -> list[PickedPicture]:
    names = {
        "codepoint": {code: CLASS_OF_NAME[name] for code, name in NAME_OF_CODEPOINT.items()},
        "name": CLASS_OF_NAME,
        "clipart": CLASS_OF_CLIPART,
    }[drawings.layout]

    def parts(path: str) -> tuple[str, str, str]:
        folder, _, file = path.rpartition("/")
        stem, _, suffix = file.rpartition(".")
        return folder, stem.lower(), suffix.lower()

    def wanted(path: str) -> bool:
        folder, stem, suffix = parts(path)
        return folder == drawings.folder and stem in names and suffix in _SUFFIXES

    found = [(*parts(path)[1:], content) for path, content in package.files(wanted)]
    return [
        PickedPicture(names[stem], NAME_OF_CODEPOINT.get(stem, stem), suffix, content)
        for stem, suffix, content in found
    ]


def _from_font(package: Package, path: str) -> list[PickedPicture]:
    font = ImageFont.truetype(io.BytesIO(dict(package.files(lambda name: name == path))[path]), _FONT_PX)
    picked = []
    for code, name in NAME_OF_CODEPOINT.items():
        image = Image.new("RGBA", (2 * _GLYPH_PX, 2 * _GLYPH_PX))
        ImageDraw.Draw(image).text((_GLYPH_PX / 2, _GLYPH_PX / 2), chr(int(code, 16)), font=font, embedded_color=True)
        if image.getbbox() is None:
            continue
        file = io.BytesIO()
        image.crop(image.getbbox()).save(file, "PNG")
        picked.append(PickedPicture(CLASS_OF_NAME[name], name, "png", file.getvalue()))
    return picked
