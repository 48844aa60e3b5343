"""The section on counting sources: accuracy, confusions, the choice of the threshold, and noise."""

from collections.abc import Mapping, Sequence
from typing import Any

from mpnet_jax.report.drawing import sortable
from mpnet_jax.report.drawing.charts import choice
from mpnet_jax.report.drawing.numbers import estimate, interval_of, is_number, mapping, number, text

MODES = {"clips": "By clips", "pixels": "By pixels"}


def section(counting: Any) -> str:
    """Returns both modes side by side; "" without results."""
    modes = modes_of(counting)
    if not modes:
        return ""
    tuned = counting.get("tuned_on")
    chosen = f"The threshold was chosen on {text(tuned)}, not on what is shown here. " if tuned else ""
    return (
        f'<p class="note">{chosen}Rows of the tables are true numbers, columns counted ones; each cell gives the '
        "share of its row and the count. The outlined diagonal is right.</p>"
        f'<div class="cards">{"".join(_mode(name, values) for name, values in modes.items())}</div>'
    )


def modes_of(counting: Any) -> dict[str, Mapping[str, Any]]:
    """Returns {title of a mode: its results} of the modes that have results."""
    found = mapping(counting)
    return {name: found[key] for key, name in MODES.items() if isinstance(found.get(key), Mapping)}


def table(rows: Sequence[tuple[str, str, Mapping[str, Any]]]) -> str:
    """Returns a table of (run, mode, its results); "" without rows."""
    cells = []
    for run, mode, values in rows:
        rival = sortable.estimated(mapping(values.get("constant")).get("accuracy"), percent=True)
        cells.append(
            [
                sortable.words(run),
                sortable.words(mode),
                sortable.estimated(values.get("accuracy"), percent=True),
                sortable.Cell(f"{rival.html}<small>{_always(values)}</small>", rival.value),
                sortable.plain(values.get("epsilon_relative"), digits=3),
                sortable.plain(mapping(values.get("accuracy")).get("count")),
            ]
        )
    heads = ["Run", "Mode", "Right", "Best constant guess", "Threshold", "Clips"]
    return sortable.table(heads, cells, caption="How often the number of sounding objects is right")


def _mode(name: str, values: Mapping[str, Any]) -> str:
    curve = choice(
        _rows(values.get("curve")),
        values.get("epsilon_relative"),
        x_label="epsilon, share of the mixture",
        y_label="right on validation",
    )
    drawn = f"<h4>Choice of the threshold</h4>{curve}" if curve else ""
    content = f"{_headline(values)}{_confusion(values)}{drawn}"
    return f'<figure class="card count"><figcaption>{name}</figcaption>{content}</figure>'


def _headline(values: Mapping[str, Any]) -> str:
    accuracy = mapping(values.get("accuracy"))
    if not is_number(accuracy.get("mean")):
        return ""
    interval = interval_of(accuracy)
    spread = f" ({_percent(interval[0])} to {_percent(interval[1])} %)" if interval else ""
    rival = mapping(mapping(values.get("constant")).get("accuracy")).get("mean")
    against = f"; {_always(values) or 'one guess for all'} is right in {_percent(rival)} %" if is_number(rival) else ""
    headline = f'<p class="lead"><b>{_percent(accuracy["mean"])} %</b> right{spread}{against}</p>'
    as_trained = mapping(values.get("as_trained"))
    if not as_trained:
        return headline
    most = number(as_trained.get("most"), digits=0)
    return f"<h4>1 to {most} sounding, as in training</h4>{_headline(as_trained)}<h4>Any number</h4>{headline}"


def _confusion(values: Mapping[str, Any]) -> str:
    """Returns the confusion matrix as shares of its rows, with the accuracy of each row, and the rows of noise."""
    rows = [(str(true), _counts(row), true) for true, row in enumerate(_rows(values.get("confusion")))]
    noise = [entry for entry in values.get("noise") or () if isinstance(entry, Mapping)]
    rows += [
        (f"noise, {number(entry.get('level_dbfs'), digits=0)} dBFS", _counts(entry.get("counted")), 0)
        for entry in noise
    ]
    width = max((len(counts) for _, counts, _ in rows), default=0)
    right = {
        entry.get("sounding"): entry.get("accuracy")
        for entry in values.get("by_count") or ()
        if isinstance(entry, Mapping)
    }
    if not width:
        return ""
    body, first_noise = "", len(rows) - len(noise)
    for place, (name, counts, true) in enumerate(rows):
        total = sum(counts)
        cells = "".join(_share(counts, column, total, right=column == true) for column in range(width))
        last = right.get(true) if place < first_noise else None
        beside = f"<td class='right'>{estimate(last, percent=True) if last else ''}</td>" if right else ""
        kind = ' class="noise"' if place == first_noise else ""
        body += f'<tr{kind}><th scope="row">{name}</th>{cells}{beside}</tr>'
    heads = "".join(f'<th scope="col">{column}</th>' for column in range(width))
    beside = '<th scope="col" class="right">right</th>' if right else ""
    return (
        '<div class="scroll bare" tabindex="0" role="region" aria-label="Confusions"><table class="heat counts">'
        f'<thead><tr><td></td><th colspan="{width}" scope="colgroup">counted</th></tr>'
        f'<tr><th scope="col">sounding</th>{heads}{beside}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _share(counts: Sequence[int], column: int, total: int, *, right: bool) -> str:
    count = counts[column] if column < len(counts) else 0
    share = count / total if total else 0.0
    kind = ' class="diagonal"' if right else ""
    shown = f"{100 * share:.0f}<small>{count}</small>" if count else '<small class="nothing">0</small>'
    return f'<td{kind} style="--heat:{share:.2f}">{shown}</td>'


def _always(values: Mapping[str, Any]) -> str:
    guess = mapping(values.get("constant")).get("guess")
    return f"always {number(guess, digits=0)}" if is_number(guess) else ""


def _percent(share: float | int) -> str:
    return number(100.0 * share, digits=1)


def _counts(row: Any) -> list[int]:
    return [int(count) if is_number(count) else 0 for count in row] if isinstance(row, Sequence) else []


def _rows(value: Any) -> list[Sequence[Any]]:
    listed = value if isinstance(value, Sequence) and not isinstance(value, str) else ()
    return [row for row in listed if isinstance(row, Sequence) and not isinstance(row, str)]
