r"""Converts weights into a new workdir, to evaluate them or to start training from them.

The three networks of the authors:
    python -m mpnet_jax.convert --config=configs/released.py --workdir=runs/authors \
        --frame=frame.pth --minus=sound_M.pth --plus=sound_P.pth
The three networks of PixelPlayer:
    python -m mpnet_jax.convert --config=configs/pixelplayer.py --workdir=runs/pixelplayer \
        --frame=frame.pth --sound=sound.pth --synthesizer=synthesizer.pth
torchvision's ResNet-18, trained on ImageNet, as the start of a training run:
    python -m mpnet_jax.convert --config=configs/music_mix2.py --workdir=runs/music_mix2 --resnet=resnet18.safetensors
    python -m mpnet_jax.train --config=configs/music_mix2.py --workdir=runs/music_mix2
A model file that `export` wrote, such as the model that ships:
    python -m mpnet_jax.convert --config=configs/rendered_broad.py --workdir=runs/shipped \
        --model=mpnet_jax/pretrained/small.safetensors

Other files are PyTorch's (`.pth`, read without PyTorch and without running anything in them) or `.safetensors`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from absl import flags, logging

from data_pipeline import command
from data_pipeline.command import InputError
from mpnet_jax.config import check as config_module
from mpnet_jax.config import saved_config
from mpnet_jax.config.specs import Config
from mpnet_jax.pretrained import torch_weights

if TYPE_CHECKING:
    from mpnet_jax.methods.registry import Method
    from mpnet_jax.steps.train_state import TrainState

# By flag: what the file holds, and the network that takes its weights.
FILES = {
    "frame": ("the authors' or PixelPlayer's frame network", "frame_net"),
    "resnet": ("torchvision's ResNet-18, for the frame network without its last layer", "frame_net"),
    "minus": ("the authors' sound_M", "minus_net"),
    "plus": ("the authors' sound_P", "plus_net"),
    "sound": ("PixelPlayer's sound network", "sound_net"),
    "synthesizer": ("PixelPlayer's synthesizer", "synthesizer"),
}


def main() -> None:
    """Runs the command."""
    config = config_module.from_flags()
    workdir = flags.FLAGS.workdir or Path(f"runs/{config.name}")
    files = {name: value for name in FILES if (value := flags.FLAGS[name].value)}
    if model := flags.FLAGS.model:
        if files:
            raise InputError(f"--model holds all networks; leave --{next(iter(files))} out")
        convert_model(config, workdir, model)
    else:
        convert(config, workdir, files)
    given = [*config_module.given_flags(), f"--workdir={workdir}"]
    logging.info("evaluate it with: %s", command.command_line("mpnet_jax.evaluate", *given))
    logging.info("or train from it with: %s", command.command_line("mpnet_jax.train", *given))


def convert(config: Config, workdir: Path, files: Mapping[str, Path]) -> None:
    """Writes a workdir with a checkpoint at step 0.

    Args:
        config: Config with the sizes of the networks.
        workdir: A new or an empty folder.
        files: Files by the flags of `FILES`. Networks without a file get random weights.

    Raises:
        InputError: There is no file or there are two for one network, a file cannot be read or is of another network,
            the workdir is not empty, or JAX finds no device.
    """
    if not files:
        names = ", ".join(f"--{name}" for name in (*FILES, "model"))
        raise InputError(f"nothing to convert; give at least one of {names}")
    if {"frame", "resnet"} <= files.keys():
        raise InputError("--frame and --resnet are both of the frame network; give one of them")
    _refuse_run(workdir)
    weights = {name: torch_weights.read_weights(path) for name, path in files.items()}

    method = _method(config)
    state = method.state_at(0)
    params, batch_stats = dict(state.params), dict(state.batch_stats)
    for name, path in files.items():
        net = FILES[name][1]
        if net not in params:
            raise InputError(
                f"--{name}={path}: {net} is none of this config's networks ({', '.join(sorted(params))}); see "
                "its fields method and, for a Plus-Net, rounds"
            )
        template = {"params": params[net], "batch_stats": batch_stats.get(net, {})}
        try:
            unused = ("fc.",) if name == "resnet" else ()  # the classifier of ImageNet's classes
            variables = torch_weights.to_flax(weights[name], _names(config, name), template, unused=unused)
        except ValueError as error:
            raise InputError(f"--{name}={path} does not fit {net} of config {config.name}: {error}") from None
        params[net] = variables["params"]
        if net in batch_stats:
            batch_stats[net] = variables["batch_stats"]
        logging.info("%s: %d tensors from %s", net, len(weights[name]), path)
    random = sorted(params.keys() - {FILES[name][1] for name in files})
    if random:
        logging.info("%s: random weights", ", ".join(random))
    results = method.results_with({FILES[name][1] for name in files})
    _save(config, workdir, state.with_networks({"params": params, "batch_stats": batch_stats}), results)


def convert_model(config: Config, workdir: Path, path: Path) -> None:
    """Writes a workdir with the networks of a model file as a checkpoint at step 0.

    Args:
        config: Config with the sizes of the networks.
        workdir: A new or an empty folder.
        path: File that `export` wrote, with its `.json` beside it.

    Raises:
        InputError: The file cannot be read or holds other networks than the config, the workdir is not empty, or JAX
            finds no device.
    """
    _refuse_run(workdir)

    import jax

    from mpnet_jax.weights.model_file import read_model

    state = _method(config).state_at(0)
    found = read_model(path)
    own, theirs = (jax.tree.map(np.shape, tree) for tree in (state.variables, found.variables))
    if own != theirs:
        raise InputError(
            f"--model={path} holds other networks than config {config.name}; give the config that it was trained with"
        )
    logging.info("all networks: %s, trained %d steps", path, found.facts["step"])
    _save(config, workdir, state.with_networks(found.variables), [found.facts["method"]])


def _method(config: Config) -> "Method":
    """Returns the method of a config, ready to compute."""
    from mpnet_jax.methods.registry import method_of
    from mpnet_jax.processes import environment

    environment.prepare()
    return method_of(config)


def _refuse_run(workdir: Path) -> None:
    if saved_config.read_recorded(workdir) is not None:
        raise InputError(f"--workdir={workdir} holds a run already; name a new folder")


def _save(config: Config, workdir: Path, state: "TrainState", methods: Sequence[str]) -> None:
    """Writes the state as the latest checkpoint, and as the best one of these methods."""
    from mpnet_jax.run.checkpoint import UNSCORED, Checkpoints

    saved_config.claim_workdir(workdir, config)
    checkpoints = Checkpoints(workdir)
    checkpoints.save(state)
    for method in methods:
        checkpoints.save_best(state, UNSCORED, method=method)
    checkpoints.close()
    logging.info("wrote %s", workdir)


def _names(config: Config, name: str) -> torch_weights.Names:
    if name == "resnet":
        return torch_weights.torchvision_names()
    if name == "synthesizer":
        return torch_weights.synthesizer_names()
    return torch_weights.resnet_names() if name == "frame" else torch_weights.unet_names(config.model.unet_depth)


if __name__ == "__main__":
    config_module.define_flag("released")
    command.define_path("workdir", None, "Folder to create; runs/<config.name> by default.")
    for _flag, (_what, _) in FILES.items():
        command.define_path(_flag, None, f"File of {_what}.")
    command.define_path("model", None, "Model file of all networks, written by export.")
    command.run(main)
