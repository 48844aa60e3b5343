"""Saves the config of a run in its workdir, and reads it back from there or from a model file."""

import json
from pathlib import Path
from typing import Any

from data_pipeline.atomic import write_atomically
from data_pipeline.command import InputError, command_line
from mpnet_jax.config.check import check, flatten
from mpnet_jax.config.specs import Config
from mpnet_jax.configs import base

# Fields that may change between two runs in one workdir: they change what is logged or saved, not what is computed.
FREE_FIELDS = (
    "data.directory",
    "data.feature_directory",
    "data.picture_cache_dir",
    "data.picture_cache_gib",
    "evaluation.",
    "compare.",
    "log_every",
    "summary_every",
    "validate_every",
    "checkpoint_every",
    "recursion.neighbourhood",
    "recursion.place_side",
    "recursion.blank_last",
    "recursion.recompute",
    "recursion.unroll",
)


def is_free(field: str) -> bool:
    """Returns whether a field may change between runs in one workdir."""
    return any(field == free or (free.endswith(".") and field.startswith(free)) for free in FREE_FIELDS)


def claim_workdir(workdir: Path, config: Config) -> None:
    """Writes the config into a new workdir, or checks that an existing one was made with the same config.

    Args:
        workdir: Folder of the run; created when missing.
        config: Config of the run.

    Raises:
        InputError: The workdir holds a run with another config, or cannot be used.
    """
    recorded = read_recorded(workdir)
    if recorded is not None:
        refuse_other(recorded, config, workdir)
        return
    if workdir.exists() and not workdir.is_dir():
        raise InputError(f"--workdir={workdir} is a file; name a folder")
    if workdir.is_dir() and any(workdir.iterdir()):
        raise InputError(
            f"--workdir={workdir} is not empty and holds no run (no config.json); name a new or an empty folder"
        )
    workdir.mkdir(parents=True, exist_ok=True)
    write_atomically(workdir / "config.json", json.dumps(flatten(config), indent=2) + "\n")


def read_recorded(workdir: Path) -> dict[str, Any] | None:
    """Returns the flat config of a workdir's run, or None without a run."""
    path = workdir / "config.json"
    if not path.is_file():
        return None
    try:
        recorded = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(recorded, dict):
            raise ValueError(f"it holds a {type(recorded).__name__}, not fields")
    except ValueError as error:  # includes errors of JSON and of the encoding
        raise InputError(f"{path} is not readable ({error}); restore it or choose another --workdir") from None
    return recorded


def require_recorded(workdir: Path) -> dict[str, Any]:
    """Returns the flat config of a workdir's run.

    Raises:
        InputError: The workdir holds no run.
    """
    recorded = read_recorded(workdir)
    if recorded is None:
        training = command_line("mpnet_jax.train", "--config=CONFIG", f"--workdir={workdir}")
        raise InputError(f"--workdir={workdir} holds no run; train one: {training}")
    return recorded


def restored(recorded: dict[str, Any], where: Path) -> Config:
    """Returns the config of a flat one; missing fields take the values of `configs/base.py`.

    Fields of `compare.` are left out: no run depends on them, and those of earlier versions are unknown.

    Args:
        recorded: Flat config from `read_recorded` or a model file.
        where: File that holds it, for error messages.

    Raises:
        InputError: A field is unknown to this version, or its value is wrong.
    """
    config = base.get_config()
    recorded = {name: value for name, value in recorded.items() if not name.startswith("compare.")}
    unknown = sorted(recorded.keys() - flatten(config).keys())
    if unknown:
        raise InputError(f"{where} has the field {unknown[0]}, which this version does not know; use the one it is of")
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in recorded.items()}
    try:
        config.update_from_flattened_dict(values)
    except (TypeError, ValueError) as error:
        raise InputError(f"{where} holds no config: {' '.join(str(error).split())}") from None
    try:
        check(config)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    return config


def refuse_other(recorded: dict[str, Any], config: Config, workdir: Path) -> None:
    """Raises InputError where a recorded config differs from this one in more than free fields."""
    wanted = flatten(config)
    # Every field that was added later has the earlier behaviour as its default.
    recorded = flatten(base.get_config()) | recorded
    for field in sorted(recorded.keys() | wanted.keys()):
        if not is_free(field) and recorded.get(field) != wanted.get(field):
            raise InputError(
                f"--workdir={workdir} holds a run with config.{field}={recorded.get(field)!r}, this one has "
                f"{wanted.get(field)!r}; choose another --workdir or the same value"
            )
