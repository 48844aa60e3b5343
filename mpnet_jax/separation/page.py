"""Writes the HTML page of a separation, with its videos, stems and energy curves."""

from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from mpnet_jax.report.drawing import charts, shell
from mpnet_jax.report.drawing.shell import Section
from mpnet_jax.report.sections import tables
from mpnet_jax.separation.overlay import COLORS

_MOST_POINTS = 300


class Curves:
    """The energy of each sound over time, in at most twice `_MOST_POINTS` points for any length of the video."""

    def __init__(self) -> None:
        self._times: list[float] = []
        self._values: dict[int, list[float]] = {}
        self._every, self._seen = 1, 0

    def add(self, window: Mapping[str, Any]) -> None:
        """Adds a window of `journal.read_windows`."""
        self._seen += 1
        if self._seen % self._every:
            return
        shares = {sound["number"]: sound["energy"] for sound in window["sounds"]}
        self._times.append(0.5 * (window["start_s"] + window["end_s"]))
        for number in shares.keys() - self._values.keys():
            self._values[number] = [0.0] * (len(self._times) - 1)
        for number, values in self._values.items():
            values.append(shares.get(number, 0.0))
        # Every second point is dropped when there are too many, and then every second window is skipped.
        if len(self._times) >= 2 * _MOST_POINTS:
            self._every *= 2
            self._times = self._times[1::2]
            self._values = {number: values[1::2] for number, values in self._values.items()}

    def of(self, number: int) -> list[list[float]]:
        """Returns the points (seconds, fraction of the mixture) of a sound."""
        return np.stack([self._times, self._values.get(number, [0.0] * len(self._times))], axis=1).tolist()


def write_page(path: Path, summary: Mapping[str, Any], curves: Curves) -> None:
    """Writes the page into the folder of the files that it shows.

    Args:
        path: File to write.
        summary: Content of `separation.json` without its windows.
        curves: Energy curves of the sounds.
    """
    name = escape(Path(summary["video"]["file"] or "recording").name)
    sounds = summary["sounds"]
    count = f"{len(sounds)} sound{'s' if len(sounds) != 1 else ''}"
    sections = [
        Section("all", "All sounds", _player(summary.get("overview"), "Heat maps of all sounds in their colours")),
        Section("sounds", "Single sounds", "".join(_sound(sound, curves) for sound in sounds)),
        Section("others", "Other files", "".join(_audio(other["file"]) for other in summary.get("others", ()))),
        Section("rest", "Residual", _residual(summary)),
        Section("remarks", "Remarks", _remarks(summary["remarks"])),
    ]
    page = shell.page(
        title=f"{name} \N{EN DASH} separated sounds",
        kind="Sound separation",
        heading=name,
        subtitle=f"{count} · {summary['video']['seconds']:.1f} s · {summary['windows_heard']:,} windows",
        hero="",
        sections=sections,
        foot=f'<section><h2 id="made">How it was made</h2>{tables.facts({"run": _facts(summary)})}</section>',
    )
    path.write_text(page, encoding="utf-8", errors="replace")


def _facts(summary: Mapping[str, Any]) -> dict[str, Any]:
    return dict(summary["run"]) | {"model": summary["model"], "settings": summary["settings"]}


def _sound(sound: Mapping[str, Any], curves: Curves) -> str:
    color = "#{:02x}{:02x}{:02x}".format(*COLORS[(sound["number"] - 1) % len(COLORS)])
    down, right = (100.0 * share for share in sound["place"])
    text = (
        f"Found in {sound['windows']:,} windows from {sound['first_s']:.1f} s to {sound['last_s']:.1f} s; "
        f"{100.0 * sound['energy_share']:.1f} % of the energy; "
        f"mean place {right:.0f} % from the left and {down:.0f} % from the top."
    )
    chart = charts.curve(curves.of(sound["number"]), label="fraction of the mixture over seconds")
    return (
        f'<article class="example"><header><h3><span style="color:{color}">\N{BLACK CIRCLE}</span> '
        f"Sound {sound['number']}{_named(sound)}</h3></header>{_player(sound.get('video'), 'Heat map over the video')}"
        f'{_audio(sound["file"])}<p class="note">{text}</p>'
        f'<figure class="card"><figcaption>Energy over time</figcaption>{chart}</figure></article>'
    )


def _named(sound: Mapping[str, Any]) -> str:
    """Returns the name with its probability, such as ": violin (83 %)"; empty if it is unknown."""
    return f": {escape(sound['name'])} ({100.0 * sound['name_probability']:.0f} %)" if sound["name"] else ""


def _residual(summary: Mapping[str, Any]) -> str:
    share = 100.0 * summary["residual"]["energy_share"]
    return (
        f'{_audio(summary["residual"]["file"])}<p class="note">{share:.1f} % of the energy. The sounds and the '
        "residual sum to the recording.</p>"
    )


def _remarks(remarks: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(remark)}</li>" for remark in remarks)
    return f"<ul>{items}</ul>" if items else ""


def _player(file: str | None, label: str) -> str:
    if not file:
        return ""
    return (
        f'<video controls preload="metadata" src="{escape(file)}" aria-label="{escape(label)}" '
        'style="width:100%;max-width:720px"></video>'
    )


def _audio(file: str | None) -> str:
    if not file:
        return ""
    return f'<audio controls preload="metadata" src="{escape(file)}" aria-label="{escape(file)}"></audio>'
