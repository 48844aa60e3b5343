"""What the P-Net begins its round with: random weights, or the U-Net of the M-Net that it is to mend."""

from typing import Any

import jax
import numpy as np
from absl import logging

# Where the two U-Nets differ: the P-Net sees two spectrograms, whose channels are this axis of a leaf ...
_INPUT_AXIS = {
    ("norm_in", "scale"): 0,
    ("norm_in", "bias"): 0,
    ("norm_in", "mean"): 1,
    ("norm_in", "var"): 1,
    ("down_0", "kernel"): 2,
}
_LAST = "up_0"  # ... and gives one map
_INITIAL = {"mean": 0.0, "var": 1.0}  # running statistics


def has_learnt(statistics: Any) -> bool:
    """Whether a network was trained at all: its running statistics are no longer the initial ones."""
    return any(np.any(np.asarray(x) != _INITIAL[path[-1].key]) for path, x in jax.tree.leaves_with_path(statistics))


def plus_of_minus(variables: dict[str, Any]) -> dict[str, Any]:
    """A P-Net that begins as the M-Net's U-Net.

    What was separated before is what it sees in the place of the mixture; the weights of its second channel, the sound,
    and its last layer stay random.

    Args:
        variables: MP-Net's {"params", "batch_stats"}, of two U-Nets of one width.

    Returns:
        Variables like the given ones, with another P-Net. Its running statistics are those of the M-Net's first step.
    """
    params, statistics = variables["params"], variables["batch_stats"]
    first = jax.tree.map(lambda x: np.asarray(x)[:1], statistics["minus_net"])
    return {
        "params": params | {"plus_net": _taken(params["plus_net"], params["minus_net"])},
        "batch_stats": statistics | {"plus_net": _taken(statistics["plus_net"], first)},
    }


def _taken(plus: dict[str, Any], minus: dict[str, Any]) -> dict[str, Any]:
    """The P-Net's leaves {layer: {name: leaf}}, taken from the M-Net's wherever there is one."""
    return {
        layer: {name: _leaf(layer, name, leaf, minus[layer][name]) for name, leaf in leaves.items()}
        for layer, leaves in plus.items()
    }


def _leaf(layer: str, name: str, plus: Any, minus: Any) -> Any:
    if layer == _LAST:
        return plus
    plus = np.array(plus)
    axis = _INPUT_AXIS.get((layer, name))
    if axis is None:
        plus[...] = minus
    else:
        np.moveaxis(plus, axis, 0)[:1] = np.moveaxis(np.asarray(minus), axis, 0)
    return plus


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


def pixelplayer_shapes(variables: dict[str, Any]) -> dict[str, Any]:
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
