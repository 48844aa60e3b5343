"""Counts the videos of a preparation by class and split, by reason and by remark."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from data_pipeline.staging.splits import MIN_VIDEOS_TO_SPLIT, SPLITS

_NAMES_SHOWN = 5
_NO_CLASS = "no class"


def summarise(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Counts the rows of a manifest.

    Args:
        rows: Rows from `manifest.rows`.

    Returns:
        JSON values: videos by class and split, videos left out by class and reason, chunks by split, hours of audio,
        classes that are too small to be divided, names left out by reason with their messages, names by kind of remark.
    """
    used = [row for row in rows if row["status"] == "used"]
    classes = sorted({row["class"] for row in used})
    videos = Counter((row["class"], row["split"]) for row in used)
    chunks: Counter[str] = Counter()
    remarks: dict[str, list[str]] = defaultdict(list)
    for row in used:
        chunks[row["split"]] += row["chunks"]
        for kind in row["remarks"]:
            remarks[kind].append(row["name"])
    skipped: dict[str, dict[str, str]] = defaultdict(dict)
    left_out: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        if row["status"] != "used":
            skipped[row["reason"]][row["name"]] = row.get("message") or f"{row['name']}: {row['reason']}"
            left_out[row["class"] or _NO_CLASS][row["reason"]] += 1
    sizes = Counter(row["class"] for row in used)
    return {
        "videos": {label: {split: videos[label, split] for split in SPLITS} for label in classes},
        "left_out": {label: dict(sorted(left_out[label].items())) for label in sorted(left_out)},
        "chunks": {split: chunks[split] for split in SPLITS},
        "hours": sum(row["seconds"] for row in used) / 3600,
        "only_train": [label for label in classes if videos[label, "train"] == sizes[label] < MIN_VIDEOS_TO_SPLIT],
        "skipped": {reason: skipped[reason] for reason in sorted(skipped)},
        "remarks": {kind: remarks[kind] for kind in sorted(remarks)},
    }


def as_text(summary: Mapping[str, Any]) -> str:
    """Formats the summary as a table for a terminal."""
    columns = [*SPLITS, "left out"]
    by_class = {label: dict(counts) for label, counts in summary["videos"].items()}
    for label, reasons in summary["left_out"].items():
        by_class.setdefault(label, dict.fromkeys(SPLITS, 0))["left out"] = sum(reasons.values())
    width = max(len("all videos"), *map(len, by_class))
    lines = [f"{'class':<{width}}" + "".join(f"{column:>12}" for column in columns)]
    lines += [_row(label, counts, width, columns) for label, counts in sorted(by_class.items())]
    total = {column: sum(counts.get(column, 0) for counts in by_class.values()) for column in columns}
    lines += [_row("all videos", total, width, columns), _row("chunks", summary["chunks"], width, SPLITS)]
    lines.append(f"{summary['hours']:.2f} hours of sound")
    if summary["only_train"]:
        labels = ", ".join(summary["only_train"])
        lines.append(f"fewer than {MIN_VIDEOS_TO_SPLIT} videos, so all of them train: {labels}")
    lines += [f"left out {len(names)} ({reason}): {_some(names)}" for reason, names in summary["skipped"].items()]
    lines += [f"note: {len(names)} ({kind}): {_some(names)}" for kind, names in summary["remarks"].items()]
    return "\n".join(lines) + "\n"


def _some(names: Sequence[str] | Mapping[str, str]) -> str:
    shown = [repr(name)[1:-1] for name in sorted(names)[:_NAMES_SHOWN]]  # a name may hold a newline
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return ", ".join(shown) + more


def _row(name: str, counts: Mapping[str, int], width: int, columns: Sequence[str]) -> str:
    return f"{name:<{width}}" + "".join(f"{counts.get(column, 0):>12}" for column in columns)
