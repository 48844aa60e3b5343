"""The report's folder: one page that needs no network, and the pictures and sounds beside it."""

import itertools
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from html import escape
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from mpnet_jax.report import charts, tables
from mpnet_jax.report.example import ReportExample
from mpnet_jax.report.listening import example_html
from mpnet_jax.report.numbers import mean_of, text
from mpnet_jax.report.pictures import MASK_COLORS, RANGE_DB, SOUND_COLORS, css_gradient

_PARTS = {"index.html", "media"}


def write_report(directory: Path, *, summary: Mapping[str, Any], examples: Sequence[ReportExample]) -> Path:
    """Writes `directory`/index.html and `directory`/media, replacing an earlier report when all is written.

    Keys of `summary`, all optional; an *estimate* is {"mean": float | None, "ci95": [low, high] | None,
    "count": int}:

    * `nsdr`, `sdr`, `sir`, `sar`, `amid`: estimates of the run.
    * `mixture`, `oracle`, `swapped`: {any of the five names: estimate}.
    * `methods`: {method: {any of the five names: estimate}}, the run's own among them.
    * `left_out`: {reason: count of mixtures}.
    * `definitions`: {name: text}.
    * `run`: {"config", "method", "steps", "seed", "commit", "machine", "date", "command", or any other fact}.
    * `mixtures`: [{"index": int, "video_ids": [str], "classes": [str], "amid": float, and a number or a list
      of one a source under "nsdr", "sdr", "sir", "sar", "mixture_sdr"}]; None for what is missing.
    * `history`: {"loss": [[step, value]], "si_sdr_improvement": [[step, dB]]}, the training curves.

    Args:
        directory: made when missing; its parent must be writable.
        summary: the contents of metrics.json.
        examples: mixtures to look at and listen to, in the order of the page.

    Returns:
        Path of index.html.

    Raises:
        ValueError: `directory` is something else than a report, which is then left as it is.
    """
    target = directory.resolve()
    _refuse_what_is_no_report(target)
    with _replacing(target) as folder:
        media = folder / "media"
        media.mkdir()

        def save(name: str, content: bytes) -> None:
            (media / name).write_bytes(content)

        articles = [example_html(place, example, save) for place, example in enumerate(examples, start=1)]
        (folder / "index.html").write_text(_page(summary, examples, articles), encoding="utf-8")
    return directory / "index.html"


def _page(summary: Mapping[str, Any], examples: Sequence[ReportExample], articles: Sequence[str]) -> str:
    assets = resources.files("mpnet_jax.report")
    run = summary.get("run") or {}
    mixtures = summary.get("mixtures") or []
    name = str(run.get("method") or run.get("config") or "Separation")
    links = "".join(
        f'<li><a href="#example-{place:02d}">{escape(example.title)}</a></li>'
        for place, example in enumerate(examples, start=1)
    )
    parts = {
        "css": (assets / "report.css").read_text(encoding="utf-8"),
        "js": (assets / "report.js").read_text(encoding="utf-8"),
        "title": escape(name),
        "subtitle": _subtitle(run, len(mixtures)),
        "headline": tables.headline(summary),
        "methods": tables.methods(summary),
        "left_out": tables.left_out(summary),
        "charts": _charts(summary, mixtures),
        "sound_colors": css_gradient(SOUND_COLORS),
        "mask_colors": css_gradient(MASK_COLORS),
        "range_db": f"\N{MINUS SIGN}{RANGE_DB:.0f}",
        "example_links": links,
        "examples": "".join(articles),
        "no_examples": "hidden" if not articles else "",
        "mixtures": tables.mixture_table(mixtures),
        "mixtures_note": _mixtures_note(len(mixtures)),
        "no_mixtures": "hidden" if not mixtures else "",
        "definitions": tables.definitions(summary) or "<p>None were recorded.</p>",
        "facts": tables.facts(summary) or "<p>None were recorded.</p>",
    }
    return Template((assets / "page.html").read_text(encoding="utf-8")).substitute(parts)


def _subtitle(run: Mapping[str, Any], mixtures: int) -> str:
    facts = [text(run[key]) for key in ("config", "date") if run.get(key) is not None]
    if mixtures:
        facts.append(f"{mixtures:,} mixture{'s' if mixtures != 1 else ''}")
    if run.get("commit") is not None:
        facts.append(f"commit <code>{escape(str(run['commit'])[:12])}</code>")
    return " · ".join(facts)


def _mixtures_note(count: int) -> str:
    if count <= tables.MOST_ROWS:
        return f"{count:,} of {count:,} listed."
    return f"The first {tables.MOST_ROWS:,} of {count:,} are listed; the results file holds them all."


def _charts(summary: Mapping[str, Any], mixtures: Sequence[Mapping[str, Any]]) -> str:
    means = [mean_of(mixture.get("nsdr")) for mixture in mixtures]
    values = np.array([np.nan if mean is None else mean for mean in means], dtype=np.float64)
    history = summary.get("history") or {}
    cards = [
        (
            "NSDR of each mixture",
            charts.histogram(values, label="NSDR", unit="dB") + tables.quantiles(values),
            "card",
        ),
        ("NSDR by pair of classes", tables.class_pairs(mixtures), "card scroll"),
        ("Training loss", charts.curve(history.get("loss") or [], label="loss"), "card"),
        (
            "Validation",
            charts.curve(history.get("si_sdr_improvement") or [], label="SI-SDR improvement", unit="dB"),
            "card",
        ),
    ]
    return "".join(
        f'<figure class="{kind}"{scroll}><figcaption>{title}</figcaption>{content}</figure>'
        for title, content, kind in cards
        if content
        for scroll in [' tabindex="0"' if "scroll" in kind else ""]
    )


def _refuse_what_is_no_report(target: Path) -> None:
    if not target.exists():
        return
    if not target.is_dir():
        raise ValueError(f"{target} is a file; a report needs a folder of its own")
    others = sorted(entry.name for entry in target.iterdir() if entry.name not in _PARTS)
    if others:
        raise ValueError(
            f"{target} holds {others[0]!r}, which no report does, and would be replaced whole; "
            "choose a new or empty folder"
        )


@contextmanager
def _replacing(target: Path) -> Iterator[Path]:
    """A new folder that takes the place of `target` at the end, and of nothing after an error."""
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = _new_folder(target)
    try:
        yield fresh
        if target.exists():
            old = _new_folder(target)
            os.replace(target, old)
            try:
                os.replace(fresh, target)
            except OSError:
                os.replace(old, target)
                raise
            shutil.rmtree(old)
        else:
            os.replace(fresh, target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _new_folder(target: Path) -> Path:
    """A hidden folder beside `target`, on the same file system, with ordinary permissions."""
    for attempt in itertools.count():
        folder = target.parent / f".{target.name}.{os.getpid()}-{attempt}"
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
    raise AssertionError
