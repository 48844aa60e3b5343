"""Reads and writes a cell's result: a JSON file with all that the tables need, small enough to be committed."""

import json
from collections.abc import Iterable, Mapping
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
# Prefixes of the fields that no number depends on: of any cell, and of an ablation, which uses no test split.
_WITHOUT_EFFECT = ("name", "evaluation.batch_size", "evaluation.examples")
_OF_TEST_SPLIT = ("evaluation.far.", "evaluation.places.", "evaluation.counting.", "evaluation.mixtures")
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


def is_finished(workdir: Path, cell: Cell) -> bool:
    """Returns whether a cell has its file."""
    return (workdir / f"{cell.path}.json").is_file()


def read_all(workdir: Path, cells: Iterable[Cell]) -> dict[Cell, dict[str, Any]]:
    """Returns the contents of the finished cells' files."""
    return {cell: found for cell in cells if (found := read(workdir, cell)) is not None}


def write(workdir: Path, cell: Cell, result: Mapping[str, Any]) -> None:
    """Writes a cell's file atomically, with one line for each key."""
    path = workdir / f"{cell.path}.json"
    lines = (f"{json.dumps(key)}: {json.dumps(value, allow_nan=False)}" for key, value in result.items())
    write_atomically(path, "{\n" + ",\n".join(lines) + "\n}\n", shared=True)


def origin(workdir: Path, cell: Cell) -> dict[str, str] | None:
    """Returns path and hash of the networks that a cell's run begins with; None for random ones."""
    made = read(workdir, cell.start) if cell.start else None
    return {"path": cell.start.path, "networks": made["networks"]} if cell.start and made else None


def settings(cell: Cell, grid: Grid) -> dict[str, Any]:
    """Returns the config fields that a cell's numbers depend on, as read from JSON.

    These are the training fields that differ from `configs/base.py`, and the evaluation fields.
    """
    defaults, run = flatten(base.get_config()), grid.method(cell).flat_config()
    without = _WITHOUT_EFFECT + (_OF_TEST_SPLIT if cell.kind == "ablations" else ())
    without += () if run["method"] == "miml" else ("miml.",)
    without += tuple(f"optimiser.round_scale.{name}" for name in ("minus", "plus", "both") if not run[f"rounds.{name}"])
    with_plus = run["method"] == "mpnet" and run["rounds.plus"] + run["rounds.both"] > 0
    fields = {
        field: value
        for field, value in run.items()
        if field.startswith("evaluation.") or (value != defaults[field] and not is_free(field))
        if not field.startswith(without) and (with_plus or "plus" not in field)
    }
    return json.loads(json.dumps(fields | grid.changes(cell)))


def refuse_other_settings(workdir: Path, grid: Grid) -> None:
    """Raises InputError for a finished cell whose settings or first networks are not those of this comparison."""
    defaults = json.loads(json.dumps(flatten(base.get_config())))
    for cell, made in read_all(workdir, grid).items():
        wanted = settings(cell, grid)
        # The default of a field that was added later is the earlier behaviour.
        recorded = {field: defaults.get(field) for field in wanted} | made["settings"]
        for field in sorted(recorded):
            if recorded[field] != wanted.get(field, defaults.get(field)):
                raise InputError(
                    f"{workdir / cell.path}.json was made with config.{field}={recorded[field]!r}, and would be made "
                    f"with {wanted.get(field, defaults.get(field))!r} now; set it as it was, delete the file, or "
                    "compare in another --workdir"
                )
        first = origin(workdir, cell)
        if first and first != made["start"]:
            raise InputError(
                f"{workdir / cell.path}.json began with other networks than those of {first['path']}; delete the file "
                f"and its run, runs/{cell.run_name}, to make it again"
            )


def result(cell: Cell, metrics: Mapping[str, Any], *, minutes: float, **known: Any) -> dict[str, Any]:
    """Returns the content of a cell's file.

    Args:
        cell: The evaluated cell.
        metrics: Content of its run's metrics.json.
        minutes: Duration of the evaluation.
        known: More entries: `settings`, `start` (see `origin`) and `commands`, which made it.

    Returns:
        JSON-ready dict. `lists` is the evaluation's `by_mixture`: one value for each mixture, method and metric, with
        three decimals, and two under `beside` (mixture, oracle and swapped pictures). `rows` has indices into `videos`.
    """
    run = metrics["run"]
    lists = dict(metrics["by_mixture"])
    counting = dict(metrics.get("counting", {}))
    if counting:
        lists["counting"] = counting.pop("by_mixture")
    scenes = [dict(scene) for scene in metrics.get("localisation", ())]
    lists |= {f"places, {scene['scene']}": scene.pop("by_mixture") for scene in scenes}
    videos = sorted({video for of in lists.values() for row in of["video_ids"] for video in row})
    places = {video: place for place, video in enumerate(videos)}
    return {
        "cell": {key: getattr(cell, key) for key in ("kind", "method", "mask", "sources", "seed", "change")},
        **known,
        "steps": {"trained": run["steps"], "evaluated": run["step"]},
        "minutes": {"training": run["training_minutes"], "evaluation": round(minutes, 1)},
        "made": {key: run[key] for key in FACTS},
        "trained": [{key: line[key] for key in ("step", *FACTS)} for line in metrics["sessions"]],
        "data": {"name": run["data"], "sha256": run["data_sha256"]},
        "networks": list(run["networks"].values())[-1],
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
        if old["data"]["name"] == new["data"]["name"] and old["data"]["sha256"] != new["data"]["sha256"]:
            raise InputError(
                f"{cell.path} was trained on other records of {new['data']['name']} than {other.path}; "
                "prepare the data set as it was, or compare in another --workdir"
            )
        if (other.kind, other.sources) != (cell.kind, cell.sources):
            continue
        for name in old["lists"].keys() & new["lists"].keys():
            if old["lists"][name]["outline_sha256"] != new["lists"][name]["outline_sha256"]:
                raise InputError(
                    f"{cell.path} was evaluated on another list {name} of mixtures than {other.path}; "
                    "set config.evaluation and the data sets as they were, or compare in another --workdir"
                )


def _compact(of: Mapping[str, Any], places: Mapping[str, int]) -> dict[str, Any]:
    """Returns a list of mixtures with indices of videos and rounded values."""
    out = {key: value for key, value in of.items() if key != "video_ids"}
    out["rows"] = [[places[video] for video in row] for row in of["video_ids"]]
    for key in _DIGITS.keys() & of.keys():
        out[key] = {
            name: {metric: [one and round(one, _DIGITS[key]) for one in values] for metric, values in by_metric.items()}
            for name, by_metric in of[key].items()
        }
    return out
