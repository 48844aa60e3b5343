"""Draws heat maps over frames in the encoder's YUV planes, which is fast enough for every frame."""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from jaxtyping import Float, UInt8, UInt16
from PIL import Image

from mpnet_jax.report.drawing.pictures import HEAT_COLORS

# One colour for each sound, distinguishable with colour blindness (Okabe and Ito).
COLORS = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (204, 121, 167), (240, 228, 66), (213, 94, 0), (0, 114, 178))
_OPAQUE = 0.6  # Maximum opacity: the frame stays visible everywhere.
_COARSE = 4  # Heat maps are smooth, so they are drawn at the frame's size divided by this.
_LEVELS = 64


class Overlay(NamedTuple):
    """An overlay over a frame's planes: (planes * keep + add) / 256."""

    keep: UInt16[np.ndarray, "rows width"]
    add: UInt16[np.ndarray, "rows width"]

    def over(self, planes: UInt8[np.ndarray, "rows width"]) -> UInt8[np.ndarray, "rows width"]:
        """Returns the planes of a frame (YUV 4:2:0) with the overlay."""
        shown = planes * self.keep
        shown += self.add
        shown >>= 8
        return shown.astype(np.uint8)


def heat(levels: Float[np.ndarray, "rows columns"], *, height: int, width: int) -> Overlay:
    """Returns the overlay of one sound's map, whose values 0 to 1 are drawn from dark to bright."""
    rgb = _palette()
    fine = _enlarged(levels, height, width)
    index = np.round((_LEVELS - 1) * fine).astype(np.intp)
    return _overlay(rgb[index], _OPAQUE * fine, height, width)


def colours(maps: Sequence[Float[np.ndarray, "rows columns"]], *, height: int, width: int) -> Overlay:
    """Returns the overlay of several sounds' maps with values 0 to 1, each in its own colour of `COLORS`."""
    fine = np.stack([_enlarged(levels, height, width) for levels in maps])
    total = np.maximum(fine.sum(axis=0), 1e-6)
    rgb = np.array([COLORS[index % len(COLORS)] for index in range(len(maps))], np.float32)
    # Colours are averaged, weighted by the maps: (sound, height, width) x (sound, 3) -> (height, width, 3).
    return _overlay(np.einsum("nhw,nc->hwc", fine / total, rgb), _OPAQUE * fine.max(axis=0), height, width)


@functools.cache
def _palette() -> np.ndarray:
    return 255.0 * mpl.colormaps[HEAT_COLORS](np.linspace(0.0, 1.0, _LEVELS))[:, :3].astype(np.float32)


def _enlarged(levels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resizes a map to the coarse grid and squares it, so that its maxima stand out."""
    size = (max(2, width // _COARSE), max(2, height // _COARSE))
    image = Image.fromarray(levels.astype(np.float32)).resize(size, Image.Resampling.BICUBIC)
    return np.asarray(image).clip(0.0, 1.0) ** 2


def _overlay(rgb: np.ndarray, alpha: np.ndarray, height: int, width: int) -> Overlay:
    """Converts colours (height, width, 3) and opacities (height, width) on the coarse grid to planes."""
    red, green, blue = np.moveaxis(rgb.astype(np.float32), -1, 0)
    # BT.601 in studio range.
    luma = 16.0 + 0.257 * red + 0.504 * green + 0.098 * blue
    chroma = (
        128.0 - 0.148 * red - 0.291 * green + 0.439 * blue,
        128.0 + 0.439 * red - 0.368 * green - 0.071 * blue,
    )
    # Everything is computed at the size of the chroma planes, because enlarging takes most of the time.
    half = (width // 2, height // 2)
    opacity = _resized(255.0 * alpha, half).astype(np.uint16)
    added = [opacity * _resized(plane, half) for plane in (luma, *chroma)]

    def stacked(parts: Sequence[np.ndarray]) -> np.ndarray:
        # Luma at full size, then both chroma planes at half size, as in YUV 4:2:0.
        whole = parts[0].repeat(2, axis=1).repeat(2, axis=0)
        return np.concatenate([plane.ravel() for plane in (whole, *parts[1:])]).reshape(-1, width)

    return Overlay(256 - stacked([opacity] * 3), stacked(added))


def _resized(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resizes values from 0 to 255 as integers, which is fast."""
    return np.asarray(Image.fromarray(np.round(values).astype(np.uint8)).resize(size, Image.Resampling.BILINEAR))
