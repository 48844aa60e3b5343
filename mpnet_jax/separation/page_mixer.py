"""Draws the mixer of a separation's page: the picture with its transport, and one row for each sound file.

Without JavaScript, the rows and the picture are plain players. `page.js` replaces these by the mixer.
"""

import base64
import os
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np

from mpnet_jax.separation.curves import Curves
from mpnet_jax.separation.overlay import COLORS
from mpnet_jax.separation.stems import RESIDUAL

_BARS = 240  # Greatest number of bars of a waveform.
_LEAST_BAR = 0.02
_ICON = '<svg viewBox="0 0 24 24" aria-hidden="true">{}</svg>'
_PLAY = _ICON.format('<path class="go" d="M8 5v14l11-7z"/><path class="halt" d="M7 5h4v14H7zm6 0h4v14h-4z"/>')
_EYE = _ICON.format(
    '<path d="M2 12s4-6.5 10-6.5S22 12 22 12s-4 6.5-10 6.5S2 12 2 12z"/><circle cx="12" cy="12" r="3"/>'
)


class Drawn(NamedTuple):
    """What the page draws of the sounds.

    Attributes:
        curves: The energy of the sounds over time.
        peaks: Outlines of the stems, by number; see `Peaks`.
        others: Outlines of the other files, in their order.
        posters: JPEG files by number; `RESIDUAL` is the number of the overview.
    """

    curves: Curves
    peaks: Mapping[int, Sequence[float]]
    others: Sequence[Sequence[float]]
    posters: Mapping[int, bytes]


class _Row(NamedTuple):
    """A row of the mixer.

    Attributes:
        key: Name of the row in the script.
        tone: Its colour.
        title: Its name.
        about: Text below the name.
        file: The sound file.
        peaks: Outline of the sound.
        has_video: Whether there is a video of this sound alone.
        muted: Whether the row is muted at first.
    """

    key: str
    tone: int | str
    title: str
    about: str
    file: str
    peaks: Sequence[float]
    has_video: bool = False
    muted: bool = False


def tone_of(number: int) -> int:
    """Returns the index of a sound's colour in `COLORS`, which is also in the name of its CSS class."""
    return (number - 1) % len(COLORS)


def label_of(sound: Mapping[str, Any]) -> str:
    """Returns number and name of a sound, such as "Sound 1: violin (83 %)"; not escaped."""
    name = f": {sound['name']} ({100.0 * sound['name_probability']:.0f} %)" if sound["name"] else ""
    return f"Sound {sound['number']}{name}"


def stage(summary: Mapping[str, Any], drawn: Drawn) -> str:
    """Draws the videos, one upon the other, and the transport."""
    seconds = summary["video"]["seconds"]
    videos = [(RESIDUAL, "Heat maps of all sounds in their colours", summary.get("overview"))]
    videos += [(sound["number"], f"Heat map of sound {sound['number']}", sound["video"]) for sound in summary["sounds"]]
    shown = [(number, label, file) for number, label, file in videos if file]
    screen = "".join(_video(*video, drawn.posters, first=not index) for index, video in enumerate(shown))
    high, wide = summary["video"]["picture_px"] or (9, 16)
    if screen:
        screen = f'<div class="screen" style="--ratio:{wide / high:.4f}">{screen}</div>'
    return (
        f'<section class="stage" aria-label="Player">{screen}<div class="transport scripted-only">'
        f'<button type="button" id="play" class="round" aria-label="Play">{_PLAY}</button>'
        f'<span class="clock"><span id="now">0:00</span> / {_clock(seconds)}</span>'
        f'<input type="range" id="seek" min="0" max="{seconds:.3f}" step="0.01" value="0" aria-label="Position">'
        '<button type="button" id="together" class="scripted-only" hidden>All heat maps</button></div></section>'
    )


def mixer(summary: Mapping[str, Any], drawn: Drawn) -> str:
    """Draws one row for each written sound file."""
    rows = _rows(summary, drawn)
    loudest = max((max(row.peaks, default=0.0) for row in rows), default=0.0)
    items = "".join(_row(row, loudest) for row in rows)
    return (
        '<section class="card mixer" aria-labelledby="mixer"><header><h2 id="mixer">Mixer</h2>'
        '<p class="note keys scripted-only"><kbd>space</kbd> plays, <kbd>←</kbd> <kbd>→</kbd> seek</p></header>'
        f'<ul id="rows">{items}</ul></section>'
    )


def _rows(summary: Mapping[str, Any], drawn: Drawn) -> list[_Row]:
    rows = []
    for sound in summary["sounds"]:
        if sound["file"]:
            number, energy = sound["number"], _energy(sound)
            title, about = f"Sound {number}", energy
            if sound["name"]:
                title = f"{sound['name']} ({100.0 * sound['name_probability']:.0f} %)"
                about = f"Sound {number} · {energy}"
            tone, peaks = tone_of(number), drawn.peaks[number]
            rows.append(_Row(str(number), tone, title, about, sound["file"], peaks, bool(sound["video"])))
    residual = summary["residual"]
    if residual["file"]:
        rows.append(_Row("residual", "rest", "Residual", _energy(residual), residual["file"], drawn.peaks[RESIDUAL]))
    stems = len(rows)
    for index, (other, peaks) in enumerate(zip(summary["others"], drawn.others, strict=True)):
        # These sounds overlap with the others, so only one of them is heard at first.
        about, muted = _of_other(other), bool(stems or index)
        tone, title = ("place", "Place") if "place" in other else ("rest", "The recording without")
        rows.append(_Row(f"other{index}", tone, title, about, other["file"], peaks, muted=muted))
    return rows


def _energy(stem: Mapping[str, Any]) -> str:
    return f"{100.0 * stem['energy_share']:.1f} % of the energy"


def _of_other(other: Mapping[str, Any]) -> str:
    if "place" in other:
        x, y = (100.0 * side for side in other["place"])
        return f"{x:.0f} % from the left, {y:.0f} % from the top"
    return f"sound{'s' if len(other['without']) > 1 else ''} {', '.join(map(str, other['without']))}"


def _row(row: _Row, loudest: float) -> str:
    label, file = escape(row.title), escape(row.file)
    eye = (
        f'<button type="button" class="eye" aria-pressed="false" aria-label="Heat map of {label} alone" '
        f'title="Heat map of this sound alone">{_EYE}</button>'
        if row.has_video
        else ""
    )
    return (
        f'<li class="mixer-row tone-{row.tone}" data-row="{row.key}"><span class="dot" aria-hidden="true"></span>'
        f'<span class="naming"><b>{label}</b><small>{escape(row.about)}</small>'
        f'<small><a href="{_address(row.file)}">{file}</a></small><small class="refused" hidden>This browser cannot '
        "play the file.</small></span>"
        '<span class="buttons scripted-only">'
        f'<button type="button" class="mute" aria-pressed="{str(row.muted).lower()}" aria-label="Mute {label}" '
        'title="Mute">M</button>'
        f'<button type="button" class="solo" aria-pressed="false" aria-label="Solo {label}" title="Solo">S</button>'
        f"{eye}</span>"
        '<input type="range" class="volume scripted-only" min="0" max="1" step="0.01" value="1" '
        f'aria-label="Volume of {label}" title="Volume">{waveform(row.peaks, loudest, key=row.key)}'
        f'<audio controls preload="metadata" src="{_address(row.file)}" aria-label="{file}"></audio></li>'
    )


def waveform(peaks: Sequence[float], loudest: float, *, key: str) -> str:
    """Draws the outline of a sound as bars, at most `_BARS`.

    Args:
        peaks: Outline of the sound; see `Peaks`.
        loudest: The peak that fills the drawing.
        key: Distinguishes the drawing from others of the page.
    """
    parts = np.array_split(np.asarray(peaks), min(_BARS, len(peaks))) if peaks else []
    heights = [max(_LEAST_BAR, float(part.max()) / max(loudest, 1e-9)) for part in parts]
    bars = "".join(f"M{index + 0.5:g} {1 - high:.2f}V{1 + high:.2f}" for index, high in enumerate(heights))
    box = f'viewBox="0 0 {max(len(heights), 1)} 2" preserveAspectRatio="none"'
    path = f'<path id="wave-{key}" vector-effect="non-scaling-stroke" d="{bars}"/>'
    # Styles of ancestors do not reach the copy, so what is not inherited is an attribute.
    return (
        f'<span class="wave" aria-hidden="true"><svg {box}>{path}</svg>'
        f'<svg class="played" {box}><use href="#wave-{key}"/></svg><i></i></span>'
    )


def _video(number: int, label: str, file: str, posters: Mapping[int, bytes], *, first: bool) -> str:
    poster = posters.get(number)
    image = f' poster="data:image/jpeg;base64,{base64.b64encode(poster).decode()}"' if poster else ""
    key = "overview" if number == RESIDUAL else number
    return (
        f'<video data-view="{key}" controls playsinline preload="{"metadata" if first else "none"}" '
        f'src="{_address(file)}"{image} aria-label="{label}"{"" if first else " hidden"}></video>'
    )


def _address(file: str) -> str:
    """Returns the relative address of a file with any name."""
    return quote(os.fsencode(file))


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
