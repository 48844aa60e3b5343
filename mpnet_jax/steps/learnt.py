"""Selects the parameters that a round trains: complete networks, or only the head of the frame network."""

from collections.abc import Iterable
from typing import Any

from mpnet_jax.models.frame_net import HEAD_LAYERS

# Stands for the layers of the frame network behind its trunk, where a round lists the networks that it trains.
FRAME_HEAD = "frame_head"


def networks(trained: Iterable[str]) -> tuple[str, ...]:
    """Returns the networks of which at least a part learns."""
    return tuple("frame_net" if name == FRAME_HEAD else name for name in trained)


def select(trees: dict[str, Any], trained: Iterable[str]) -> dict[str, Any]:
    """Returns the part of {network: {layer: ...}} that learns; a network without such a tree is left out."""
    chosen = {}
    for name, net in zip(trained, networks(trained), strict=True):
        tree = trees.get(net, {})
        chosen[net] = {layer: tree[layer] for layer in HEAD_LAYERS if layer in tree} if name == FRAME_HEAD else tree
    return {net: tree for net, tree in chosen.items() if tree}


def merge(trees: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """Returns {network: {layer: ...}} with the layers of a selected part in place of its own."""
    return trees | {net: trees[net] | layers for net, layers in part.items()}
