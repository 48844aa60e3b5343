"""Tests what the paper observed: each observation is a difference that is above zero where the paper is right."""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from mpnet_jax.comparison.cells import NO_MASK
from mpnet_jax.comparison.report import published
from mpnet_jax.comparison.report.entries import Entry, common, difference, draws_of, mean
from mpnet_jax.metrics.names import method_name
from mpnet_jax.metrics.resampling import Drawn, Sample

# From the one that separates worst to the one that separates best.
_ORDER = ("miml", "pixelplayer", "mnet", "mpnet")
_BETTER_MASK = {"nsdr": "ratio", "sar": "ratio", "sir": "binary", "amid": "binary"}
_COUNT = 0.9
HOLDS, FAILS, OPEN = "holds", "does not hold", "undecided"


def observations(entries: Mapping[str, Entry]) -> list[dict[str, Any]]:
    """Returns the observations that the finished cells can test.

    Returns:
        JSON-ready dicts with `claim`, `where` (mask and sounds, or method), `difference` (an estimate) and `verdict`:
        see `verdict`.
    """
    entries = {key: entry for key, entry in entries.items() if entry.method in _ORDER}
    tests = (_better_methods, _better_masks, _harder, _slower_decay, _counts)
    return [line for test in tests for line in test(entries)]


def verdict(difference: Mapping[str, Any]) -> str:
    """Returns `HOLDS` for an interval above zero, `FAILS` for one below, else `OPEN`.

    With one seed it is always `OPEN`: an interval over videos does not tell what another training would give.
    """
    low, high = difference["ci95"]
    if difference["seeds"] < 2:
        return OPEN
    return HOLDS if low > 0 else FAILS if high < 0 else OPEN


def _better_methods(entries: Mapping[str, Entry]) -> Iterator[dict[str, Any]]:
    for metric, (worse, better) in itertools.product(published.METRICS, itertools.pairwise(_ORDER)):
        claim = f"{method_name(better)} separates better than {method_name(worse)} ({metric.upper()})"
        for entry in _of(entries, better):
            for other in _of(entries, worse):
                setting = {"mask": entry.mask, "sources": entry.sources, "metric": metric}
                observed = metric == "nsdr" or published.separates_better(better, worse, **setting)
                if observed and other.sources == entry.sources and other.mask in (entry.mask, NO_MASK):
                    yield from _line(claim, _where(entry), _gain(entry, other, metric))


def _better_masks(entries: Mapping[str, Entry]) -> Iterator[dict[str, Any]]:
    for metric, mask in _BETTER_MASK.items():
        claim = f"{mask.capitalize()} masks are better in {metric.upper()}"
        for entry in entries.values():
            other = entries.get(f"{entry.method}-{'binary' if mask == 'ratio' else 'ratio'}-mix{entry.sources}")
            if entry.mask == mask and other is not None:
                where = f"{method_name(entry.method)}, mix-{entry.sources}"
                yield from _line(claim, where, _gain(entry, other, metric))


def _harder(entries: Mapping[str, Entry]) -> Iterator[dict[str, Any]]:
    for entry in entries.values():
        other = entries.get(f"{entry.method}-{entry.mask}-mix3")
        if entry.sources == 2 and other is not None:
            where = method_name(entry.method) + ("" if entry.mask == NO_MASK else f", {entry.mask}")
            # Each on its own mixtures, which share videos.
            means = _means(entry.samples(entry.own, "nsdr"), other.samples(other.own, "nsdr"))
            drawn = means[0] - means[1] if means else None
            yield from _line("Mixtures of 3 are harder than of 2 (NSDR)", where, drawn)


def _slower_decay(entries: Mapping[str, Entry]) -> Iterator[dict[str, Any]]:
    for entry in (*_of(entries, "mnet"), *_of(entries, "mpnet")):
        other = entries.get(f"pixelplayer-{entry.mask}-mix{entry.sources}")
        names = set.intersection(*(set(result["lists"]) for result in entry.results.values()))
        numbers = sorted(int(name.removeprefix("mix")) for name in names if name.startswith("mix"))
        if other is not None and len(numbers) > 1:
            few, many = numbers[0], numbers[-1]
            claim = f"{method_name(entry.method)} loses less from {few} to {many} sounds than PixelPlayer (NSDR)"
            means = _means(*(of.samples(f"mix{n}", "nsdr") for of in (entry, other) for n in (many, few)))
            drawn = (means[0] - means[1]) - (means[2] - means[3]) if means else None
            yield from _line(claim, _where(entry), drawn)


def _counts(entries: Mapping[str, Entry]) -> Iterator[dict[str, Any]]:
    claim = f"The number of sounds is right in over {100 * _COUNT:.0f} % (1 to as many as in training)"
    for entry in _of(entries, "mpnet"):
        for mode in ("clips", "pixels"):
            right = mean(entry.counted_right(mode, as_trained=True))
            drawn = None if right is None else right - _COUNT
            yield from _line(claim, f"{_where(entry)}, by {mode}", drawn, low=-_COUNT, high=1.0 - _COUNT)


def _gain(better: Entry, worse: Entry, metric: str) -> Drawn | None:
    """Returns the difference in a metric, above zero where `better` is better."""
    first, second = (worse, better) if metric == "amid" else (better, worse)
    return difference(first, second, better.own, metric)


def _means(*samples: Mapping[int, Sample]) -> list[Drawn]:
    """Returns the means over the seeds that all samples share, by the same draws; empty where there is none."""
    shared = common(*samples)
    draws = draws_of(shared) if shared[0] else None
    means = [drawn for of in shared if draws is not None and (drawn := draws.mean(of)) is not None]
    return means if len(means) == len(samples) else []


def _of(entries: Mapping[str, Entry], method: str) -> list[Entry]:
    return [entry for entry in entries.values() if entry.method == method]


def _where(entry: Entry) -> str:
    return f"mix-{entry.sources}" if entry.mask == NO_MASK else f"{entry.mask}, mix-{entry.sources}"


def _line(claim: str, where: str, drawn: Drawn | None, **bounds: float) -> Iterator[dict[str, Any]]:
    if drawn is not None:
        estimate = drawn.estimate(**bounds)
        yield {"claim": claim, "where": where, "difference": estimate, "verdict": verdict(estimate)}
