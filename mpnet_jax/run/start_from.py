"""Reads the networks of another run to start training from."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from absl import logging

from data_pipeline.command import InputError
from mpnet_jax.config.saved_config import read_recorded
from mpnet_jax.run.checkpoint import Checkpoints


def recorded_method(workdir: Path, *, default: str) -> str:
    """Returns the name of the method that a workdir's run trains; `default` for a run without a config."""
    return (read_recorded(workdir) or {}).get("method", default)


def restored(
    workdir: Path, template: dict[str, Any], results: Sequence[str], *, without: Collection[str] = ()
) -> dict[str, Any]:
    """Returns the variables of the best checkpoint of the first of `results` that has one, else of the latest.

    Args:
        workdir: Folder of the other run.
        template: See `Checkpoints.restore_variables`.
        results: Names of results, such as "mnet".
        without: See `Checkpoints.restore_variables`.

    Raises:
        InputError: There is no run, it has no checkpoint, or it is of another model.
    """
    if not (workdir / "checkpoints").is_dir():
        raise InputError(f"config.start_from={workdir} is no workdir of a run (no folder checkpoints in it)")
    checkpoints = Checkpoints(workdir, read_only=True)
    kinds = (f"best_{result}" for result in results)
    kind = next((kind for kind in kinds if checkpoints.step(kind) is not None), "latest")
    variables = checkpoints.restore_variables(template, kind=kind, without=without)
    logging.info("starting from %s of step %s in %s", kind, checkpoints.step(kind), workdir)
    checkpoints.close()
    return variables
