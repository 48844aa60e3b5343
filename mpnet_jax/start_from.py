"""Networks of another run that training starts with: of the same method, or of PixelPlayer for the M-Net."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import logging

from data_pipeline.command import InputError
from mpnet_jax.checkpoint import Checkpoints
from mpnet_jax.config import Config
from mpnet_jax.train_state import TrainState
from mpnet_jax.workdir_config import read_recorded

# By method: which checkpoint is taken; the latest where there is none of them.
_BEST = {"mpnet": ("best_mpnet", "best_mnet")}


def started_from(config: Config, state: TrainState) -> TrainState:
    """A new state with the networks of `config.start_from`.

    MP-Net takes those of an MP-Net, an M-Net (its P-Net stays as it is) or a PixelPlayer.

    Args:
        config: the run's.
        state: on the host.

    Raises:
        InputError: no run there, one without a checkpoint, or one of another model.
    """
    folder = Path(config.start_from)
    if not (folder / "checkpoints").is_dir():
        raise InputError(f"config.start_from={config.start_from} is no workdir of a run (no folder checkpoints in it)")
    method = (read_recorded(folder) or {}).get("method", config.method)
    checkpoints = Checkpoints(folder, read_only=True)
    best = _BEST.get(method, (f"best_{method}",))
    kind = next((kind for kind in best if checkpoints.step(kind) is not None), "latest")
    if (method, config.method) == ("pixelplayer", "mpnet"):
        template = _as_pixelplayer(state.variables)
        found = checkpoints.restore_variables(template, kind=kind)
        variables = mnet_of_pixelplayer(found, state.variables)
    else:
        variables = checkpoints.restore_variables(state.variables, kind=kind, without=("plus_net",))
    logging.info("starting from %s of step %s in %s", kind, checkpoints.step(kind), config.start_from)
    checkpoints.close()
    return state.replace(**variables)


def mnet_of_pixelplayer(pixelplayer: dict[str, Any], variables: dict[str, Any]) -> dict[str, Any]:
    """An M-Net whose first step gives PixelPlayer's masks.

    The synthesizer's scale goes into the last layer of the U-Net. Its bias, one number for all masks, has no place in
    an M-Net (Sec. 3.2) and is left out.

    Args:
        pixelplayer: {"params", "batch_stats"} of its networks.
        variables: MP-Net's, of the same sizes; what they have beside the M-Net is kept.

    Returns:
        Variables like the given ones. Every step's running statistics are PixelPlayer's.
    """
    params, statistics = pixelplayer["params"], pixelplayer["batch_stats"]
    scale, bias = params["synthesizer"]["scale"], params["synthesizer"]["bias"]
    logging.info("the synthesizer's bias of %.3f is left out", float(bias[0]))
    last = jax.tree.map(lambda x: x * scale, params["sound_net"]["up_0"])  # channels are the last axis of its leaves
    sets = jax.tree.map(
        lambda one, all_steps: np.broadcast_to(one, np.shape(all_steps)),
        statistics["sound_net"],
        variables["batch_stats"]["minus_net"],
    )
    return {
        "params": variables["params"]
        | {"frame_net": params["frame_net"], "minus_net": params["sound_net"] | {"up_0": last}},
        "batch_stats": variables["batch_stats"] | {"frame_net": statistics["frame_net"], "minus_net": sets},
    }


def _as_pixelplayer(variables: dict[str, Any]) -> dict[str, Any]:
    """Shapes of a PixelPlayer of MP-Net's sizes."""
    params, statistics = variables["params"], variables["batch_stats"]
    channels = params["minus_net"]["up_0"]["bias"].shape
    synthesizer = {"scale": np.ones(channels, np.float32), "bias": np.zeros(1, np.float32)}
    return {
        "params": {
            "frame_net": params["frame_net"],
            "sound_net": params["minus_net"],
            "synthesizer": synthesizer,
        },
        "batch_stats": {
            "frame_net": statistics["frame_net"],
            "sound_net": jax.tree.map(lambda x: x[0], statistics["minus_net"]),
        },
    }
