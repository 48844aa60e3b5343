"""Draws arrays as PNG pictures, and places the ticks of their axes."""

import io
from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from jaxtyping import Float, Num, Shaped, UInt8
from PIL import Image

SOUND_COLORS = "magma"
MASK_COLORS = "cividis"
HEAT_COLORS = "inferno"
RANGE_DB = 60.0

_TICKS_HZ = (20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000)
_TICK_STEPS_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0)
# Labels closer than this fraction of the axis would overlap.
_LEAST_GAP = 0.085
# The frame stays visible below the greatest heat.
_MOST_OPAQUE = 0.85


def colormap_png(values: Shaped[np.ndarray, "freq time"], row_hz: Num[np.ndarray, " freq"], *, colors: str) -> bytes:
    """Draws values in 0..1 with a colour map, low frequencies at the bottom.

    Args:
        values: Values, clipped to 0..1; those that are not finite are drawn as 0.
        row_hz: Centre frequency of each row, in any order.
        colors: Name of a matplotlib colour map.

    Returns:
        PNG with one pixel for each value.
    """
    levels = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=1.0, neginf=0.0).clip(0.0, 1.0)
    levels = np.round(255.0 * levels[np.argsort(-row_hz, kind="stable")]).astype(np.uint8)
    picture = Image.fromarray(levels)
    picture.putpalette(_palette(colors).tobytes())
    return _png(picture)


def frame_png(frame: UInt8[np.ndarray, "height width 3"]) -> bytes:
    """Draws a video frame."""
    return _png(Image.fromarray(np.ascontiguousarray(frame)))


def heat_png(heat: Num[np.ndarray, "rows cols"], *, height: int, width: int) -> bytes:
    """Draws a smooth heat map to overlay on a frame, transparent where the heat is low.

    Args:
        heat: Heat on any scale; the lowest is transparent, the greatest opaque. Values that are not finite are drawn as
            the lowest.
        height: Height of the frame in pixels.
        width: Width of the frame in pixels.

    Returns:
        PNG with an alpha channel, of the frame's size.
    """
    finite = np.isfinite(heat)
    least = float(heat[finite].min()) if finite.any() else 0.0
    levels = np.where(finite, heat, least).astype(np.float64) - least
    levels = levels / (levels.max() or 1.0)
    smooth = Image.fromarray(levels.astype(np.float32)).resize((width, height), Image.Resampling.BICUBIC)
    levels = np.asarray(smooth).clip(0.0, 1.0)
    # With 64 levels the file has a third of the size and looks the same.
    levels = np.round(63.0 * levels).astype(np.uint8) * 4
    colors = mpl.colormaps[HEAT_COLORS](levels)
    colors[..., 3] = _MOST_OPAQUE * (levels / 255.0) ** 0.7
    return _png(Image.fromarray(np.round(255.0 * colors).astype(np.uint8)))


def decibel_levels(magnitude: Float[np.ndarray, "*shape"], peak: float) -> Float[np.ndarray, "*shape"]:
    """Maps magnitudes to 0..1 over the `RANGE_DB` below `peak`; all zero when `peak` is."""
    if not peak > 0.0:
        return np.zeros(magnitude.shape)
    floor = peak * 10.0 ** (-RANGE_DB / 20.0)
    return 1.0 + 20.0 * np.log10(np.maximum(magnitude, floor) / peak) / RANGE_DB


def css_gradient(colors: str) -> str:
    """Returns a CSS gradient of the colour map from low to high, for the legend."""
    palette = _palette(colors)[np.linspace(0, 255, 12).astype(int)]
    return "linear-gradient(to right," + ",".join(f"#{r:02x}{g:02x}{b:02x}" for r, g, b in palette) + ")"


def frequency_ticks(row_hz: Num[np.ndarray, " freq"]) -> list[tuple[float, str]]:
    """Returns (position from the bottom as a fraction of the axis, label) of round frequencies on any monotone axis."""
    rising = np.sort(row_hz.astype(np.float64))
    heights = (np.arange(len(rising)) + 0.5) / len(rising)
    inside = [hz for hz in _TICKS_HZ if rising[0] <= hz <= rising[-1]]
    ticks = [(float(np.interp(hz, rising, heights)), _hz_label(hz)) for hz in inside]
    return _apart(ticks)


def time_ticks(seconds: float) -> list[tuple[float, str]]:
    """Returns (position from the left as a fraction of the axis, label) of round times, at most nine."""
    step = next((step for step in _TICK_STEPS_SECONDS if seconds / step <= 8.0), _TICK_STEPS_SECONDS[-1])
    digits = 0 if step >= 1.0 else 1
    return [(index * step / seconds, f"{index * step:.{digits}f}") for index in range(int(seconds / step + 1e-6) + 1)]


def _apart(ticks: Sequence[tuple[float, str]]) -> list[tuple[float, str]]:
    kept: list[tuple[float, str]] = []
    for tick in reversed(ticks):
        if not kept or kept[-1][0] - tick[0] >= _LEAST_GAP:
            kept.append(tick)
    return kept[::-1]


def _hz_label(hz: int) -> str:
    return f"{hz // 1000}k" if hz >= 1000 else str(hz)


def _palette(colors: str) -> np.ndarray:
    return np.round(255.0 * mpl.colormaps[colors](np.linspace(0.0, 1.0, 256))[:, :3]).astype(np.uint8)


def _png(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, format="png")
    return stream.getvalue()
