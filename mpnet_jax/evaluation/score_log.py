"""Saves the scores of each mixture as soon as they are computed, so an interrupted evaluation can resume."""

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from data_pipeline.atomic import write_atomically
from mpnet_jax.evaluation.scores import MixtureScores

# Increased with every change that gives other scores for the same networks and mixtures.
VERSION = 1


def fingerprint(facts: Mapping[str, Any]) -> str:
    """Returns a hash of the facts that scores depend on: networks, mixtures, definitions."""
    return hashlib.sha256(json.dumps({"version": VERSION, **facts}, sort_keys=True).encode()).hexdigest()


class ScoreLog:
    """A file with the scores of one list of mixtures, one line for each mixture.

    Attributes:
        done: Scores by the index of the mixture, including those of earlier evaluations.
    """

    def __init__(self, folder: Path, name: str, facts: Mapping[str, Any]) -> None:
        """Opens the log of these facts; other networks, mixtures or definitions have other files.

        Args:
            folder: Folder of the logs; created when missing.
            name: Beginning of the file name; digits of the fingerprint follow.
            facts: Facts that the scores depend on.
        """
        self._header = {"fingerprint": fingerprint(facts)}
        path = folder / f"{name}-{self._header['fingerprint'][:8]}.jsonl"
        self._path = path
        self.done: dict[int, MixtureScores] = self._read()
        # Written anew, because a killed process may have left an incomplete line.
        lines = [json.dumps(self._header), *(_line(index, self.done[index]) for index in sorted(self.done))]
        write_atomically(path, "\n".join(lines) + "\n")
        self._file: TextIO = path.open("a", encoding="utf-8")

    def __enter__(self) -> "ScoreLog":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, index: int, scores: MixtureScores) -> None:
        """Writes the scores of one mixture."""
        self.done[index] = scores
        self._file.write(_line(index, scores) + "\n")
        self._file.flush()

    def _read(self) -> dict[int, MixtureScores]:
        if not self._path.is_file():
            return {}
        done = {}
        lines = self._path.read_text(encoding="utf-8").splitlines()
        try:
            if not lines or json.loads(lines[0]) != self._header:
                return {}
            for line in lines[1:]:
                row = json.loads(line)
                done[int(row["index"])] = _scores(row)
        except (ValueError, KeyError, TypeError):
            pass  # an incomplete line; the lines before it are complete
        return done


def _line(index: int, scores: MixtureScores) -> str:
    row = {
        "index": index,
        "ratios": {
            variant: {ratio: [_plain(value) for value in values.tolist()] for ratio, values in ratios.items()}
            for variant, ratios in scores.ratios.items()
        },
        "reasons": scores.reasons,
        "amid": {variant: _plain(value) for variant, value in scores.amid.items()},
        "step": scores.step,
    }
    return json.dumps(row, allow_nan=False)


def _scores(row: Mapping[str, Any]) -> MixtureScores:
    return MixtureScores(
        ratios={
            variant: {ratio: np.array([float(value) for value in values]) for ratio, values in ratios.items()}
            for variant, ratios in row["ratios"].items()
        },
        reasons={variant: tuple(reasons) for variant, reasons in row["reasons"].items()},
        amid={variant: float(value) for variant, value in row["amid"].items()},
        step=list(row["step"]),
    )


def _plain(value: float) -> float | str:
    """Returns a string for a value that is not finite, which JSON lacks; `float` converts it back."""
    return value if math.isfinite(value) else repr(value)
