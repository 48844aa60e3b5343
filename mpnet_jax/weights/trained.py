"""The trained methods of a run, restored and ready on the devices."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from data_pipeline.command import InputError
from mpnet_jax import parallel
from mpnet_jax.config import saved_config
from mpnet_jax.config.specs import Config
from mpnet_jax.methods import registry
from mpnet_jax.methods.miml import stages
from mpnet_jax.metrics.names import METHODS as NAMES
from mpnet_jax.run.checkpoint import METHODS, Checkpoints
from mpnet_jax.steps.device_pass import SLICE, Separator
from mpnet_jax.weights.model_file import ModelFile, read_model

SHIPPED = Path(__file__).resolve().parent.parent / "pretrained" / "small.safetensors"
# Of the whole mixture: what is left when the recursion ends, where no evaluation has chosen a share.
EPSILON_RELATIVE = 0.2


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
        template = jax.eval_shape(lambda: registry.initial_state(config).variables)
        for kind in trained or kinds[:1]:  # where there is none, restoring says so
            step = checkpoints.step(kind) or 0
            variables = checkpoints.restore_variables(template, kind=kind)
            last = registry.round_of(registry.rounds(config), step)
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
        found = {method: self.separator(method, registry.separate_step) for method in self.steps}
        if "miml" in found:
            told = self.separator("miml", registry.separate_step, told_classes=True)
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
    beside = stages.read(config, workdir)
    return lambda variables: variables | beside(variables)


def fingerprint_of(variables: Any) -> str:
    """A hash of parameters and statistics."""
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(variables):
        digest.update(jax.tree_util.keystr(path).encode())
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()[:16]


@dataclasses.dataclass(frozen=True, eq=False)
class Model:
    """Trained networks with all that it takes to run them.

    Attributes:
        config: of the run.
        variables: parameters and running statistics, on the host.
        about: JSON-ready: `source`, `method`, `step`, `networks`, `epsilon_relative` and `epsilon_from`.
    """

    config: Config
    variables: Any
    about: dict[str, Any]

    @property
    def epsilon_relative(self) -> float:
        """Share of the mixture under which what is left is no sound."""
        return float(self.about["epsilon_relative"])

    def separator(self, make_step: Callable[..., Any], **options: Any) -> Separator:
        """A pass over all devices.

        Args:
            make_step: takes the config and `with_plus`.
            options: further arguments of it.
        """
        step = make_step(self.config, with_plus=self.about["method"] == "mpnet", **options)
        return Separator(parallel.parallel_map(step), parallel.replicate(self.variables), SLICE)


def load(workdir: Path | None) -> Model:
    """The networks of a run, or without one those that ship.

    Raises:
        InputError: no run, no checkpoint, another model's, a method without a recursion, or no model that ships.
    """
    if workdir is None and not SHIPPED.is_file():
        raise InputError(f"no model ships with this version ({SHIPPED} is missing); train one and give --workdir=RUN")
    source = str(workdir) if workdir else f"pretrained/{SHIPPED.name}"
    config, variables, facts = read_run(workdir) if workdir else read_model(SHIPPED)
    chosen = facts.get("epsilon_relative")
    epsilon = {
        "epsilon_relative": EPSILON_RELATIVE if chosen is None else chosen,
        "epsilon_from": "default" if chosen is None else "validation",
    }
    return Model(config, variables, {"source": source} | facts | epsilon)


def read_run(workdir: Path) -> ModelFile:
    """The best networks of a run: MP-Net where one was trained, else the M-Net.

    Raises:
        InputError: no run, no checkpoint, another model's, or a method without a recursion.
    """
    recorded = saved_config.read_recorded(workdir)
    if recorded is None:
        raise InputError(
            f"--workdir={workdir} holds no run; train one: python -m mpnet_jax.train --workdir={workdir} --config=..."
        )
    config = saved_config.restored(recorded, workdir / "config.json")
    if config.method != "mpnet":
        raise InputError(f"--workdir={workdir}: method {config.method} has no recursion; take a run of mpnet")
    checkpoints = Checkpoints(workdir, read_only=True)
    try:
        kinds = [kind for kind in (f"best_{name}" for name in METHODS) if checkpoints.step(kind) is not None]
        kind = kinds[-1] if kinds else "latest"
        template = jax.eval_shape(lambda: registry.initial_state(config).variables)
        variables = checkpoints.restore_variables(template, kind=kind)
        step = checkpoints.step(kind) or 0
    finally:
        checkpoints.close()
    trained = registry.round_of(registry.rounds(config), step)
    facts = {
        "method": trained.method if kind == "latest" else kind.removeprefix("best_"),
        "step": step,
        "networks": fingerprint_of(variables),
    }
    return ModelFile(config, variables, facts | _chosen_epsilon(workdir, facts))


def _chosen_epsilon(workdir: Path, facts: dict[str, Any]) -> dict[str, float]:
    """The epsilon that `evaluate --counting` chose on the validation split for these networks."""
    try:
        recorded = json.loads((workdir / "metrics.json").read_text())
        if recorded["run"]["networks"][facts["method"]] != facts["networks"]:
            return {}
        return {"epsilon_relative": float(recorded["counting"]["pixels"]["epsilon_relative"])}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
