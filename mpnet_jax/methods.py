"""The trained methods of a run, restored and ready on the devices."""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from data_pipeline.command import InputError
from mpnet_jax import from_config, miml_stages, parallel
from mpnet_jax.checkpoint import METHODS, Checkpoints
from mpnet_jax.config import Config
from mpnet_jax.evaluation import Separator
from mpnet_jax.metrics.names import METHODS as NAMES


class TrainedMethods:
    """The methods that a run has checkpoints of.

    Attributes:
        steps: training steps of each method, by its name; the main one last.
    """

    def __init__(self, config: Config, checkpoints: Checkpoints, checkpoint: str) -> None:
        """Restores them.

        Args:
            config: the run's.
            checkpoints: the run's.
            checkpoint: "best" (of each method, by validation) or "latest" (the one that was trained last).

        Raises:
            InputError: no checkpoint, or another model's.
        """
        self._config = config
        self._variables: dict[str, Any] = {}
        self._prints: dict[str, str] = {}
        self.steps: dict[str, int] = {}
        kinds = [f"best_{method}" for method in METHODS] if checkpoint == "best" else ["latest"]
        trained = [kind for kind in kinds if checkpoints.step(kind) is not None]
        if not trained and checkpoint == "best" and checkpoints.step("latest") is not None:
            raise InputError("no checkpoint of this run was validated yet; give --checkpoint=latest, or train on")
        complete = for_separation(config, checkpoints.workdir)
        template = jax.eval_shape(lambda: from_config.initial_state(config).variables)
        for kind in trained or kinds[:1]:  # where there is none, restoring says so
            step = checkpoints.step(kind) or 0
            variables = checkpoints.restore_variables(template, kind=kind)
            last = from_config.round_of(from_config.rounds(config), step)
            method = last.method if kind == "latest" else kind.removeprefix("best_")
            self._variables[method] = complete(parallel.replicate(variables))
            self._prints[method] = fingerprint_of(parallel.unreplicate(self._variables[method]))
            self.steps[method] = step

    @property
    def main(self) -> str:
        """The method that is reported: "mpnet" where one was trained."""
        return list(self.steps)[-1]

    @property
    def fingerprints(self) -> Mapping[str, str]:
        """A hash of each method's parameters and statistics."""
        return self._prints

    def about(self) -> str:
        """Which methods, of which steps."""
        return ", ".join(f"{NAMES[method]} of step {step}" for method, step in self.steps.items())

    def separator(self, method: str, make_step: Callable[..., Any], **options: Any) -> Separator:
        """A pass of one method over all devices.

        Args:
            method: a key of `steps`.
            make_step: of `from_config`; takes the config and `with_plus`.
            options: further arguments of `make_step`; `with_plus` where it is not the method's.
        """
        step = make_step(self._config, **{"with_plus": method == "mpnet"} | options)
        return Separator(parallel.parallel_map(step), self._variables[method])

    def separators(self) -> dict[str, Separator]:
        """The evaluation pass of every method, the main one last; MIML's also as it would be with the true classes."""
        found = {method: self.separator(method, from_config.separate_step) for method in self.steps}
        if "miml" in found:
            told = self.separator("miml", from_config.separate_step, told_classes=True)
            found = {"miml_told": told} | found
        return found


def for_separation(config: Config, workdir: Path) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Makes what a separation needs of a run's variables: MIML's need what its stages made.

    Args:
        config: the run's.
        workdir: the run's.

    Returns:
        A function from variables on the devices to the same with what is missing.

    Raises:
        InputError: files of a stage are gone or cannot be read.
    """
    if config.method != "miml":
        return lambda variables: variables
    stages = miml_stages.read(config, workdir)
    return lambda variables: variables | stages(variables)


def fingerprint_of(variables: Any) -> str:
    """A hash of parameters and statistics."""
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(variables):
        digest.update(jax.tree_util.keystr(path).encode())
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()[:16]
