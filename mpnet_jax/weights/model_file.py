"""Writes and reads model files: trained networks in half precision with their config.

`NAME.safetensors` holds every parameter and running statistic by its path, such as `params/frame_net/conv_in/kernel`:
kernels in float16; vectors, which take little space and may hold large numbers, in float32. `NAME.json` holds the
config of the run and further facts that `separate` needs. Neither file can contain code.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import safetensors
import safetensors.numpy
from flax import traverse_util

from data_pipeline.atomic import write_atomically
from data_pipeline.command import InputError
from mpnet_jax.config import saved_config
from mpnet_jax.methods.registry import Method, method_of

SUFFIX = ".safetensors"
_PARTS = ("params", "batch_stats")


class ModelFile(NamedTuple):
    """Contents of a model file.

    Attributes:
        method: The method with the config of the run.
        variables: Parameters and running statistics in float32, on the host.
        facts: JSON-ready dict: `method` ("mnet" or "mpnet"), `step`, `networks` (hash of the networks before rounding),
            and `epsilon_relative` if one was chosen.
    """

    method: Method
    variables: dict[str, Any]
    facts: dict[str, Any]


def write_model(path: Path, model: ModelFile) -> None:
    """Writes both files, each atomically.

    Args:
        path: File to write, with the suffix `.safetensors`.
        model: Networks and config.

    Raises:
        InputError: The file has another suffix, or a value does not fit float16.
    """
    if path.suffix != SUFFIX:
        raise InputError(f"{path} must end in {SUFFIX}; its config is written beside it")
    tensors = {}
    for name, tensor in _flat(model.variables).items():
        kind = np.float32 if name.startswith("batch_stats/") or tensor.ndim < 2 else np.float16
        if np.any(np.abs(tensor) > np.finfo(kind).max) or not np.all(np.isfinite(tensor)):
            raise InputError(f"{name} holds a number that {kind.__name__} cannot; this run cannot be exported")
        tensors[name] = np.asarray(tensor, kind)
    about = json.dumps({"config": model.method.flat_config()} | model.facts, indent=1, sort_keys=True) + "\n"
    for target, content in ((path, safetensors.numpy.save(tensors)), (path.with_suffix(".json"), about.encode())):
        write_atomically(target, content)


def read_model(path: Path) -> ModelFile:
    """Reads a model file and its config.

    Raises:
        InputError: One of the two files is missing or damaged, or they do not belong together.
    """
    config_file = path.with_suffix(".json")
    for file in (path, config_file):
        if not file.is_file():
            raise InputError(f"{file} is not there; a model is two files, *{SUFFIX} and *.json")
    try:
        tensors = safetensors.numpy.load_file(path)
    except (safetensors.SafetensorError, ValueError, KeyError) as error:
        raise InputError(f"{path} is no readable safetensors file ({error}); fetch it again") from None
    try:
        facts = json.loads(config_file.read_text(encoding="utf-8"))
        facts = {name: facts[name] for name in ("config", "method", "step", "networks")} | facts
        method = method_of(saved_config.restored(facts.pop("config"), config_file))
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, AttributeError, TypeError) as error:
        raise InputError(f"{config_file} describes no model ({error!r}); fetch it again") from None
    epsilon = facts.get("epsilon_relative")
    if epsilon is not None and not (isinstance(epsilon, int | float) and 0 < epsilon <= 1):
        raise InputError(f"{config_file} describes no model (epsilon_relative={epsilon!r} is no share); fetch it again")
    template = _flat(jax.eval_shape(lambda: method.initial_state().variables))
    _refuse_other(path, {n: t.shape for n, t in tensors.items()}, {n: t.shape for n, t in template.items()})
    variables = traverse_util.unflatten_dict(
        {name: tensors[name].astype(wanted.dtype) for name, wanted in template.items()}, sep="/"
    )
    return ModelFile(method, {part: variables.get(part, {}) for part in _PARTS}, facts)


def _flat(variables: dict[str, Any]) -> dict[str, Any]:
    return traverse_util.flatten_dict({part: variables[part] for part in _PARTS}, sep="/")


def _refuse_other(path: Path, given: dict[str, tuple[int, ...]], wanted: dict[str, tuple[int, ...]]) -> None:
    for name in sorted(given.keys() | wanted.keys()):
        if given.get(name) != wanted.get(name):
            raise InputError(
                f"{path} does not fit its config: {name} has shape {given.get(name)} there and "
                f"{wanted.get(name)} by the config; export the run again"
            )
