"""Describes trained models: those that ship with the package, runs, and model files."""

import json
from pathlib import Path
from typing import Any

import jax

from data_pipeline.command import InputError
from data_pipeline.records.store import set_names
from mpnet_jax.weights.trained import SHIPPED, load

_FOLDER = SHIPPED.parent
_LIST = _FOLDER / "models.json"


def shipped() -> list[dict[str, Any]]:
    """Returns the descriptions of the models that ship with the package, the default first.

    Raises:
        InputError: A model is missing or damaged.
    """
    try:
        listed = json.loads(_LIST.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise InputError(f"no model ships with this version ({_LIST} cannot be read); name a run or a file") from None
    return [
        _described(_FOLDER / model["file"], name=name)
        | {"sounds": model["sounds"], "licence": model["licence"], "card": str(_FOLDER / model["card"])}
        for name, model in listed.items()
    ]


def described(path: Path) -> dict[str, Any]:
    """Returns the description of a run or of a model file.

    Args:
        path: Folder of a run, or a file that `export` wrote.

    Returns:
        JSON-ready: `name`, `path`, `method`, `step`, `networks` (a hash), `data` (the data set), `sounds` (its classes;
        None if the data set is not there), `rate_hz`, `window_s`, `parameters`, `bytes` (None for a run),
        `epsilon_relative`, `epsilon_from` ("validation" or "default"), `licence` and `card` (None if unknown).

    Raises:
        InputError: It holds no model, or one that cannot separate videos.
    """
    return _described(path, name=path.stem if path.is_file() else path.name)


def _described(path: Path, *, name: str) -> dict[str, Any]:
    model = load(path)
    audio, data = model.method.audio, model.method.config.data
    files = [path, path.with_suffix(".json")] if path.is_file() else []
    about = {key: model.about[key] for key in ("method", "step", "networks", "epsilon_relative", "epsilon_from")}
    return (
        {"name": name, "path": str(path)}
        | about
        | {
            "data": data.name,
            "sounds": _classes(Path(data.directory) / set_names(data.name)[0]),
            "rate_hz": audio.rate_hz,
            "window_s": round(audio.clip_seconds, 3),
            "parameters": sum(leaf.size for leaf in jax.tree.leaves(model.variables["params"])),
            "bytes": sum(file.stat().st_size for file in files) or None,
            "licence": None,
            "card": None,
        }
    )


def _classes(folder: Path) -> list[str] | None:
    """Returns the classes of a data set in the order of their numbers, or None if it is not there."""
    for file in sorted(folder.glob("*/label.labels.txt"), reverse=True):
        return file.read_text(encoding="utf-8").split("\n")[:-1] or None
    return None
