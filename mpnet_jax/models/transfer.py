"""Initialises a network with the weights of another: a Plus-Net from a Minus-Net, a Minus-Net from PixelPlayer."""

from typing import Any

import jax
import numpy as np
from absl import logging

# The Plus-Net has several input channels where the Minus-Net has one. This is the axis of these channels in each leaf.
_INPUT_AXIS = {
    ("norm_in", "scale"): 0,
    ("norm_in", "bias"): 0,
    ("norm_in", "mean"): 1,
    ("norm_in", "var"): 1,
    ("down_0", "kernel"): 2,
}
_LAST = "up_0"  # The last layer also differs: a Plus-Net that does not look has one output channel, the Minus-Net k.
_INITIAL = {"mean": 0.0, "var": 1.0}  # Initial running statistics.


def has_learnt(statistics: Any) -> bool:
    """Returns whether a network was trained: whether its running statistics differ from the initial ones."""
    return any(np.any(np.asarray(x) != _INITIAL[path[-1].key]) for path, x in jax.tree.leaves_with_path(statistics))


def plus_of_minus(variables: dict[str, Any], *, whole: bool = False) -> dict[str, Any]:
    """Copies the Minus-Net's weights to the Plus-Net.

    The Plus-Net's first input channel, the remix of other sounds, takes the weights of the Minus-Net's input. The
    weights of its other input channels and its last layer stay as they are.

    Args:
        variables: MP-Net's {"params", "batch_stats"}; both U-Nets have the same width.
        whole: Whether to copy the last layer, too, of a Plus-Net that looks, and to set the first convolution's weights
            of the other input channels to zero. The Plus-Net then is the Minus-Net, asked for the sound's source in the
            remix, until it learns to use its other inputs.

    Returns:
        The variables with the new Plus-Net, whose running statistics are those of the Minus-Net's first step.
    """
    params, statistics = variables["params"], variables["batch_stats"]
    first = jax.tree.map(lambda x: np.asarray(x)[:1], statistics["minus_net"])
    return {
        "params": params | {"plus_net": _copied(params["plus_net"], params["minus_net"], whole)},
        "batch_stats": statistics | {"plus_net": _copied(statistics["plus_net"], first, whole)},
    }


def _copied(plus: dict[str, Any], minus: dict[str, Any], whole: bool) -> dict[str, Any]:
    """Returns the Plus-Net's leaves {layer: {name: leaf}} with the Minus-Net's values wherever both have them."""
    return {
        layer: {name: _leaf(layer, name, leaf, minus[layer][name], whole) for name, leaf in leaves.items()}
        for layer, leaves in plus.items()
    }


def _leaf(layer: str, name: str, plus: Any, minus: Any, whole: bool) -> Any:
    if layer == _LAST and not whole:
        return plus
    plus = np.array(plus)
    if whole and name == "kernel" and (layer, name) in _INPUT_AXIS:
        plus[...] = 0.0
    axis = _INPUT_AXIS.get((layer, name))
    if axis is None:
        plus[...] = minus
    else:  # Only the first input channel has a counterpart.
        np.moveaxis(plus, axis, 0)[:1] = np.moveaxis(np.asarray(minus), axis, 0)
    return plus


def mnet_of_pixelplayer(pixelplayer: dict[str, Any], variables: dict[str, Any]) -> dict[str, Any]:
    """Returns MP-Net's variables with a Minus-Net whose first step predicts PixelPlayer's masks.

    The synthesizer's scale is multiplied into the U-Net's last layer. Its bias, one number for all masks, has no
    counterpart in a Minus-Net (Sec. 3.2) and is left out.

    Args:
        pixelplayer: PixelPlayer's {"params", "batch_stats"}.
        variables: MP-Net's variables, with networks of the same sizes. A Plus-Net is kept.

    Returns:
        The new variables. The running statistics of every step are PixelPlayer's.
    """
    params, statistics = pixelplayer["params"], pixelplayer["batch_stats"]
    scale, bias = params["synthesizer"]["scale"], params["synthesizer"]["bias"]
    logging.info("the synthesizer's bias of %.3f is left out", float(bias[0]))
    last = jax.tree.map(lambda x: x * scale, params["sound_net"]["up_0"])  # Channels are the leaves' last axis.
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
    """Returns variables with the shapes of a PixelPlayer whose networks have MP-Net's sizes, for restoring one."""
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
