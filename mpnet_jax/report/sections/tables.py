"""The tables of a run's report: headline, methods, class pairs, mixtures and facts."""

import itertools
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
from jaxtyping import Float

from mpnet_jax.metrics.names import BASELINES, LOWER_IS_BETTER, METRICS, arrow, method_name, unit
from mpnet_jax.report.drawing.numbers import count_of, estimate, is_number, mapping, mean_of, number, text
from mpnet_jax.report.drawing.tiles import tile, values_of

# More rows make the page slow; the results file has them all.
MOST_ROWS = 1000

_NOTES = {
    "mixture": "nothing separated",
    "oracle": "the ceiling of masking with the mixture's phase",
    "swapped": "conditioned on another source's frames",
}
_COLUMNS = ("nsdr", "sdr", "sir", "sar", "mixture_sdr", "amid")
_SILENT = "silent estimate"  # a reason of `metrics.bss_eval`
_COLUMN_NAMES = {"mixture_sdr": "Mixture SDR"}
_FACTS = ("config", "method", "steps", "seed", "trained_at", "commit", "machine", "date", "command")


def headline(summary: Mapping[str, Any]) -> str:
    """Returns one tile for each metric: the mean, its interval, and its position between mixture and oracle."""
    return "".join(_tile(name, summary) for name in METRICS if isinstance(summary.get(name), Mapping))


def methods(summary: Mapping[str, Any]) -> str:
    """Returns a table of the run and its baselines by metrics."""
    method = text(_run(summary).get("method") or "This run")
    rows = [_method_row(method, "separated by this run", summary, kind=' class="ours"')]
    others = summary.get("methods")
    for name, values in (others if isinstance(others, Mapping) else {}).items():
        title = method_name(name)
        if title != method and isinstance(values, Mapping):
            rows.append(_method_row(text(title), "of the same run", values, kind=""))
    for key, note in _NOTES.items():
        if isinstance(summary.get(key), Mapping):
            rows.append(_method_row(BASELINES[key], note, summary[key], kind=""))
    heads = "".join(f'<th scope="col">{name.upper()} {arrow(name)}</th>' for name in METRICS)
    return (
        '<table class="methods"><caption>Means over mixtures in dB (AMID: no unit), 95 % intervals</caption>'
        f'<thead><tr><th scope="col">Method</th>{heads}<th scope="col">Mixtures</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def class_pairs(mixtures: Sequence[Mapping[str, Any]]) -> str:
    """Returns the mean NSDR of the mixtures of each pair of classes; "" without any."""
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for mixture in mixtures:
        nsdr = mean_of(mixture.get("nsdr"))
        names = [str(name) for name in mixture.get("classes") or ()]
        if nsdr is not None:
            for pair in {tuple(sorted(pair)) for pair in itertools.combinations(names, 2)}:
                found[pair[0], pair[1]].append(nsdr)
    if not found:
        return ""
    means = {pair: sum(values) / len(values) for pair, values in found.items()}
    low, span = min(means.values()), (max(means.values()) - min(means.values())) or 1.0
    names = sorted({name for pair in means for name in pair})
    # Unless a pair has one class twice, the first row and the last column of the triangle are empty.
    skip = 0 if any(first == second for first, second in means) else 1
    rows = []
    for row, name in enumerate(names[skip:], start=1):
        cells = []
        for other in names[:row]:
            pair = (other, name)
            if pair not in means:
                cells.append('<td class="none"></td>')
                continue
            count = len(found[pair])
            about = f"{escape(other)} with {escape(name)}: {count} mixture{'s' if count > 1 else ''}"
            cells.append(
                f'<td style="--heat:{(means[pair] - low) / span:.2f}" title="{about}">'
                f"{number(means[pair], digits=1)}<small>{count}</small></td>"
            )
        rows.append(f'<tr><th scope="row">{escape(name)}</th>{"".join(cells)}</tr>')
    foot = "".join(f'<th scope="col"><span>{escape(name)}</span></th>' for name in names[: len(names) - skip])
    return f'<table class="heat"><tbody>{"".join(rows)}</tbody><tfoot><tr><td></td>{foot}</tr></tfoot></table>'


def quantiles(values: Float[np.ndarray, " mixture"]) -> str:
    """Returns the quartiles of the finite values in dB, and the share above zero."""
    values = values[np.isfinite(values)]
    if not len(values):
        return ""
    names = ("worst", "lower quartile", "median", "upper quartile", "best")
    found = np.quantile(values, (0.0, 0.25, 0.5, 0.75, 1.0)).tolist()
    entries = [(name, number(value, digits=1)) for name, value in zip(names, found, strict=True)]
    entries.append(("above zero", f"{100 * float((values > 0).mean()):.0f} %"))
    return _descriptions(entries).replace("<dl>", '<dl class="quantiles">')


def mixture_table(mixtures: Sequence[Mapping[str, Any]]) -> str:
    """Returns a sortable table of all mixtures."""
    names = {"index": "#", "classes": "Classes", "video_ids": "Videos"} | {
        name: _COLUMN_NAMES.get(name, name.upper()) for name in _COLUMNS
    }
    heads = "".join(
        f'<th scope="col" aria-sort="{order}" data-sort="{kind}"><button type="button">{name}</button></th>'
        for key, name in names.items()
        for order in ["ascending" if key == "index" else "none"]
        for kind in ["text" if key in ("classes", "video_ids") else "number"]
    )
    rows = "".join(_mixture_row(mixture) for mixture in mixtures[:MOST_ROWS])
    return (
        '<table class="mixtures sortable"><caption class="hidden">Numbers of each mixture; the means of its '
        f"sources first</caption><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
    )


def facts(summary: Mapping[str, Any]) -> str:
    """Returns how the run was made, known facts first, as a description list."""
    run = _run(summary)
    keys = [key for key in _FACTS if key in run] + [key for key in run if key not in _FACTS]
    return _descriptions((str(key), _fact(run[key], code=key in ("command", "commit", "trained_at"))) for key in keys)


def definitions(summary: Mapping[str, Any]) -> str:
    """Returns what each number means, as a description list."""
    given = mapping(summary.get("definitions"))
    return _descriptions((str(name), text(meaning)) for name, meaning in given.items())


def foot(summary: Mapping[str, Any]) -> str:
    """Returns the lower part of a page: what the numbers mean, and how they were made."""
    none = "<p>None were recorded.</p>"
    return (
        '<section class="columns"><div aria-labelledby="meaning" role="group">'
        f'<h2 id="meaning">What the numbers mean</h2>{definitions(summary) or none}</div>'
        '<div aria-labelledby="made" role="group">'
        f'<h2 id="made">How they were made</h2>{facts(summary) or none}</div></section>'
    )


def left_out(summary: Mapping[str, Any]) -> str:
    """Returns the number of mixtures that are left out of the means, by reason."""
    reasons = {name: count for name, count in mapping(summary.get("left_out")).items() if count}
    if not reasons:
        return "<p>No mixture was left out.</p>"
    entries = "".join(f"<li><b>{text(count)}</b> {text(reason)}</li>" for reason, count in reasons.items())
    silent = " (of SDR, SIR and SAR alone where an estimate is silent, whose NSDR is 0)" if _SILENT in reasons else ""
    return f"<p>Left out of the means above{silent}:</p><ul class='left-out'>{entries}</ul>"


def _run(summary: Mapping[str, Any]) -> Mapping[str, Any]:
    return mapping(summary.get("run"))


def _tile(name: str, summary: Mapping[str, Any]) -> str:
    marks: dict[str, float] = {}
    for key in BASELINES:
        mean = ((summary.get(key) or {}).get(name) or {}).get("mean")
        if is_number(mean):
            marks[key] = mean
    if name == "nsdr" and marks:
        marks.setdefault("mixture", 0.0)
    lower = '<span class="better"> lower is better</span>' if name in LOWER_IS_BETTER else ""
    scale = [*values_of(summary[name]), *marks.values()]
    return tile(f"{name.upper()}{lower}", summary[name], marks, scale, unit=unit(name))


def _method_row(name: str, note: str, values: Mapping[str, Any], *, kind: str) -> str:
    cells = "".join(f"<td>{estimate(values.get(metric))}</td>" for metric in METRICS)
    count = count_of({metric: values.get(metric) for metric in METRICS})
    return f'<tr{kind}><th scope="row">{name}<small>{note}</small></th>{cells}<td>{text(count)}</td></tr>'


def _mixture_row(mixture: Mapping[str, Any]) -> str:
    cells = [f'<td data-value="{text(mixture.get("index", ""))}">{text(mixture.get("index"))}</td>']
    cells += [f'<td class="words">{text(mixture.get(key))}</td>' for key in ("classes", "video_ids")]
    for name in _COLUMNS:
        value = mixture.get(name)
        mean = mean_of(value) if value is not None else None
        parts = ""
        if isinstance(value, Sequence) and not isinstance(value, str) and len(value) > 1:
            parts = f"<small>{' · '.join(number(entry, digits=1) for entry in value)}</small>"
        sort = f' data-value="{mean:.4f}"' if mean is not None else ""
        cells.append(f"<td{sort}>{number(mean)}{parts}</td>")
    return f"<tr>{''.join(cells)}</tr>"


def _descriptions(entries: Any) -> str:
    items = "".join(f"<div><dt>{escape(name)}</dt><dd>{value}</dd></div>" for name, value in entries)
    return f"<dl>{items}</dl>" if items else ""


def _fact(value: Any, *, code: bool) -> str:
    shown = text(value) if not isinstance(value, (dict, list)) else escape(json.dumps(value, default=str))
    return f"<code>{shown}</code>" if code else shown
