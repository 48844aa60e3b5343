"""Writes the HTML page of a separation: picture, mixer and energy curves. It opens from the disk without a server."""

from collections.abc import Iterable, Mapping
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

from mpnet_jax.report.drawing import charts, shell
from mpnet_jax.report.drawing.shell import Assets, Section
from mpnet_jax.report.sections import tables
from mpnet_jax.separation.page_mixer import Drawn, label_of, mixer, stage, tone_of


def write_page(path: Path, summary: Mapping[str, Any], drawn: Drawn) -> None:
    """Writes the page into the folder of the files that it plays.

    Args:
        path: File to write.
        summary: Content of `separation.json` without its windows.
        drawn: What the page draws of the sounds.
    """
    name = escape(Path(summary["video"]["file"] or "recording").name)
    sounds = summary["sounds"]
    count = f"{len(sounds)} sound{'s' if len(sounds) != 1 else ''}"
    look, assets = resources.files("mpnet_jax.report"), resources.files("mpnet_jax.separation")
    page = shell.page(
        title=f"{name} \N{EN DASH} separated sounds",
        kind="Sound separation",
        heading=name,
        subtitle=f"{count} · {summary['video']['seconds']:.1f} s · {summary['video']['rate_hz']:,} Hz",
        hero="",
        sections=[
            Section("listen", "", _player(summary, drawn)),
            Section("remarks", "Remarks", _remarks(summary["remarks"])),
        ],
        foot='<section class="columns" aria-labelledby="made"><div><h2 id="made">How it was made</h2>'
        f"{tables.facts({'run': _facts(summary)})}</div></section>",
        more=Assets(
            [(look / "mixer.css").read_text("utf-8"), (assets / "page.css").read_text("utf-8")],
            [(assets / script).read_text("utf-8") for script in ("in_step.js", "page.js")],
        ),
    )
    path.write_text(page, encoding="utf-8", errors="replace")


def _facts(summary: Mapping[str, Any]) -> dict[str, Any]:
    return dict(summary["run"]) | {name: _listed(summary[name]) for name in ("model", "settings")}


def _listed(values: Mapping[str, Any]) -> str:
    """Returns the values that are set as text."""
    shown = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
    return ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in shown.items()
        if value not in (None, [])
    )


def _player(summary: Mapping[str, Any], drawn: Drawn) -> str:
    """Returns the picture, the energy curves beside it, and the mixer below."""
    return (
        f'<div class="workspace" id="listen" data-seconds="{summary["video"]["seconds"]:.6f}">'
        f"{stage(summary, drawn)}{_energies(summary, drawn)}{mixer(summary, drawn)}</div>"
        '<p class="hidden" id="live" role="status" aria-live="polite"></p>'
    )


def _energies(summary: Mapping[str, Any], drawn: Drawn) -> str:
    lines = [
        (label_of(sound), f"tone-{tone_of(sound['number'])}", drawn.curves.of(sound["number"]))
        for sound in summary["sounds"]
    ]
    chart = charts.curves(lines, x_label="seconds", y_label="fraction of the mixture")
    items = "".join(_found(sound) for sound in summary["sounds"])
    content = chart + (f'<ul class="found">{items}</ul>' if items else '<p class="note">No sound was found.</p>')
    return (
        '<section class="card energies" aria-labelledby="energies"><h2 id="energies">Energy over time</h2>'
        f"{content}</section>"
    )


def _found(sound: Mapping[str, Any]) -> str:
    down, right = (100.0 * share for share in sound["place"])
    return (
        f'<li class="tone-{tone_of(sound["number"])}"><i class="dot" aria-hidden="true"></i>'
        f"<b>{escape(label_of(sound))}</b> <small>{sound['first_s']:.1f} to {sound['last_s']:.1f} s, "
        f"{sound['windows']:,} windows; mean place {right:.0f}\N{NO-BREAK SPACE}% from the left "
        f"and {down:.0f}\N{NO-BREAK SPACE}% from the top</small></li>"
    )


def _remarks(remarks: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(remark)}</li>" for remark in remarks)
    return f'<ul class="remarks">{items}</ul>' if items else ""
