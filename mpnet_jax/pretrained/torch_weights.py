"""Converts PyTorch state dicts to Flax variables.

The networks are the authors', PixelPlayer's, torchvision's ResNet-18 and EfficientNet-Lite0.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import safetensors.numpy

from data_pipeline.command import InputError
from mpnet_jax.pretrained import torch_file

# Path of an entry in the Flax variables: ("params", layer, ..., name) or ("batch_stats", layer, ..., name).
Place = tuple[str, ...]
Names = Mapping[str, Place]

_SHOWN = 5  # greatest number of entries of one kind that an error names


def unet_names(depth: int) -> dict[str, Place]:
    """Returns the entries of a U-Net (the authors' and PixelPlayer's sound networks) and their paths in `UNet`.

    The blocks are nested; the numbers count the layers of a block, including those without weights.
    """
    names = _norm("bn0", "norm_in")
    names |= _conv("unet_block.model.0", "down_0")
    names |= _conv("unet_block.model.4", "up_0", bias=True)
    block = "unet_block.model.1.model"
    for level in range(1, depth):
        innermost = level == depth - 1
        names |= _conv(f"{block}.1", f"down_{level}")
        if not innermost:
            names |= _norm(f"{block}.2", f"down_norm_{level}")
        names |= _conv(f"{block}.{4 if innermost else 6}", f"up_{level}")
        names |= _norm(f"{block}.{5 if innermost else 7}", f"up_norm_{level}")
        block += ".3.model"
    return names


def resnet_names(*, head: bool = True) -> dict[str, Place]:
    """Returns the entries of a frame network and their paths in `ResNet18`; without `head`, those of the trunk."""
    names = _conv("features.0", "conv_in") | _norm("features.1", "norm_in")
    for stage in range(1, 5):
        for block in range(1, 3):
            prefix, layer = f"features.{stage + 3}.{block - 1}", f"stage{stage}_block{block}"
            for number in (1, 2):
                names |= _conv(f"{prefix}.conv{number}", layer, f"conv{number}")
                names |= _norm(f"{prefix}.bn{number}", layer, f"norm{number}")
            if stage > 1 and block == 1:
                names |= _conv(f"{prefix}.downsample.0", layer, "shortcut_conv")
                names |= _norm(f"{prefix}.downsample.1", layer, "shortcut_norm")
    return names | (_conv("fc", "conv_out", bias=True) if head else {})


def torchvision_names() -> dict[str, Place]:
    """Returns the entries of torchvision's ResNet-18 without its classifier, and their paths in `ResNet18`."""

    def rename(name: str) -> str:
        _, number, *rest = name.split(".")
        return ".".join([{"0": "conv1", "1": "bn1"}.get(number, f"layer{int(number) - 3}"), *rest])

    return {rename(name): place for name, place in resnet_names(head=False).items()}


def efficientnet_names() -> dict[str, Place]:
    """Returns the entries of `efficientnet-lite-pytorch`'s Lite0 without its classifier, and their paths in ours."""
    names = _conv("_conv_stem", "stem", "conv") | _norm("_bn0", "stem", "norm")
    blocks = [(stage, block) for stage, count in enumerate((1, 2, 2, 3, 3, 4, 1), 1) for block in range(1, count + 1)]
    for number, (stage, block) in enumerate(blocks):
        layer = f"stage{stage}_block{block}"
        # The first block does not expand its channels.
        parts = {"expand": ("_expand_conv", "_bn0")} if number else {}
        for part, (conv, norm) in (
            parts | {"depthwise": ("_depthwise_conv", "_bn1"), "project": ("_project_conv", "_bn2")}
        ).items():
            names |= _conv(f"_blocks.{number}.{conv}", layer, part)
            names |= _norm(f"_blocks.{number}.{norm}", layer, f"{part}_norm")
    return names | _conv("_conv_head", "top", "conv") | _norm("_bn1", "top", "norm")


def synthesizer_names() -> dict[str, Place]:
    """Returns the entries of PixelPlayer's synthesizer and their paths in `Synthesizer`."""
    return {name: ("params", name) for name in ("scale", "bias")}


def _conv(prefix: str, *layer: str, bias: bool = False) -> dict[str, Place]:
    names = {f"{prefix}.weight": ("params", *layer, "kernel")}
    return names | ({f"{prefix}.bias": ("params", *layer, "bias")} if bias else {})


def _norm(prefix: str, *layer: str) -> dict[str, Place]:
    return {
        f"{prefix}.weight": ("params", *layer, "scale"),
        f"{prefix}.bias": ("params", *layer, "bias"),
        f"{prefix}.running_mean": ("batch_stats", *layer, "mean"),
        f"{prefix}.running_var": ("batch_stats", *layer, "var"),
    }


def to_flax(
    weights: Mapping[str, np.ndarray], names: Names, template: Mapping[str, Any], *, unused: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Converts the entries of a state dict to the variables of a network.

    Args:
        weights: Entries in PyTorch's layout; convolutions have the shape (out, in, height, width).
        names: Path of each required entry.
        template: Variables of the network; paths without an entry keep their values. Running statistics may have a
            leading axis of sets, which all become equal.
        unused: Prefixes of optional entries that are ignored.

    Returns:
        Variables with the template's shapes, in float32.

    Raises:
        ValueError: Entries are missing, unknown, of another shape or not finite; the message names them.
    """
    given = {name for name in weights if not name.endswith("num_batches_tracked") and not name.startswith(unused)}
    problems = [
        *_listed("missing", sorted(names.keys() - given)),
        *_listed("unknown", sorted(given - names.keys())),
    ]
    values = {_joined(path): np.asarray(leaf) for path, leaf in jax.tree.leaves_with_path(dict(template))}
    misfits, infinite = [], []
    for name in names.keys() & given:
        place = "/".join(names[name])
        with np.errstate(over="ignore"):  # numbers beyond float32 become infinite and are reported
            value, wanted = _channels_last(np.asarray(weights[name], np.float32)), values[place].shape
        if value.shape == (1, 1, *wanted):  # a 1x1 convolution is a matrix here
            value = value[0, 0]
        if value.shape != wanted and not (place.startswith("batch_stats/") and value.shape == wanted[1:]):
            misfits.append(f"{name} {np.shape(weights[name])} for {place} {wanted}")
            continue
        if not np.all(np.isfinite(value)):
            infinite.append(name)
        values[place] = np.broadcast_to(value, wanted).copy()
    problems += _listed("of another shape", sorted(misfits))
    problems += _listed("with numbers that are not finite in float32", sorted(infinite))
    if problems:
        raise ValueError("; ".join(problems))
    return jax.tree.map_with_path(lambda path, _: values[_joined(path)], dict(template))


def _joined(path: tuple[Any, ...]) -> str:
    return "/".join(key.key for key in path)


def _channels_last(value: np.ndarray) -> np.ndarray:
    return value.transpose(2, 3, 1, 0) if value.ndim == 4 else value


def _listed(what: str, names: list[str]) -> list[str]:
    if not names:
        return []
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return [f"{len(names)} {what}: {', '.join(names[:_SHOWN])}{more}"]


def read_weights(path: Path) -> dict[str, np.ndarray]:
    """Reads a state dict without executing code from the file.

    Args:
        path: A `.safetensors` file, or a PyTorch file (`.pth`, `.pt`, `.tar`).

    Returns:
        Entries by name, without the prefix "module.".

    Raises:
        InputError: The file is missing or damaged, or holds more than tensors.
    """
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    state = _read_safetensors(path) if path.suffix == ".safetensors" else torch_file.read_state_dict(path)
    return {name.removeprefix("module."): value for name, value in state.items()}


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    try:
        state = safetensors.numpy.load_file(path)
    except Exception as error:  # noqa: BLE001 - the library's own class is private, and unknown types raise others
        raise InputError(f"{path} is no readable safetensors file ({error})") from None
    complex_numbers = sorted(name for name, value in state.items() if np.iscomplexobj(value))
    if complex_numbers:
        raise InputError(f"{path} holds complex numbers ({complex_numbers[0]}), which no network here has")
    return state
