"""Draws the fixed lists of mixtures for evaluation once and saves them, so that every method gets the same mixtures."""

import dataclasses
import hashlib
import itertools
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from data_pipeline.atomic import write_atomically
from data_pipeline.command import InputError
from data_pipeline.mixing import ClipTable, SourcePlan, level_gain
from data_pipeline.spec import AudioSpec

if TYPE_CHECKING:
    from data_pipeline.records.store import RecordStore

_TRIES = 200  # windows drawn for one source before its video counts as too quiet
_MANY_TUPLES = 20_000  # more class tuples than this are drawn one by one instead of being enumerated


@dataclasses.dataclass(frozen=True)
class MixtureListSpec:
    """How a list is drawn; saved with it.

    Attributes:
        count: Number of mixtures.
        sources: Sources in each mixture, of distinct videos.
        same_class: Whether two sources of a mixture may have the same class.
        level_difference_db: Largest difference between the levels of two sources.
        level_distribution: "uniform" draws the level of each further source relative to the first uniformly.
            "triangular" draws every level uniformly within a range, which makes the differences triangular.
        floor_dbfs: Windows below this level, measured after normalising their video's level, are not used.
        level_dbfs: Mean level of the sources of a mixture, and the level that videos are normalised to for
            `floor_dbfs`.
        seed: Seed of the random generator.
        sounding: Number of sources that sound, used in turn from mixture to mixture; the other sources are silent but
            visible. When empty, all sources sound.
    """

    count: int
    sources: int
    same_class: bool
    level_difference_db: float
    floor_dbfs: float
    level_dbfs: float
    seed: int
    sounding: tuple[int, ...] = ()
    level_distribution: str = "uniform"


# Values of fields that older saved lists do not contain.
_OLD_DEFAULTS = {"sounding": [], "level_distribution": "uniform"}


def load_or_draw(path: Path, store: "RecordStore", audio: AudioSpec, spec: MixtureListSpec) -> list[list[SourcePlan]]:
    """Loads the list saved at `path`, or draws a new one and saves it there.

    Args:
        path: JSON file.
        store: The split.
        audio: Length of a window.
        spec: How to draw.

    Returns:
        `spec.count` mixtures of `spec.sources` sources.

    Raises:
        InputError: The saved list was drawn with other parameters or from other videos, there are too few clips, or the
            split is too quiet.
    """
    drawn_from = dataclasses.asdict(spec) | {"clip_samples": audio.clip_samples, "rate_hz": audio.rate_hz}
    drawn_from["sounding"] = list(spec.sounding)
    if path.is_file():
        return _load(path, store, drawn_from)
    mixtures = draw(store, audio, spec)
    rows = _rows(store, mixtures)
    write_atomically(path, json.dumps({"drawn": drawn_from, "mixtures": rows}, indent=1) + "\n")
    return mixtures


def fingerprint(store: "RecordStore", mixtures: Sequence[Sequence[SourcePlan]]) -> str:
    """Returns a hash of the mixed windows and of their records, which differs for videos that were prepared anew."""
    used = map(store.clips.__getitem__, sorted({plan.clip for mixture in mixtures for plan in mixture}))
    records = [[c.video_id, c.chunk, c.samples, c.frames, c.video_rms, c.length] for c in used]
    return hashlib.sha256(json.dumps([_rows(store, mixtures), records]).encode()).hexdigest()


def outline(store: "RecordStore", mixtures: Sequence[Sequence[SourcePlan]], spec: MixtureListSpec) -> str:
    """Returns a hash of which windows are mixed and how they were drawn, which ignores rounding differences.

    Videos that were rendered or decoded on another processor differ in the last digits, and so do their gains. A
    comparison whose cells ran on several machines is still one comparison.
    """
    windows = [[[store.clips[p.clip].video_id, store.clips[p.clip].chunk, p.start] for p in m] for m in mixtures]
    used = sorted({plan.clip for mixture in mixtures for plan in mixture})
    return hashlib.sha256(
        json.dumps([dataclasses.asdict(spec), windows, record_outlines(store, used)]).encode()
    ).hexdigest()


def record_outlines(store: "RecordStore", places: Iterable[int]) -> list[list[Any]]:
    """Returns identity and length of the records at the given indices of a split; see `outline`."""
    return [[c.video_id, c.chunk, c.samples, c.frames] for c in map(store.clips.__getitem__, places)]


def _rows(store: "RecordStore", mixtures: Sequence[Sequence[SourcePlan]]) -> list[list[dict[str, Any]]]:
    return [
        [
            {
                "video_id": store.clips[plan.clip].video_id,
                "class": store.classes[store.clips[plan.clip].label],
                "chunk": store.clips[plan.clip].chunk,
                "start": plan.start,
                "gain": plan.gain,
            }
            for plan in mixture
        ]
        for mixture in mixtures
    ]


def _load(path: Path, store: "RecordStore", drawn_from: dict[str, Any]) -> list[list[SourcePlan]]:
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
        recorded = _OLD_DEFAULTS | dict(saved["drawn"].items())
        rows = [
            [(str(s["video_id"]), int(s["chunk"]), int(s["start"]), float(s["gain"])) for s in mixture]
            for mixture in saved["mixtures"]
        ]
    except (json.JSONDecodeError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} is no list of mixtures ({error}); delete it, and it is drawn again") from None
    for field, value in drawn_from.items():
        if recorded.get(field) != value:
            raise InputError(
                f"{path} was drawn with {field}={recorded.get(field)}, this run asks for {value}; "
                "use the same value, or move the list away to draw another"
            )
    places = {(clip.video_id, clip.chunk): index for index, clip in enumerate(store.clips)}
    remedy = "use the data set that it was drawn from, or move the list away to draw another"
    mixtures = []
    for row in rows:
        plans = []
        for video_id, chunk, start, gain in row:
            if (video_id, chunk) not in places:
                raise InputError(f"{path} names video {video_id!r}, which is not in the split; {remedy}")
            index = places[video_id, chunk]
            samples = store.clips[index].samples
            if not 0 <= start <= samples - drawn_from["clip_samples"]:
                raise InputError(
                    f"{path} has a window that starts at sample {start} of video {video_id!r}, whose record "
                    f"{chunk} has only {samples} samples; {remedy}"
                )
            plans.append(SourcePlan(index, start, gain))
        mixtures.append(plans)
    return mixtures


def draw(store: "RecordStore", audio: AudioSpec, spec: MixtureListSpec) -> list[list[SourcePlan]]:
    """Draws a list.

    Classes come in rounds: every combination of distinct classes appears once, in random order, before any is repeated.
    Each class is thus drawn uniformly, and rare combinations do not depend on chance.

    Args:
        store: The split.
        audio: Length of a window.
        spec: How to draw.

    Returns:
        Mixtures whose sources have exactly the drawn level differences within their windows; the gain of a silent
        source is 0.

    Raises:
        InputError: There are too few clips, or every window of a video is too quiet.
    """
    table = ClipTable(store.clips, audio, sources=spec.sources, same_class=spec.same_class)
    rng = np.random.default_rng(spec.seed)
    by_label: dict[int, list[str]] = {}
    for video in table.videos:
        by_label.setdefault(table.label_of[video], []).append(video)
    tuples = _class_tuples(sorted(by_label), spec.sources, rng)
    mixtures = []
    for number in range(spec.count):
        if spec.same_class:
            videos = table.choose_videos(rng, spec.sources, same_class=True)
        else:
            videos = [by_label[label][rng.integers(len(by_label[label]))] for label in next(tuples)]
        sounding = spec.sounding[number % len(spec.sounding)] if spec.sounding else spec.sources
        levels = _draw_levels(rng, spec)
        levels += spec.level_dbfs - levels[: max(sounding, 1)].mean()
        mixture = [
            _draw_source(store, table, video, rng, spec, level) for video, level in zip(videos, levels, strict=True)
        ]
        mixtures.append(mixture[:sounding] + [dataclasses.replace(plan, gain=0.0) for plan in mixture[sounding:]])
    return mixtures


def _draw_levels(rng: np.random.Generator, spec: MixtureListSpec) -> np.ndarray:
    """Draws relative levels of a mixture's sources in dB, (sources,)."""
    if spec.level_distribution == "triangular":
        return rng.uniform(-0.5, 0.5, spec.sources) * spec.level_difference_db
    return np.append(0.0, rng.uniform(-1.0, 1.0, spec.sources - 1) * spec.level_difference_db)


def _class_tuples(labels: list[int], sources: int, rng: np.random.Generator) -> Iterator[Any]:
    many = math.comb(len(labels), sources) > _MANY_TUPLES
    while True:
        if many:
            yield rng.permutation(labels)[:sources]
            continue
        combinations = list(itertools.combinations(labels, sources))
        for index in rng.permutation(len(combinations)):
            yield rng.permutation(combinations[index])


def _draw_source(
    store: "RecordStore",
    table: ClipTable,
    video: str,
    rng: np.random.Generator,
    spec: MixtureListSpec,
    level_dbfs: float,
) -> SourcePlan:
    for _ in range(_TRIES):
        clip, start = table.choose_window(rng, video)
        samples = store.read_sound(clip, start, table.clip_samples) / 32768.0
        rms = float(np.sqrt(np.mean(np.square(samples))))
        loud_enough = rms * level_gain(store.clips[clip], spec.level_dbfs) >= 10 ** (spec.floor_dbfs / 20)
        if rms > 0 and loud_enough:
            return SourcePlan(clip, start, 10 ** (level_dbfs / 20) / rms)
    raise InputError(
        f"video {video!r} has hardly a window above {spec.floor_dbfs} dBFS (none in {_TRIES} draws); "
        "remove it from the data set or lower config.evaluation.floor_dbfs"
    )
