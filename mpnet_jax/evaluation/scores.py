"""From separated mixtures to a results file: scores by variant, means with intervals, a table."""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from mpnet_jax.metrics.aggregate import count_left_out, mixture_means, summarise
from mpnet_jax.metrics.bss_eval import SILENT_ESTIMATE
from mpnet_jax.metrics.definitions import definitions
from mpnet_jax.metrics.workers import Job, score_mixtures
from mpnet_jax.steps.separated_mixtures import SeparatedMixture

RATIOS = ("sdr", "sir", "sar")
BESIDE = ("mixture", "oracle", "swapped")


@dataclasses.dataclass(frozen=True)
class MixtureScores:
    """Scores of one mixture.

    Attributes:
        ratios: {variant: {"sdr" | "sir" | "sar": dB of each source, (source,)}}.
        reasons: {variant: why a source has no value, "" where it has, (source,)}.
        amid: {variant: AMID of the mixture}; not for "swapped", and empty where it was not asked for.
        step: when each source was taken.
    """

    ratios: dict[str, dict[str, np.ndarray]]
    reasons: dict[str, tuple[str, ...]]
    amid: dict[str, float]
    step: list[int]


def score(
    mixtures: Iterable[SeparatedMixture], *, workers: int, bss: str, amid: bool = True
) -> Iterator[MixtureScores]:
    """Scores mixtures as they come, on worker processes.

    Args:
        mixtures: in the order of the list.
        workers: processes.
        bss: implementation of BSS Eval, one of `metrics.bss_eval.METHODS`.
        amid: whether AMID is wanted, which takes as long as all ratios do.

    Yields:
        The scores of each mixture, in their order.
    """
    steps: list[list[int]] = []

    def jobs() -> Iterator[Job]:
        for mixture in mixtures:
            steps.append(mixture.step.tolist())
            yield _job(mixture, amid=amid)

    for place, result in enumerate(score_mixtures(jobs(), workers=workers, method=bss)):
        yield MixtureScores(
            ratios={name: {ratio: getattr(s, ratio) for ratio in RATIOS} for name, s in result.items()},
            reasons={name: s.reason for name, s in result.items()},
            amid={name: s.amid for name, s in result.items() if name != "swapped"} if amid else {},
            step=steps[place],
        )


def _job(mixture: SeparatedMixture, *, amid: bool) -> Job:
    """What the metrics need of one mixture."""
    truth = mixture.true_magnitude
    others = mixture.others.items()
    waveforms = {
        "separated": mixture.separated,
        "mixture": np.broadcast_to(mixture.mixture, mixture.truth.shape),
        "oracle": mixture.oracle,
        "swapped": mixture.swapped,
        **{name: sounds.waveform for name, sounds in others},
    }
    if not amid:
        return Job(mixture.truth, waveforms)
    return Job(
        mixture.truth,
        waveforms,
        truth,
        {
            "separated": mixture.separated_magnitude,
            "mixture": np.broadcast_to(mixture.mixture_magnitude, truth.shape),
            "oracle": mixture.oracle_magnitude,
            **{name: sounds.magnitude for name, sounds in others},
        },
    )


def results(
    scores: Sequence[MixtureScores],
    video_ids: Sequence[Sequence[str]],
    classes: Sequence[Sequence[str]],
    *,
    method: str = "mnet",
) -> dict[str, Any]:
    """The results file; `report.page.write_report` lists its keys.

    Args:
        method: what "separated" is, one of `report.names.METHODS`; any further variant is a method of its own.
        scores: one entry a mixture.
        video_ids: of each mixture's sources.
        classes: of each mixture's sources.

    Returns:
        JSON-ready dict: the method's `nsdr`, `sdr`, `sir`, `sar`, `amid`, then `mixture`, `oracle` and `swapped` with
        the same names, `methods` (the same for each method, the main one last), `differences` between every two of
        them, `left_out`, `definitions`, `mixtures`, and `by_mixture`: each mixture's means under `methods`, the same of
        mixture, oracle and swapped under `beside`, and {name: {index: reason}} of both under `left_out`.
    """
    summaries: dict[str, dict[str, Any]] = {}
    left_out: dict[str, tuple[str, ...]] = {}
    by_mixture: dict[str, dict[str, np.ndarray]] = {}
    for variant in scores[0].ratios:
        reasons = np.array([s.reasons[variant] for s in scores])
        improving = np.where(reasons == SILENT_ESTIMATE, "", reasons)
        values = {ratio: np.stack([s.ratios[variant][ratio] for s in scores]) for ratio in RATIOS}
        if variant != "mixture":
            # The mixture's own reasons count too: without its SDR there is no improvement.
            values["nsdr"] = np.stack([_nsdr(s, variant) for s in scores])
        means = {}
        for name, value in values.items():
            means[name], why = mixture_means(value, improving if name == "nsdr" else reasons)
            if name == "sdr":
                left_out[variant] = why
        if variant in scores[0].amid:
            means["amid"] = np.array([s.amid[variant] for s in scores])
        summaries[variant] = {name: summarise(value, video_ids) for name, value in means.items()}
        by_mixture[variant] = means
    out: dict[str, Any] = dict(summaries["separated"])
    out |= {variant: summaries[variant] for variant in BESIDE}
    beside = {name: summary for name, summary in summaries.items() if name not in (*BESIDE, "separated")}
    out["methods"] = beside | {method: summaries["separated"]}
    by_mixture[method], left_out[method] = by_mixture["separated"], left_out["separated"]
    out["differences"] = {
        f"{second} - {first}": {
            name: summarise(by_mixture[second][name] - by_mixture[first][name], video_ids) for name in by_mixture[first]
        }
        for first, second in itertools.combinations(out["methods"], 2)
    }
    listed = {name: {key: _plain(values) for key, values in means.items()} for name, means in by_mixture.items()}
    out["by_mixture"] = {
        "methods": {name: listed[name] for name in out["methods"]},
        "beside": {name: listed[name] for name in BESIDE},
        "left_out": {
            name: {str(index): reason for index, reason in enumerate(left_out[name]) if reason}
            for name in (*out["methods"], *BESIDE)
        },
    }
    out["left_out"] = count_left_out(left_out["separated"])
    out["definitions"] = definitions(out["methods"])
    out["mixtures"] = [
        {
            "index": index,
            "video_ids": list(video_ids[index]),
            "classes": list(classes[index]),
            **{ratio: _plain(s.ratios["separated"][ratio]) for ratio in RATIOS},
            "nsdr": _plain(_nsdr(s, "separated")),
            "mixture_sdr": _plain(s.ratios["mixture"]["sdr"]),
            "swapped_nsdr": _plain(_nsdr(s, "swapped")),
            "amid": _plain(np.array([s.amid.get("separated", np.nan)]))[0],
            "step": s.step,
        }
        for index, s in enumerate(scores)
    ]
    return out


def _nsdr(scores: MixtureScores, variant: str) -> np.ndarray:
    """Improvement over the untouched mixture; none where a single sound is the mixture, whose SDR is rounding.

    A silent estimate improves nothing, which is a value: left out, it would reward who fails on hard mixtures.
    """
    sdr, untouched = scores.ratios[variant]["sdr"], scores.ratios["mixture"]["sdr"]
    if len(sdr) < 2:
        return np.full_like(sdr, np.nan)
    silent = np.array(scores.reasons[variant]) == SILENT_ESTIMATE
    return np.where(silent & np.isfinite(untouched), 0.0, sdr - untouched)


def _plain(values: np.ndarray) -> list[float | None]:
    """Finite numbers, rounded to what a table can use; None otherwise (JSON has no NaN)."""
    return [round(float(v), 4) if np.isfinite(v) else None for v in values]


def by_method(out: dict[str, Any]) -> dict[str, Any]:
    """A results file's summaries alone: of each method, and of what stands beside them."""
    return out["methods"] | {name: out[name] for name in BESIDE}
