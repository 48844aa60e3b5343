"""Chooses the learning rate of each method by trials on the validation split."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from data_pipeline.command import InputError
from mpnet_jax.comparison.cell_files import read_all
from mpnet_jax.comparison.cells import Cell, Plan
from mpnet_jax.methods.registry import Method
from mpnet_jax.run.log import VALIDATION, read_lines


class Choice(NamedTuple):
    """A learning rate.

    Attributes:
        rate: Value.
        reason: How it was chosen.
        scores: Validation score of each rate, None where training diverged.
    """

    rate: float
    reason: str
    scores: dict[str, float | None]


def choose(workdir: Path, cell: Cell, plan: Plan, given: Sequence[float]) -> Choice | None:
    """Returns the learning rate of a cell: its own, or the one with the best score; None while a trial is missing.

    Args:
        workdir: Folder of the comparison.
        cell: The cell to train.
        plan: All cells; its trials of the cell's method decide, unless a single rate is given.
        given: The rates of the config.

    Raises:
        InputError: Training failed at every rate.
    """
    if cell.rate is not None:
        return Choice(cell.rate, f"of {cell.path}", {})
    trials = plan.trials_of(cell)
    if not trials:
        return Choice(float(given[0]), "given in config.compare.rates.tried", {})
    made = read_all(workdir, trials)
    if len(made) < len(trials):
        return None
    scores = {trial: result["score"] for trial, result in made.items() if result["score"] is not None}
    if not scores:
        raise InputError(f"{cell.method} learns at none of config.compare.rates.tried={tuple(given)}; give lower ones")
    best = max(scores, key=lambda trial: scores[trial])
    assert best.rate is not None
    share = "" if best.share == 1.0 else f", {100 * best.share:g} % of the steps"
    reason = f"best validation score of {best.method} at {best.setting}, seed {best.seed}{share}"
    return Choice(best.rate, reason, {f"{trial.rate:g}": result["score"] for trial, result in made.items()})


def validation_score(run: Path, method: Method) -> float | None:
    """Returns the best validation score of a run's final result, in dB; None without any.

    Args:
        run: Folder of the run.
        method: The method of the run.
    """
    rounds = method.rounds
    main = rounds[-1].result
    spans = [(each.first_step, each.last_step) for each in rounds if each.result == main]
    scores = [
        float(line["si_sdr_improvement"])
        for line in read_lines(run / VALIDATION)
        if any(first < line["step"] <= last for first, last in spans)
    ]
    return max((score for score in scores if math.isfinite(score)), default=None)
