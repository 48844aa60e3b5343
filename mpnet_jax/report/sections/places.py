"""Frames with the predicted and the true position of the sound."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from jaxtyping import Num, UInt8

from mpnet_jax.report.drawing.numbers import is_number
from mpnet_jax.report.drawing.pictures import frame_png, heat_png


@dataclass(frozen=True)
class PlaceExample:
    """A frame with the predicted and the true position of its sound.

    Attributes:
        title: Heading, e.g. "Flute left, tuba right".
        frame: 0..255, (height, width, 3).
        heat: (rows, cols), of any size and scale; it covers the complete frame.
        box: The true position: ymin, xmin, ymax, xmax as fractions of the frame from its upper left corner, 0..1.
        hit: Whether the greatest heat counts as right.
        note: A line below, or "".
    """

    title: str
    frame: UInt8[np.ndarray, "..."]
    heat: Num[np.ndarray, "..."]
    box: Sequence[float | int]
    hit: bool
    note: str

    def __post_init__(self) -> None:
        """Raises ValueError for arrays that cannot be drawn."""
        if self.frame.ndim != 3 or self.frame.shape[2] != 3 or not self.frame.size:
            raise ValueError(f"frame has shape {self.frame.shape}; give (height, width, 3)")
        if self.heat.ndim != 2 or not np.isfinite(self.heat).any():
            raise ValueError(f"heat has shape {self.heat.shape}; give (rows, cols) with a finite number among them")
        if len(self.box) != 4 or not all(map(is_number, self.box)):
            raise ValueError(f"box={self.box} needs ymin, xmin, ymax, xmax")
        ymin, xmin, ymax, xmax = self.box
        if not (0.0 <= ymin < ymax <= 1.0 and 0.0 <= xmin < xmax <= 1.0):
            raise ValueError(f"box={self.box} must be ymin < ymax and xmin < xmax as parts of the frame, 0 to 1")

    def greatest(self) -> tuple[float, float]:
        """Returns the centre of the cell with the greatest heat, as fractions of the frame from top and left."""
        heat = np.where(np.isfinite(self.heat), self.heat, -np.inf)
        row, column = np.unravel_index(int(heat.argmax()), heat.shape)
        return (float(row) + 0.5) / heat.shape[0], (float(column) + 0.5) / heat.shape[1]


def gallery(places: Sequence[PlaceExample], save: Callable[[str, bytes], None]) -> str:
    """Returns frames with their heat maps; "" without any.

    Args:
        places: Frames to show.
        save: Called with (file name, content) of each picture.

    Returns:
        HTML whose links point into media/.
    """
    if not places:
        return ""
    figures = "".join(_figure(number_on_page, place, save) for number_on_page, place in enumerate(places, start=1))
    return (
        '<div class="gallery heatable"><div class="gallery-head">'
        '<p class="legend-line"><span class="swatch box"></span> true place <span class="swatch cross"></span> '
        f"greatest heat</p>{heat_switch()}</div><div class='frames'>{figures}</div></div>"
    )


def heat_switch() -> str:
    """Returns a checkbox that shows and hides the heat maps of the nearest `.heatable` around it, without a script."""
    return '<label class="switch"><input type="checkbox" checked> Heat maps</label>'


def _figure(number_on_page: int, place: PlaceExample, save: Callable[[str, bytes], None]) -> str:
    stem = f"place-{number_on_page:02d}"
    save(f"{stem}-frame.png", frame_png(place.frame))
    height, width = place.frame.shape[:2]
    save(f"{stem}-heat.png", heat_png(place.heat, height=height, width=width))
    top, left, bottom, right = (100.0 * part for part in place.box)
    y, x = (100.0 * part for part in place.greatest())
    said = "Hit" if place.hit else "Miss"
    kind = "hit" if place.hit else "miss"
    note = f'<p class="note">{escape(place.note)}</p>' if place.note else ""
    box = f"left:{left:.1f}%;top:{top:.1f}%;width:{right - left:.1f}%;height:{bottom - top:.1f}%"
    size = f'width="{width}" height="{height}" loading="lazy" decoding="async"'
    return (
        f'<figure class="place {kind}"><div class="scene"><img src="media/{stem}-frame.png" {size} '
        f'alt="{escape(f"Frame: {place.title}")}"><img class="heatmap" src="media/{stem}-heat.png" {size} '
        f'alt="{escape(f"Heat map: greatest {x:.0f} % from the left and {y:.0f} % from the top")}">'
        f'<i class="truth" style="{box}"></i><i class="cross" style="left:{x:.1f}%;top:{y:.1f}%"></i></div>'
        f'<figcaption><b class="said">{said}</b> {escape(place.title)}</figcaption>{note}</figure>'
    )
