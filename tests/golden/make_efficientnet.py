"""Stores outputs of `efficientnet-lite-pytorch`: `python -m tests.golden.make_efficientnet`; see PROVENANCE.md.

Needs PyTorch and the package, which no test does.
"""

import importlib
from pathlib import Path
from typing import Any

import numpy as np

from mpnet_jax.models.efficientnet import STAGES
from mpnet_jax.pretrained.imagenet import installed_file
from tests.support.golden_picture import SIDES_PX, picture_of, stored_values


def outputs_of(side_px: int, weights: Path) -> dict[str, np.ndarray]:
    """Returns the stored parts of every block's output and the logits, for a picture of one size."""
    torch: Any = importlib.import_module("torch")
    # The peer pads by its image size, so each size needs a network of its own.
    network = importlib.import_module("efficientnet_lite_pytorch").EfficientNet.from_pretrained(
        "efficientnet-lite0", weights_path=str(weights), image_size=side_px
    )
    network.eval()
    picture = (picture_of(side_px).astype(np.float32) - 127) / 128
    maps = {}
    names = [f"stage{stage}_block{block}" for stage, s in enumerate(STAGES, 1) for block in range(1, s.blocks + 1)]
    with torch.inference_mode():
        x = torch.from_numpy(picture.transpose(2, 0, 1)[np.newaxis])
        maps["stem"] = x = network._swish(network._bn0(network._conv_stem(x)))
        for name, block in zip(names, network._blocks, strict=True):
            maps[name] = x = block(x)
        maps["top"] = x = network._swish(network._bn1(network._conv_head(x)))
        logits = network._fc(x.mean((2, 3)))[0].numpy()
    stored = {f"{side_px}/logits": logits}
    for name, value in maps.items():
        channels_last = value[0].permute(1, 2, 0).contiguous().numpy()
        key = f"{side_px}/{name}"
        stored |= {
            key: stored_values(channels_last),
            f"{key}/shape": np.array(channels_last.shape),
            f"{key}/mean": channels_last.mean(dtype=np.float64),
            f"{key}/std": channels_last.std(dtype=np.float64),
        }
    return stored


def main() -> None:
    """Writes the file beside this one."""
    stored: dict[str, np.ndarray] = {}
    for side_px in SIDES_PX:
        stored |= outputs_of(side_px, installed_file())
    np.savez_compressed(Path(__file__).with_name("efficientnet-lite0.npz"), **stored)


if __name__ == "__main__":
    main()
