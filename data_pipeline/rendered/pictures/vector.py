"""Renders SVG files without access to other files, and within limits on their size.

resvg opens absolute paths in `href` by itself, and nested `use` elements can multiply the work without limit. An SVG
file is therefore parsed here first, references to anything outside the file are removed, and its size is checked.
"""

import base64
import binascii
import io
import xml.etree.ElementTree as ET

from PIL import Image

from data_pipeline.command import InputError

MAX_BYTES = 16 << 20
_MAX_DEPTH = 200
# Converts lengths in millimetres, as CSS does.
_DPI = 96.0
# Elements after all `use` elements are replaced by what they show. Detailed clip art has some thousands.
_MAX_ELEMENTS = 200_000
_MAX_EMBEDDED_PIXELS = 16 << 20
_EMBEDDED = ("data:image/png;base64,", "data:image/jpeg;base64,", "data:image/jpg;base64,")


class UnusableSvg(ValueError):
    """An SVG file that cannot or must not be rendered; the message says why in a few words."""


def render_svg(content: bytes, *, side_px: int) -> Image.Image:
    """Renders an SVG file on a transparent background.

    Args:
        content: The file. Text is left out, because it would depend on the fonts of the machine.
        side_px: Longer side of the result.

    Returns:
        An RGBA image.

    Raises:
        UnusableSvg: The file is damaged or too large when rendered.
        InputError: The renderer is not installed.
    """
    try:
        import resvg_py  # needed for SVG files only
    except ImportError as error:
        raise InputError("SVG pictures need the package resvg-py; run `pip install 'resvg-py>=0.5,<0.6'`") from error
    if len(content) > MAX_BYTES:
        raise UnusableSvg("too large")
    text = _without_references(content)
    try:
        rendered = resvg_py.svg_to_bytes(
            svg_string=text, width=side_px, height=side_px, skip_system_fonts=True, dpi=_DPI
        )
    except (KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException as error:  # a panic of the Rust library is no Exception
        raise UnusableSvg("damaged") from error
    with Image.open(io.BytesIO(bytes(rendered))) as image:
        return image.convert("RGBA")


def _without_references(content: bytes) -> str:
    """Returns the document without references to other files, comments, entities and processing instructions.

    The parser reads no external entities, and it limits the expansion of internal ones.
    """
    try:
        root = ET.fromstring(content)  # noqa: S314 - see above
    except (ET.ParseError, ValueError, LookupError) as error:
        raise UnusableSvg("damaged") from error
    if _local(root.tag) != "svg":
        raise UnusableSvg("damaged")
    _check_depth(root)
    for element in root.iter():
        for name in [name for name in element.attrib if _local(name) in ("href", "src", "base")]:
            value = element.attrib[name].strip()
            embedded = _local(element.tag) == "image" and _is_small_picture(value)
            if not (value.startswith("#") or embedded):
                del element.attrib[name]
    _check_uses(root)
    return ET.tostring(root, encoding="unicode")


def _is_small_picture(value: str) -> bool:
    """Returns whether a `data:` address holds a PNG or JPEG file of a moderate number of pixels."""
    head = next((head for head in _EMBEDDED if value[: len(head)].lower() == head), None)
    if head is None:
        return False
    try:
        with Image.open(io.BytesIO(base64.b64decode(value[len(head) :])), formats=("PNG", "JPEG")) as image:
            return image.width * image.height <= _MAX_EMBEDDED_PIXELS
    except (OSError, ValueError, SyntaxError, binascii.Error, Image.DecompressionBombError):
        return False


def _check_depth(root: ET.Element) -> None:
    level = [root]
    for _ in range(_MAX_DEPTH):
        level = [child for element in level for child in element]
        if not level:
            return
    raise UnusableSvg("nested too deeply")


def _check_uses(root: ET.Element) -> None:
    """Raises UnusableSvg when the `use` elements stand for too many elements, or for themselves."""
    by_id = {element.attrib["id"]: element for element in root.iter() if "id" in element.attrib}
    sizes: dict[ET.Element, int] = {}

    def size_of(element: ET.Element, depth: int) -> int:
        if depth > _MAX_DEPTH:
            raise UnusableSvg("nested too deeply")
        if element not in sizes:
            size = 1 + sum(size_of(child, depth + 1) for child in element)
            if _local(element.tag) == "use":
                targets = [value[1:] for name, value in element.attrib.items() if _local(name) == "href"]
                size += sum(size_of(by_id[target], depth + 1) for target in targets if target in by_id)
            sizes[element] = size
        return sizes[element]

    if size_of(root, 0) > _MAX_ELEMENTS:
        raise UnusableSvg("too large")


def _local(name: object) -> str:
    """Returns the name of an element or attribute without its namespace."""
    return str(name).rpartition("}")[2]
