"""Reads a picture of an instrument as an RGBA cut-out, whatever its format, or says in a few words why not."""

import dataclasses
import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps
from scipy import ndimage

from data_pipeline.rendered.pictures.vector import UnusableSvg, render_svg

SUFFIXES = (".png", ".svg", ".jpg", ".jpeg", ".webp")
SIDE_PX = 384
MIN_SIDE_PX = 16
_MAX_BYTES = 64 << 20
# Checked before the pixels are decoded.
_MAX_PIXELS = 50_000_000
# A border is a background when this share of it has one colour, within a tolerance that compression needs.
_UNIFORM_SHARE = 0.95
_TOLERANCE = 24
# A cut-out with less of its box covered than this shows nothing that can be recognised.
_MIN_COVERED = 0.01
_VISIBLE = 8


class UnusablePicture(ValueError):
    """A picture that is left out; the message says why in a few words."""


@dataclasses.dataclass(frozen=True)
class Cutout:
    """A picture of an instrument.

    Attributes:
        image: RGBA image without transparent margins; the longer side has at most `SIDE_PX` pixels.
        card: Whether the picture has no shape of its own: an opaque rectangle, like a printed photo.
    """

    image: Image.Image
    card: bool


def read_cutout(path: Path) -> Cutout:
    """Reads a picture.

    A picture without transparency but with a border of one colour loses that background. Other pictures without
    transparency are cards. Of an animation, the first frame is read.

    Args:
        path: A file ending in one of `SUFFIXES`, upper or lower case.

    Raises:
        UnusablePicture: The file is damaged, too large, too small or blank.
    """
    try:
        if not path.is_file():
            raise UnusablePicture("no file")
        if path.stat().st_size > _MAX_BYTES:
            raise UnusablePicture("too large")
        content = path.read_bytes()
    except OSError as error:
        raise UnusablePicture("not readable") from error
    try:
        image = render_svg(content, side_px=SIDE_PX) if path.suffix.lower() == ".svg" else _decode(content)
    except UnusableSvg as error:
        raise UnusablePicture(str(error)) from error
    return cut_out(image)


def cut_out(image: Image.Image) -> Cutout:
    """Removes a uniform background and transparent margins.

    Args:
        image: RGBA image.

    Raises:
        UnusablePicture: The picture is too small, or nothing of it is visible.
    """
    if min(image.size) < MIN_SIDE_PX:
        raise UnusablePicture(f"smaller than {MIN_SIDE_PX} pixels")
    image = image.copy()
    image.thumbnail((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS)
    pixels = np.array(image)
    card = False
    if pixels[..., 3].min() >= 250:
        background = _background(pixels[..., :3])
        card = background is None
        pixels[..., 3] = 255 if background is None else np.where(background, 0, 255)
    visible = pixels[..., 3] > _VISIBLE
    rows, columns = np.flatnonzero(visible.any(axis=1)), np.flatnonzero(visible.any(axis=0))
    if not rows.size:
        raise UnusablePicture("blank")
    pixels = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    if (pixels[..., 3] > _VISIBLE).mean() < _MIN_COVERED or max(pixels.shape[:2]) < MIN_SIDE_PX:
        raise UnusablePicture("blank")
    return Cutout(Image.fromarray(pixels), card)


def _decode(content: bytes) -> Image.Image:
    """Decodes PNG, JPEG or WebP, whatever the suffix says, to RGBA."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's warnings about size and damage become errors or do not matter
            with Image.open(io.BytesIO(content), formats=("PNG", "JPEG", "WEBP")) as image:
                if image.width * image.height > _MAX_PIXELS:
                    raise UnusablePicture("too large")
                image.seek(0)
                image.load()
                return _to_rgba(ImageOps.exif_transpose(image))
    except Image.DecompressionBombError as error:
        raise UnusablePicture("too large") from error
    except (OSError, SyntaxError, EOFError, TypeError, IndexError, struct.error, zlib.error) as error:
        raise UnusablePicture("damaged") from error
    except ValueError as error:
        raise error if isinstance(error, UnusablePicture) else UnusablePicture("damaged") from error


def _to_rgba(image: Image.Image) -> Image.Image:
    """Converts any mode to RGBA; Pillow alone would clip 16-bit grey levels to white."""
    if image.mode.startswith("I"):
        levels = np.asarray(image.convert("I"), dtype=np.int64)
        image = Image.fromarray((np.clip(levels, 0, 65535) >> 8).astype(np.uint8))
    return image.convert("RGBA")


def _background(colours: UInt8[np.ndarray, "height width 3"]) -> np.ndarray | None:
    """Returns the background as a boolean (height, width) array, or None when the border has several colours."""
    border = np.concatenate([colours[0], colours[-1], colours[1:-1, 0], colours[1:-1, -1]]).astype(int)
    colour = np.median(border, axis=0)
    if (np.abs(border - colour).max(axis=1) <= _TOLERANCE).mean() < _UNIFORM_SHARE:
        return None
    similar = np.abs(colours - colour).max(axis=2) <= _TOLERANCE
    regions = np.zeros(similar.shape, dtype=np.int32)
    ndimage.label(similar, output=regions)
    edge = np.concatenate([regions[0], regions[-1], regions[:, 0], regions[:, -1]])
    return np.isin(regions, np.unique(edge[edge > 0]))
