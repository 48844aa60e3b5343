"""What a preparation did: counts by class and split, hours, and every video left out, with its reason."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from data_pipeline.builders.staging import Facts
from data_pipeline.sources import Skipped
from data_pipeline.splits import MIN_VIDEOS_TO_SPLIT, SPLITS

_NAMES_SHOWN = 5


def summarise(
    facts: Sequence[Facts], splits: Mapping[str, str], skipped_unopened: Mapping[str, Skipped]
) -> dict[str, Any]:
    """Counts what was staged.

    Args:
        facts: of every video that was opened.
        splits: id -> split of those that can be used.
        skipped_unopened: id -> what the source passed over.

    Returns:
        JSON values: videos and chunks by class and split, hours of sound, skipped videos by reason.
    """
    kept = [fact for fact in facts if fact.reason is None]
    classes = sorted({fact.label for fact in kept})
    videos = Counter((fact.label, splits[fact.video_id]) for fact in kept)
    chunks: Counter[str] = Counter()
    for fact in kept:
        chunks[splits[fact.video_id]] += fact.chunks
    skipped: dict[str, dict[str, str]] = {}
    for fact in facts:
        if fact.reason is not None:
            skipped.setdefault(fact.reason, {})[fact.video_id] = fact.message
    for name, unopened in skipped_unopened.items():
        skipped.setdefault(unopened.reason, {})[name] = f"{name}: {unopened.reason}"
    sizes = Counter(fact.label for fact in kept)
    return {
        "videos": {label: {split: videos[label, split] for split in SPLITS} for label in classes},
        "chunks": {split: chunks[split] for split in SPLITS},
        "hours": sum(fact.seconds for fact in kept) / 3600,
        "only_train": [label for label in classes if videos[label, "train"] == sizes[label] < MIN_VIDEOS_TO_SPLIT],
        "skipped": skipped,
    }


def as_text(summary: Mapping[str, Any]) -> str:
    """The summary as a table for a terminal."""
    width = max([len("all videos"), *map(len, summary["videos"])])
    lines = [f"{'class':<{width}}" + "".join(f"{split:>12}" for split in SPLITS)]
    lines += [_row(label, counts, width) for label, counts in summary["videos"].items()]
    total = {split: sum(counts[split] for counts in summary["videos"].values()) for split in SPLITS}
    lines += [_row("all videos", total, width), _row("chunks", summary["chunks"], width)]
    lines.append(f"{summary['hours']:.2f} hours of sound")
    if summary["only_train"]:
        labels = ", ".join(summary["only_train"])
        lines.append(f"fewer than {MIN_VIDEOS_TO_SPLIT} videos, so all of them train: {labels}")
    for reason, members in sorted(summary["skipped"].items()):
        names = sorted(members)
        more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
        lines.append(f"skipped {len(names)} ({reason}): {', '.join(names[:_NAMES_SHOWN])}{more}")
    return "\n".join(lines) + "\n"


def _row(name: str, counts: Mapping[str, int], width: int) -> str:
    return f"{name:<{width}}" + "".join(f"{counts[split]:>12}" for split in SPLITS)
