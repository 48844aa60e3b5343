"""Scores separated mixtures, and summarises the scores for a results file."""

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
        reasons: {variant: reason why a source has no value, "" if it has one, (source,)}.
        amid: {variant: AMID of the mixture}, without "swapped"; empty if it was not computed.
        step: Step of the recursion in which each source was separated.
    """

    ratios: dict[str, dict[str, np.ndarray]]
    reasons: dict[str, tuple[str, ...]]
    amid: dict[str, float]
    step: list[int]


def score(
    mixtures: Iterable[SeparatedMixture], *, workers: int, bss: str, amid: bool = True
) -> Iterator[MixtureScores]:
    """Scores mixtures in worker processes.

    Args:
        mixtures: Mixtures in the order of their list.
        workers: Number of worker processes.
        bss: Implementation of BSS Eval, one of `metrics.bss_eval.METHODS`.
        amid: Whether to compute AMID, which takes as long as all ratios together.

    Yields:
        The scores of each mixture, in order.
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
    """Returns the inputs of the metrics for one mixture."""
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
    """Returns the entries of a results file for one list of mixtures; see `report.page.write_report`.

    Args:
        scores: Scores of each mixture.
        video_ids: Videos of each mixture's sources.
        classes: Classes of each mixture's sources.
        method: Main method, one of `metrics.names.METHODS`; its estimates are the variant "separated". Variants other
            than "mixture", "oracle" and "swapped" are further methods.

    Returns:
        JSON-ready dict: `nsdr`, `sdr`, `sir`, `sar` and `amid` of the main method; `mixture`, `oracle` and `swapped`
        with the same keys; `methods` (the same by method, the main one last); `differences` between every two methods;
        `left_out`, `definitions` and `mixtures`; and `by_mixture`, with each mixture's means under `methods` and, for
        mixture, oracle and swapped, under `beside`, and {name: {index: reason}} under `left_out`.
    """
    summaries: dict[str, dict[str, Any]] = {}
    left_out: dict[str, tuple[str, ...]] = {}
    by_mixture: dict[str, dict[str, np.ndarray]] = {}
    for variant in scores[0].ratios:
        reasons = np.array([s.reasons[variant] for s in scores])
        improving = np.where(reasons == SILENT_ESTIMATE, "", reasons)
        values = {ratio: np.stack([s.ratios[variant][ratio] for s in scores]) for ratio in RATIOS}
        if variant != "mixture":
            # The unprocessed mixture's reasons count too: without its SDR there is no improvement.
            values["nsdr"] = np.stack([_nsdr(s, variant) for s in scores])
        means = {}
        for name, value in values.items():
            means[name], mixture_reasons = mixture_means(value, improving if name == "nsdr" else reasons)
            if name == "sdr":
                left_out[variant] = mixture_reasons
        if variant in scores[0].amid:
            means["amid"] = np.array([s.amid[variant] for s in scores])
        summaries[variant] = {name: summarise(value, video_ids) for name, value in means.items()}
        by_mixture[variant] = means
    out: dict[str, Any] = dict(summaries["separated"])
    out |= {variant: summaries[variant] for variant in BESIDE}
    others = {name: summary for name, summary in summaries.items() if name not in (*BESIDE, "separated")}
    out["methods"] = others | {method: summaries["separated"]}
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
    """Returns the improvement over the unprocessed mixture; NaN for a single sound, which is the mixture itself.

    A silent estimate counts as an improvement of 0. Leaving it out would reward methods that fail on hard mixtures.
    """
    sdr, unprocessed = scores.ratios[variant]["sdr"], scores.ratios["mixture"]["sdr"]
    if len(sdr) < 2:
        return np.full_like(sdr, np.nan)
    silent = np.array(scores.reasons[variant]) == SILENT_ESTIMATE
    return np.where(silent & np.isfinite(unprocessed), 0.0, sdr - unprocessed)


def _plain(values: np.ndarray) -> list[float | None]:
    """Returns the values rounded to four digits, with None for values that are not finite, which JSON lacks."""
    return [round(float(v), 4) if np.isfinite(v) else None for v in values]


def by_method(out: dict[str, Any]) -> dict[str, Any]:
    """Returns only the summaries of a results file: of each method, and of mixture, oracle and swapped."""
    return out["methods"] | {name: out[name] for name in BESIDE}
