"""Where the networks come from: a run's workdir, or the small model that ships with the package."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

from data_pipeline.command import InputError
from mpnet_jax import from_config, parallel, workdir_config
from mpnet_jax.checkpoint import METHODS, Checkpoints
from mpnet_jax.config import Config
from mpnet_jax.evaluation import SLICE, Separator
from mpnet_jax.methods import fingerprint_of
from mpnet_jax.model_file import ModelFile, read_model

SHIPPED = Path(__file__).resolve().parent.parent / "pretrained" / "small.safetensors"
# Of the whole mixture: what is left when the recursion ends, where no evaluation has chosen a share.
EPSILON_RELATIVE = 0.2


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
    recorded = workdir_config.read_recorded(workdir)
    if recorded is None:
        raise InputError(
            f"--workdir={workdir} holds no run; train one: python -m mpnet_jax.train --workdir={workdir} --config=..."
        )
    config = workdir_config.restored(recorded, workdir / "config.json")
    if config.method != "mpnet":
        raise InputError(f"--workdir={workdir}: method {config.method} has no recursion; take a run of mpnet")
    checkpoints = Checkpoints(workdir, read_only=True)
    try:
        kinds = [kind for kind in (f"best_{name}" for name in METHODS) if checkpoints.step(kind) is not None]
        kind = kinds[-1] if kinds else "latest"
        template = jax.eval_shape(lambda: from_config.initial_state(config).variables)
        variables = checkpoints.restore_variables(template, kind=kind)
        step = checkpoints.step(kind) or 0
    finally:
        checkpoints.close()
    trained = from_config.round_of(from_config.rounds(config), step)
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
