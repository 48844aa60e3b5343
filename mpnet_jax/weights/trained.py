"""Restores trained networks: all of a run for its evaluation, or one model for the separation of videos."""

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax

from data_pipeline.command import InputError
from mpnet_jax import parallel
from mpnet_jax.config import saved_config
from mpnet_jax.methods.registry import Method, method_of
from mpnet_jax.metrics.names import method_name
from mpnet_jax.run.checkpoint import Checkpoints
from mpnet_jax.run.features import hash_of
from mpnet_jax.steps.device_pass import Separator
from mpnet_jax.weights.model_file import ModelFile, read_model

SHIPPED = Path(__file__).resolve().parent.parent / "pretrained" / "small.safetensors"
# Default of the share of the mixture below which the recursion ends; `evaluate --counting` chooses one for a run.
EPSILON_RELATIVE = 0.2


class _Restored(NamedTuple):
    """Networks of one checkpoint: the result that they are reported as, their step, and their host variables."""

    result: str
    step: int
    variables: Any


def _restore(method: Method, checkpoints: Checkpoints, kind: str) -> _Restored:
    """Restores the networks of a "latest" or "best_<result>" checkpoint."""
    template = jax.eval_shape(lambda: method.initial_state().variables)
    variables = checkpoints.restore_variables(template, kind=kind)
    step = checkpoints.step(kind) or 0
    return _Restored(method.result_at(step) if kind == "latest" else kind.removeprefix("best_"), step, variables)


def _best_kinds(method: Method, checkpoints: Checkpoints) -> list[str]:
    """Returns the kinds of the best checkpoints that exist, the main one last."""
    kinds = [f"best_{result}" for result in method.results]
    return [kind for kind in kinds if checkpoints.step(kind) is not None]


class TrainedNetworks:
    """The networks of a run on all devices, by the result that they are reported as.

    Attributes:
        steps: Training steps of each result, the main one last.
        fingerprints: A hash of each result's parameters and running statistics.
    """

    def __init__(self, method: Method, checkpoints: Checkpoints, checkpoint: str) -> None:
        """Restores the networks.

        Args:
            method: The method of the run.
            checkpoints: Checkpoints of the run.
            checkpoint: "best" (of each result, by validation) or "latest".

        Raises:
            InputError: There is no checkpoint, or it is of another model.
        """
        self._method = method
        self._variables: dict[str, Any] = {}
        self.fingerprints: dict[str, str] = {}
        self.steps: dict[str, int] = {}
        kinds = _best_kinds(method, checkpoints) if checkpoint == "best" else ["latest"]
        if not kinds and checkpoints.step("latest") is not None:
            raise InputError("no checkpoint of this run was validated yet; give --checkpoint=latest, or train on")
        complete = method.completion(checkpoints.workdir)
        for kind in kinds or [f"best_{method.results[0]}"]:  # restoring reports a missing checkpoint
            result, step, variables = _restore(method, checkpoints, kind)
            self._variables[result] = complete(parallel.replicate(variables))
            self.fingerprints[result] = fingerprint_of(parallel.unreplicate(self._variables[result]))
            self.steps[result] = step

    @property
    def main(self) -> str:
        """The main result: "mpnet" where one was trained."""
        return list(self.steps)[-1]

    def __str__(self) -> str:
        return ", ".join(f"{method_name(result)} of step {step}" for result, step in self.steps.items())

    def separator(self, step: Callable[..., Any]) -> Separator:
        """Returns a pass of the main result's networks over all devices."""
        return Separator(parallel.parallel_map(step), self._variables[self.main])

    def features(self) -> Separator | None:
        """Returns the pass from frames to the features that all networks share; None where their trunk learns."""
        step = self._method.features_step()
        if step is None:
            return None
        return Separator(parallel.parallel_map(step), self._method.trunk_in(self._variables[self.main]))

    def separators(self) -> dict[str, Separator]:
        """Returns every evaluation pass by the name in the results, the main one last.

        All but the main one return waveforms and magnitudes alone.
        """
        steps = {
            name: (result, step) for result in self.steps for name, step in self._method.separate_steps(result).items()
        }
        return {
            name: Separator(
                parallel.parallel_map(step if name == self.main else _sounds_alone(step)), self._variables[result]
            )
            for name, (result, step) in steps.items()
        }


def _sounds_alone(step: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a pass that returns the sounds alone; the compiler drops what the other results need."""

    def run(variables: Any, batch: Any) -> dict[str, Any]:
        found = step(variables, batch)
        return {name: found[name] for name in ("waveform", "magnitude")}

    return run


@dataclasses.dataclass(frozen=True, eq=False)
class Model:
    """Trained networks and the method that runs them.

    Attributes:
        method: The method with the config of the run.
        variables: Parameters and running statistics, on the host.
        about: JSON-ready dict: `source`, `method`, `step`, `networks`, `epsilon_relative` and `epsilon_from`.
    """

    method: Method
    variables: Any
    about: dict[str, Any]

    @property
    def epsilon_relative(self) -> float:
        """Share of the mixture below which the recursion ends."""
        return float(self.about["epsilon_relative"])

    def separator(self, step: Callable[..., Any]) -> Separator:
        """Returns a pass of the networks over all devices."""
        return Separator(parallel.parallel_map(step), parallel.replicate(self.variables))

    def features(self, size: int) -> Separator | None:
        """Returns the pass from frames to the features of a frozen trunk; None where the trunk learns.

        Args:
            size: Samples that a device takes at a time.
        """
        step = self.method.features_step()
        if step is None:
            return None
        return Separator(parallel.parallel_map(step), parallel.replicate(self.method.trunk_in(self.variables)), size)


def load(workdir: Path | None) -> Model:
    """Loads the networks of a run or of a model file, or without either the networks that ship with the package.

    Args:
        workdir: Folder of the run, or a file that `export` wrote.

    Raises:
        InputError: There is no run or no checkpoint, it is of another model or a method without a recursion, or the
            shipped model is missing.
    """
    if workdir is None and not SHIPPED.is_file():
        raise InputError(f"no model ships with this version ({SHIPPED} is missing); train one and give --workdir=RUN")
    source = str(workdir) if workdir else f"pretrained/{SHIPPED.name}"
    if workdir is None or workdir.suffix == ".safetensors":
        method, variables, facts = read_model(workdir or SHIPPED)
    else:
        method, variables, facts = read_run(workdir)
    chosen = facts.get("epsilon_relative")
    epsilon = {
        "epsilon_relative": EPSILON_RELATIVE if chosen is None else chosen,
        "epsilon_from": "default" if chosen is None else "validation",
    }
    return Model(method, variables, {"source": source} | facts | epsilon)


def read_run(workdir: Path) -> ModelFile:
    """Reads the best networks of a run: MP-Net where one was trained, else the M-Net.

    Raises:
        InputError: There is no run or no checkpoint, or it is of another model or a method without a recursion.
    """
    method = method_of(saved_config.restored(saved_config.require_recorded(workdir), workdir / "config.json"))
    if not method.has_recursion:
        raise InputError(f"--workdir={workdir}: method {method.name} has no recursion; take a run of mpnet")
    checkpoints = Checkpoints(workdir, read_only=True)
    try:
        networks = _restore(method, checkpoints, (_best_kinds(method, checkpoints) or ["latest"])[-1])
    finally:
        checkpoints.close()
    facts = {"method": networks.result, "step": networks.step, "networks": fingerprint_of(networks.variables)}
    return ModelFile(method, networks.variables, facts | _chosen_epsilon(workdir, facts))


def _chosen_epsilon(workdir: Path, facts: Mapping[str, Any]) -> dict[str, float]:
    """Returns the epsilon that `evaluate --counting` chose on the validation split for these networks."""
    try:
        recorded = json.loads((workdir / "metrics.json").read_text(encoding="utf-8"))
        if recorded["run"]["networks"][facts["method"]] != facts["networks"]:
            return {}
        return {"epsilon_relative": float(recorded["counting"]["pixels"]["epsilon_relative"])}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def fingerprint_of(variables: Any) -> str:
    """Returns a hash of parameters and running statistics."""
    return hash_of(variables)[:16]
