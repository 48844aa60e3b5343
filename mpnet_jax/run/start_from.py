"""Networks of another run that training starts with: of the same method, or of PixelPlayer for the M-Net."""

from pathlib import Path

from absl import logging

from data_pipeline.command import InputError
from mpnet_jax.config.saved_config import read_recorded
from mpnet_jax.config.specs import Config
from mpnet_jax.models.transfer import mnet_of_pixelplayer, pixelplayer_shapes
from mpnet_jax.run.checkpoint import Checkpoints
from mpnet_jax.steps.train_state import TrainState

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
        template = pixelplayer_shapes(state.variables)
        found = checkpoints.restore_variables(template, kind=kind)
        variables = mnet_of_pixelplayer(found, state.variables)
    else:
        variables = checkpoints.restore_variables(state.variables, kind=kind, without=("plus_net",))
    logging.info("starting from %s of step %s in %s", kind, checkpoints.step(kind), config.start_from)
    checkpoints.close()
    return state.replace(**variables)
