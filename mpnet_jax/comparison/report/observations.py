"""What the paper observed, each as a difference that ought to be above zero, and whether it is here."""

import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from mpnet_jax.comparison.cells import NO_MASK
from mpnet_jax.comparison.report import published
from mpnet_jax.comparison.report.entries import Entry, common, difference, draws_of, mean
from mpnet_jax.metrics.names import method_name
from mpnet_jax.metrics.resampling import Drawn

# From the one that separates worst to the one that separates best.
_ORDER = ("miml", "pixelplayer", "mnet", "mpnet")
# Which mask is better in a metric, and whether a higher value is.
_BETTER_MASK = {"nsdr": ("ratio", True), "sar": ("ratio", True), "sir": ("binary", True), "amid": ("binary", False)}
_COUNT = 0.9
HOLDS, FAILS, OPEN = "holds", "does not hold", "undecided"


class Line(NamedTuple):
    """One observation in one place.

    Attributes:
        claim: what the paper says.
        where: mask and sounds, or method.
        unit: of the difference.
        drawn: the difference, above zero where the paper is right.
        low: the least that the difference can be.
        high: the greatest.
    """

    claim: str
    where: str
    unit: str
    drawn: Drawn
    low: float = -math.inf
    high: float = math.inf


def observations(entries: Mapping[str, Entry]) -> list[dict[str, Any]]:
    """All that the finished cells can tell.

    Returns:
        JSON-ready dicts: `claim`, `where`, `unit`, `difference` (estimate), `verdict`: "holds" where the interval lies
        above zero, "does not hold" where it lies below, "undecided" where zero is in it or there is one seed alone.
    """
    entries = {key: entry for key, entry in entries.items() if entry.method in _ORDER}
    lines = itertools.chain(
        _better_methods(entries), _better_masks(entries), _harder(entries), _slower_decay(entries), _counts(entries)
    )
    return [
        {
            "claim": line.claim,
            "where": line.where,
            "unit": line.unit,
            "difference": estimate,
            "verdict": verdict(estimate),
        }
        for line in lines
        for estimate in [line.drawn.estimate(low=line.low, high=line.high)]
    ]


def verdict(difference: Mapping[str, Any]) -> str:
    """What the estimate of a difference says; of one seed nothing, since videos tell nothing of another training."""
    low, high = difference["ci95"]
    if difference["seeds"] < 2:
        return OPEN
    return HOLDS if low > 0 else FAILS if high < 0 else OPEN


def _better_methods(entries: Mapping[str, Entry]) -> Iterator[Line]:
    for metric, (worse, better) in itertools.product(published.METRICS, itertools.pairwise(_ORDER)):
        claim = f"{method_name(better)} separates better than {method_name(worse)} ({metric.upper()})"
        for entry in _of(entries, better):
            for other in _of(entries, worse):
                there = {"mask": entry.mask, "sources": entry.sources, "metric": metric}
                observed = metric == "nsdr" or published.separates_better(better, worse, **there)
                if observed and other.sources == entry.sources and other.mask in (entry.mask, NO_MASK):
                    first, second = (other, entry) if metric == "amid" else (entry, other)
                    unit = "" if metric == "amid" else "dB"
                    yield from _line(claim, _where(entry), unit, difference(first, second, entry.own, metric))


def _better_masks(entries: Mapping[str, Entry]) -> Iterator[Line]:
    for metric, (mask, higher) in _BETTER_MASK.items():
        claim = f"{mask.capitalize()} masks are better in {metric.upper()}"
        for entry in entries.values():
            other = entries.get(f"{entry.method}-{'binary' if mask == 'ratio' else 'ratio'}-mix{entry.sources}")
            if entry.mask == mask and other is not None:
                first, second = (entry, other) if higher else (other, entry)
                place = f"{method_name(entry.method)}, mix-{entry.sources}"
                unit = "" if metric == "amid" else "dB"
                yield from _line(claim, place, unit, difference(first, second, entry.own, metric))


def _harder(entries: Mapping[str, Entry]) -> Iterator[Line]:
    for entry in entries.values():
        other = entries.get(f"{entry.method}-{entry.mask}-mix3")
        if entry.sources == 2 and other is not None:
            place = method_name(entry.method) + ("" if entry.mask == NO_MASK else f", {entry.mask}")
            yield from _line("Mixtures of 3 are harder than of 2 (NSDR)", place, "dB", _change(other, entry))


def _slower_decay(entries: Mapping[str, Entry]) -> Iterator[Line]:
    for method in ("mnet", "mpnet"):
        for entry in _of(entries, method):
            other = entries.get(f"pixelplayer-{entry.mask}-mix{entry.sources}")
            numbers = _numbers(entry)
            if other is None or len(numbers) < 2:
                continue
            few, many = f"mix{numbers[0]}", f"mix{numbers[-1]}"
            claim = (
                f"{method_name(method)} loses less from {numbers[0]} to {numbers[-1]} sounds than PixelPlayer (NSDR)"
            )
            samples = common(*(of.samples(name, "nsdr") for of in (entry, other) for name in (many, few)))
            if not samples[0]:
                continue
            draws = draws_of(samples)
            drawn = [draws.mean(of) for of in samples]
            if all(one is not None for one in drawn):
                ours, ours_few, theirs, theirs_few = (one for one in drawn if one is not None)
                yield Line(claim, _where(entry), "dB", (ours - ours_few) - (theirs - theirs_few))


def _counts(entries: Mapping[str, Entry]) -> Iterator[Line]:
    for entry in _of(entries, "mpnet"):
        for mode in ("clips", "pixels"):
            right = mean(entry.counted_right(mode, as_trained=True))
            if right is not None:
                claim = f"The number of sounds is right in over {100 * _COUNT:.0f} % (1 to as many as in training)"
                yield Line(claim, f"{_where(entry)}, by {mode}", "", right - _COUNT, low=-_COUNT, high=1.0 - _COUNT)


def _change(harder: Entry, easier: Entry) -> Drawn | None:
    """What is lost from one setting to the other, each on its own mixtures, which share videos."""
    samples = common(easier.samples(easier.own, "nsdr"), harder.samples(harder.own, "nsdr"))
    if not samples[0]:
        return None
    draws = draws_of(samples)
    first, second = (draws.mean(of) for of in samples)
    return None if first is None or second is None else first - second


def _numbers(entry: Entry) -> list[int]:
    """Numbers of sounds that an entry was tested on, rising."""
    names = set.intersection(*(set(result["lists"]) for result in entry.results.values()))
    return sorted(int(name.removeprefix("mix")) for name in names if name.startswith("mix"))


def _of(entries: Mapping[str, Entry], method: str) -> list[Entry]:
    return [entry for entry in entries.values() if entry.method == method]


def _where(entry: Entry) -> str:
    return f"mix-{entry.sources}" if entry.mask == NO_MASK else f"{entry.mask}, mix-{entry.sources}"


def _line(claim: str, where: str, unit: str, drawn: Drawn | None) -> Iterator[Line]:
    if drawn is not None:
        yield Line(claim, where, unit, drawn)
