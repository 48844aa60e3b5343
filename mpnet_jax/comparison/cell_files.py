"""Reads and writes a cell's result: a JSON file with all that the tables need, small enough to be committed."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from data_pipeline.atomic import write_atomically
from data_pipeline.command import InputError
from mpnet_jax.comparison.cells import Cell, Grid
from mpnet_jax.config.check import flatten
from mpnet_jax.config.saved_config import is_free
from mpnet_jax.configs import base

FACTS = ("commit", "machine", "python", "packages", "date")
# Decimals of the values by mixture. Only the methods' values are compared mixture by mixture.
_DIGITS = {"methods": 3, "beside": 2}
# Prefixes of the evaluation fields that no number of a kind of cell depends on.
_SHOWN = ("evaluation.batch_size", "evaluation.examples")
_OF_TEST_SPLIT = ("evaluation.far.", "evaluation.places.", "evaluation.counting.", "evaluation.mixtures")
_WITHOUT = {"cells": _SHOWN, "ablations": (*_SHOWN, *_OF_TEST_SPLIT)}
_WITHOUT["trials"] = _WITHOUT["starts"] = (*_WITHOUT["ablations"], "evaluation.other_mixtures", "evaluation.bss")
# Prefixes of the training fields that no number depends on: for all cells, and for cells without a Plus-Net.
_NO_NUMBER = ("name",)
_OF_PLUS = ("loss.plus", "loss.ratio_plus", "model.plus_", "optimiser.scale.plus_net")
_KEPT = ("mixes", "far", "left_out", "differences")


def read(workdir: Path, cell: Cell) -> dict[str, Any] | None:
    """Returns the content of a cell's file; None while the cell is not finished."""
    path = workdir / f"{cell.path}.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise InputError(f"{path} cannot be read as JSON ({error}); delete it to make the cell again") from None


def read_all(workdir: Path, cells: Iterable[Cell]) -> dict[Cell, dict[str, Any]]:
    """Returns the contents of the finished cells' files."""
    return {cell: found for cell in cells if (found := read(workdir, cell)) is not None}


def write(workdir: Path, cell: Cell, result: Mapping[str, Any]) -> None:
    """Writes a cell's file atomically, with one line for each key."""
    path = workdir / f"{cell.path}.json"
    lines = (f"{json.dumps(key)}: {json.dumps(value, allow_nan=False)}" for key, value in result.items())
    write_atomically(path, "{\n" + ",\n".join(lines) + "\n}\n", shared=True)


def described(cell: Cell) -> dict[str, Any]:
    """Returns the fields of a cell for its file."""
    out = {"kind": cell.kind, "method": cell.method, "mask": cell.mask, "sources": cell.sources, "seed": cell.seed}
    return out | ({"change": cell.change, "overrides": dict(cell.overrides)} if cell.change else {})


def origin(workdir: Path, start: Cell) -> dict[str, Any]:
    """Returns what identifies a start; one of the same name may have been trained at another time."""
    made = read(workdir, start) or {}
    return {"path": start.path, "score": made.get("score"), "date": made.get("made", {}).get("date")}


def settings(cell: Cell, grid: Grid, rate: float) -> dict[str, Any]:
    """Returns the config fields that a cell's numbers depend on, as read from JSON.

    These are the training fields that differ from `configs/base.py`, and the evaluation fields.
    """
    defaults, run = flatten(base.get_config()), grid.method(cell, rate).flat_config()
    without = _NO_NUMBER if cell.method == "miml" else (*_NO_NUMBER, "miml.")
    if run["method"] != "mpnet" or not (run["rounds.plus"] or run["rounds.both"]):
        without += _OF_PLUS
    trained = {
        field: value
        for field, value in run.items()
        if value != defaults[field] and not is_free(field) and not field.startswith(without)
    }
    without = _WITHOUT[cell.kind]
    evaluated = {
        field: value
        for field, value in run.items()
        if field.startswith("evaluation.") and not field.startswith(without)
    }
    return json.loads(json.dumps(trained | evaluated | grid.changes(cell, rate)))


def refuse_other_settings(workdir: Path, grid: Grid) -> None:
    """Raises InputError for a finished cell whose settings differ from those of this config.

    Files of earlier versions, which have no settings, are accepted.
    """
    defaults = json.loads(json.dumps(flatten(base.get_config())))
    for cell, made in read_all(workdir, grid.plan).items():
        if "settings" not in made:
            continue
        wanted = settings(cell, grid, made["rate"] if cell.rate is not None else made["learning_rate"]["rate"])
        # The default of a field that was added later is the earlier behaviour.
        recorded = {field: defaults.get(field) for field in wanted} | made["settings"]
        for field in sorted(recorded):
            if recorded[field] != wanted.get(field, defaults.get(field)):
                raise InputError(
                    f"{workdir / cell.path}.json was made with config.{field}={recorded[field]!r}, and would be made "
                    f"with {wanted.get(field, defaults.get(field))!r} now; set it as it was, delete the file, or "
                    "compare in another --workdir"
                )


def sessions(lines: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Returns the training sessions of a run for a cell's file; empty for a run of an earlier version."""
    return [{key: line[key] for key in ("step", *FACTS)} for line in lines]


def diverged(result: Mapping[str, Any]) -> bool:
    """Returns whether a cell's training diverged, in which case its file has no score."""
    return result.get("score", 0.0) is None


def result(
    cell: Cell, metrics: Mapping[str, Any], *, choice: Mapping[str, Any], commands: Sequence[str], minutes: float
) -> dict[str, Any]:
    """Returns the content of an evaluated cell's file.

    Args:
        cell: The evaluated cell.
        metrics: Content of its run's metrics.json.
        choice: Its learning rate and how that was chosen.
        commands: Commands that made it.
        minutes: Duration of the evaluation.

    Returns:
        JSON-ready dict. `lists` is the evaluation's `by_mixture`: one value for each mixture, method and metric, with
        three decimals, and two under `beside` (mixture, oracle and swapped pictures). `rows` has indices into `videos`.
    """
    run = metrics["run"]
    steps = {"trained": run["steps"], "evaluated": run["step"]}
    if len(run["step_of"]) > 1:
        steps["round_one"] = run["step_of"]["mnet"]
    lists = dict(metrics["by_mixture"])
    counting = dict(metrics.get("counting", {}))
    if counting:
        lists["counting"] = counting.pop("by_mixture")
    scenes = [dict(scene) for scene in metrics.get("localisation", ())]
    lists |= {f"places, {scene['scene']}": scene.pop("by_mixture") for scene in scenes}
    videos = sorted({video for of in lists.values() for row in of["video_ids"] for video in row})
    places = {video: place for place, video in enumerate(videos)}
    return {
        "cell": described(cell),
        "learning_rate": dict(choice),
        "steps": steps,
        "minutes": {"training": run["training_minutes"], "evaluation": round(minutes, 1)},
        "made": {"commands": list(commands)} | {key: run[key] for key in FACTS},
        "trained": sessions(metrics["sessions"]),
        "data": {"name": run["data"], "sha256": run["data_sha256"], "split": run["split"]},
        "methods": metrics["methods"] | {name: metrics[name] for name in ("mixture", "oracle", "swapped")},
        **{key: metrics[key] for key in _KEPT if key in metrics},
        **({"counting": counting} if counting else {}),
        **({"localisation": scenes} if scenes else {}),
        "videos": videos,
        "lists": {name: _compact(of, places) for name, of in lists.items()},
    }


def refuse_other_mixtures(cell: Cell, new: Mapping[str, Any], others: Mapping[Cell, Mapping[str, Any]]) -> None:
    """Raises InputError for a result whose records or mixtures differ from those of the other cells."""
    for other, old in others.items():
        if not (old.get("data") and new.get("data")):  # a file of an earlier version
            continue
        if old["data"]["name"] == new["data"]["name"] and old["data"]["sha256"] != new["data"]["sha256"]:
            raise InputError(
                f"{cell.path} was trained on other records of {new['data']['name']} than {other.path}; "
                "prepare the data set as it was, or compare in another --workdir"
            )
        if other.sources != cell.sources or old["data"].get("split") != new["data"].get("split"):
            continue
        for name in old.get("lists", {}).keys() & new.get("lists", {}).keys():
            if old["lists"][name]["outline_sha256"] != new["lists"][name]["outline_sha256"]:
                raise InputError(
                    f"{cell.path} was evaluated on another list {name} of mixtures than {other.path}; "
                    "set config.evaluation and the data sets as they were, or compare in another --workdir"
                )


def _compact(of: Mapping[str, Any], places: Mapping[str, int]) -> dict[str, Any]:
    rest = {key: value for key, value in of.items() if key not in ("video_ids", *_DIGITS)}
    rows = [[places[video] for video in row] for row in of["video_ids"]]
    return rest | {"rows": rows} | {key: _short(of[key], digits) for key, digits in _DIGITS.items() if key in of}


def _short(by_name: Mapping[str, Any], digits: int) -> dict[str, Any]:
    """Rounds the values of {name: {metric: values}}."""
    return {
        name: {key: [None if value is None else round(value, digits) for value in values] for key, values in of.items()}
        for name, of in by_name.items()
    }
