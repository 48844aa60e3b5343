"""Writes the report of one run: a page with its pictures and sounds, which works offline."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from data_pipeline.atomic import atomic_folder
from mpnet_jax.report.drawing import charts, shell
from mpnet_jax.report.drawing.numbers import mean_of, text
from mpnet_jax.report.drawing.pictures import MASK_COLORS, RANGE_DB, SOUND_COLORS, css_gradient
from mpnet_jax.report.drawing.shell import Section
from mpnet_jax.report.example import ReportExample
from mpnet_jax.report.sections import counting, differences, far, localisation, robustness, tables
from mpnet_jax.report.sections.listening import example_html
from mpnet_jax.report.sections.places import PlaceExample, gallery

_PARTS = ("index.html", "media")
_KEY = (
    '<p class="key" aria-hidden="true"><span><i class="ours"></i> this run, with its interval</span> '
    '<span><i class="mixture"></i> mixture</span> <span><i class="oracle"></i> oracle masks</span> '
    '<span><i class="swapped"></i> swapped pictures</span></p>'
)


def write_report(
    directory: Path,
    *,
    summary: Mapping[str, Any],
    examples: Sequence[ReportExample],
    places: Sequence[PlaceExample] = (),
) -> Path:
    """Writes `directory`/index.html and `directory`/media, replacing an earlier report once all files are written.

    Keys of `summary`, all optional; an *estimate* is {"mean": float | None, "ci95": [low, high] | None,
    "count": int}:

    * `nsdr`, `sdr`, `sir`, `sar`, `amid`: estimates of the run.
    * `mixture`, `oracle`, `swapped`: {any of the five names: estimate}.
    * `methods`: {method: {any of the five names: estimate}}, with the run's method.
    * `differences`: {"mpnet - mnet": {any of the five names: estimate}}, paired by mixture.
    * `mixes`: {"2": {method, "mixture", "oracle" or "swapped": {any of the five names: estimate}}}, by the number of
      sources of the test mixtures.
    * `counting`: {"tuned_on": text, "clips" and "pixels": {"epsilon_relative": float, "accuracy": estimate,
      "constant": {"guess": int, "accuracy": estimate}, "by_count": [{"sounding": int, "accuracy": estimate}],
      "confusion": [[int]] of true rows and counted columns, "curve": [[epsilon, accuracy]],
      "noise": [{"level_dbfs": float, "counted": [int]}]}}; accuracies are fractions, 0..1.
    * `localisation`: [{"scene": text, "clips": int, "box_share": {"mean": float, "max": float},
      "guesses": {guess: {any of "pointing", "iou", "auc", "player": estimate}}}].
    * `far`: {"data": name, "methods": as one entry of `mixes`}, for a data set that differs from the training set.
    * `left_out`: {reason: count of mixtures}.
    * `definitions`: {name: text}.
    * `run`: {"config", "method", "steps", "seed", "trained_at" and "commit" (of training and evaluation), "machine",
      "date", "command", or any other fact}.
    * `mixtures`: [{"index": int, "video_ids": [str], "classes": [str], "amid": float, and under "nsdr", "sdr", "sir",
      "sar", "mixture_sdr" a number or a list with one for each source}]; None for missing values.
    * `history`: {"loss": [[step, value]], "si_sdr_improvement": [[step, dB]]}, the training curves.

    Args:
        directory: Folder of the report, created when missing; its parent must be writable.
        summary: Content of metrics.json.
        examples: Mixtures to show, in the order of the page.
        places: Frames with the position of the sound, to show in the section of `localisation`.

    Returns:
        Path of index.html.

    Raises:
        InputError: `directory` holds other files than a report; it is not changed.
    """
    with atomic_folder(directory, _PARTS) as folder:
        media = folder / "media"
        media.mkdir()

        def save(name: str, content: bytes) -> None:
            (media / name).write_bytes(content)

        articles = [example_html(place, example, save) for place, example in enumerate(examples, start=1)]
        frames = gallery(places, save)
        (folder / "index.html").write_text(
            _page(summary, examples, articles, frames), encoding="utf-8", errors="replace"
        )
    return directory / "index.html"


def _page(summary: Mapping[str, Any], examples: Sequence[ReportExample], articles: Sequence[str], frames: str) -> str:
    run = summary.get("run") or {}
    mixtures = summary.get("mixtures") or []
    name = escape(str(run.get("method") or run.get("config") or "Separation"))
    sections = [
        Section("numbers", "Numbers", _numbers(summary, mixtures)),
        Section("differences", "Differences", _differences(summary)),
        Section("robustness", "Robustness", _robustness(summary)),
        Section("listen", "Look and listen", _listen(examples, articles)),
        Section("counting", "Counting", counting.section(summary.get("counting"))),
        Section("localisation", "Localisation", localisation.section(summary.get("localisation"), frames)),
        Section("far", "Far from what was trained on", far.section(summary.get("far"))),
        Section("all", "All mixtures", _mixtures(mixtures)),
    ]
    return shell.page(
        title=f"{name} \N{EN DASH} separation report",
        kind="Sound separation report",
        heading=name,
        subtitle=_subtitle(run, len(mixtures)),
        hero=f'<ul class="tiles">{tables.headline(summary)}</ul>{_KEY}',
        sections=sections,
        foot=tables.foot(summary),
    )


def _subtitle(run: Mapping[str, Any], mixtures: int) -> str:
    facts = [text(run[key]) for key in ("config", "date") if run.get(key) is not None]
    if mixtures:
        facts.append(f"{mixtures:,} mixture{'s' if mixtures != 1 else ''}")
    if run.get("commit") is not None:
        facts.append(f"commit <code>{escape(str(run['commit'])[:12])}</code>")
    return " · ".join(facts)


def _numbers(summary: Mapping[str, Any], mixtures: Sequence[Mapping[str, Any]]) -> str:
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Methods and metrics">'
        f"{tables.methods(summary)}</div>"
        '<p class="note">Intervals are 95 % bootstrap intervals over videos: mixtures share videos and are not '
        f'independent.</p>{tables.left_out(summary)}<div class="cards">{_charts(summary, mixtures)}</div>'
    )


def _differences(summary: Mapping[str, Any]) -> str:
    given = summary.get("differences")
    if not isinstance(given, Mapping) or not given:
        return ""
    pairs = {differences.pair_name(str(key)): values for key, values in given.items()}
    table = differences.table(pairs, caption="Means of paired differences, 95 % intervals")
    note = (
        '<p class="note">Both methods are compared on each mixture, which is more precise than comparing the intervals '
        f"of their means. {differences.BETTER}</p>"
    )
    return f"{note}{table}{differences.forests(pairs)}" if table else ""


def _robustness(summary: Mapping[str, Any]) -> str:
    content = robustness.section(summary.get("mixes"))
    if not content:
        return ""
    note = (
        '<p class="note">The same run on mixtures of more sounds; bands are 95 % intervals. The untouched '
        "mixture is a thin line where it does not flatten the curves; the table always has it.</p>"
    )
    return note + content


def _listen(examples: Sequence[ReportExample], articles: Sequence[str]) -> str:
    if not articles:
        return ""
    links = "".join(
        f'<li><a href="#example-{place:02d}">{escape(example.title)}</a></li>'
        for place, example in enumerate(examples, start=1)
    )
    return (
        f'<nav aria-label="Examples"><ol class="links">{links}</ol></nav>'
        '<p class="note">All sounds of one mixture are played with the same gain, set by its loudest sample: their '
        "levels can be compared within a mixture, but not between mixtures. A click on a picture plays its example "
        'from that time.</p><div class="legends">'
        f'<p><span>Level</span> <span>\N{MINUS SIGN}{RANGE_DB:.0f}</span><i style="background:'
        f'{css_gradient(SOUND_COLORS)}"></i><span>0 dB, the loudest point of the example</span></p>'
        f'<p><span>Mask</span> <span>0</span><i style="background:{css_gradient(MASK_COLORS)}"></i><span>1</span></p>'
        f"</div>{''.join(articles)}"
    )


def _mixtures(mixtures: Sequence[Mapping[str, Any]]) -> str:
    if not mixtures:
        return ""
    listed = f"{len(mixtures):,} of {len(mixtures):,} listed."
    if len(mixtures) > tables.MOST_ROWS:
        listed = f"The first {tables.MOST_ROWS:,} of {len(mixtures):,} are listed; the results file holds them all."
    return (
        f'<p class="note">Mean of the sources, then each source. A column head sorts. {listed}</p>'
        '<label class="filter" hidden>Show only <input type="search" id="filter" placeholder="a class or a video"> '
        '<output id="shown"></output></label>'
        '<div class="scroll tall" tabindex="0" role="region" aria-label="Numbers of each mixture">'
        f"{tables.mixture_table(mixtures)}</div>"
    )


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
