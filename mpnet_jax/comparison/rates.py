"""The learning rate of each method, chosen by trials on the validation split and nothing else."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from data_pipeline.command import InputError
from mpnet_jax.comparison.cell_files import read
from mpnet_jax.comparison.cells import Cell
from mpnet_jax.methods.registry import method_of
from mpnet_jax.run.log import VALIDATION, read_lines


class Choice(NamedTuple):
    """A learning rate.

    Attributes:
        rate: its value.
        reason: how it was found.
        scores: validation score of each rate that was tried, None where training failed.
    """

    rate: float
    reason: str
    scores: dict[str, float | None]


def choose(workdir: Path, trials: Sequence[Cell], given: Sequence[float]) -> Choice | None:
    """The rate with the best score; None while a trial is missing.

    Args:
        workdir: of the comparison.
        trials: of one method; none where a single rate is given.
        given: the rates of the config.

    Raises:
        InputError: training failed at every rate.
    """
    if not trials:
        return Choice(float(given[0]), "given in config.compare.rates.tried", {})
    found = [read(workdir, trial) for trial in trials]
    if any(trial is None for trial in found):
        return None
    scores = {f"{trial.rate:g}": found["score"] for trial, found in zip(trials, found, strict=True) if found}
    known = {rate: score for rate, score in scores.items() if score is not None}
    if not known:
        raise InputError(
            f"{trials[0].method} learns at none of config.compare.rates.tried={tuple(given)}; give lower ones"
        )
    best = max(known, key=lambda rate: known[rate])
    rate = next(trial.rate for trial in trials if f"{trial.rate:g}" == best)
    assert rate is not None
    one = trials[0]
    share = "" if one.share == 1.0 else f", {100 * one.share:g} % of the steps"
    reason = f"best validation score of {one.method} at {one.setting}, seed {one.seed}{share}"
    return Choice(rate, reason, scores)


def validation_score(run: Path, config: Any) -> float | None:
    """The best score in training of the method that a run is named after, in dB; None without any.

    Args:
        run: workdir of the run.
        config: of the run.
    """
    rounds = method_of(config).rounds
    main = rounds[-1].result
    spans = [(each.first_step, each.last_step) for each in rounds if each.result == main]
    scores = [
        float(line["si_sdr_improvement"])
        for line in read_lines(run / VALIDATION)
        if any(first < line["step"] <= last for first, last in spans)
    ]
    return max((score for score in scores if math.isfinite(score)), default=None)
