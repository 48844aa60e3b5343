"""Keeps the features that a frozen trunk makes of the stored frames, so that no training step computes them again."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import logging

from data_pipeline.spec import FeatureSpec
from data_pipeline.staging.progress import progress_bar
from mpnet_jax import parallel
from mpnet_jax.models.efficientnet import EfficientNetLite0, normalise_pictures
from mpnet_jax.steps.device_pass import Separator

BATCH = 16  # pictures that a device takes at a time


def attach(
    stores: Mapping[str, Any], net: EfficientNetLite0, variables: dict[str, Any], spec: FeatureSpec, folder: Path | None
) -> None:
    """Makes the missing features of each split, and lets its mixtures hold features in place of frames.

    Several processes share the work; where they share no folder, each makes all of it.

    Args:
        stores: The splits, by name; each is a `RecordStore`.
        net: The trunk in evaluation form.
        variables: Its parameters and running statistics, on the host.
        spec: Which features are kept.
        folder: See `KeptFeatures`.

    Raises:
        InputError: Features cannot be written.
    """
    # Imported here because it loads TensorFlow, which takes seconds; bad input is refused before.
    from data_pipeline.records.features import KeptFeatures

    separator: Separator | None = None
    for split, store in stores.items():
        kept = KeptFeatures(store, spec, folder)
        index, count = parallel.process_place()
        # First each process makes its share; then what is still missing, because no folder is shared.
        for divisor in (count, 1):
            missing = [piece for piece in kept.missing if piece % divisor == index % divisor]
            if missing and separator is None:
                separator = separator_of(net, parallel.replicate(variables), pooled=spec.pooled)
            if missing:
                _make(kept, store, separator, missing, split)
            parallel.wait_for_first()
        kept.finish()
        store.features = kept


def separator_of(net: EfficientNetLite0, variables: Any, *, pooled: bool) -> Separator:
    """Returns the pass from `pictures`, uint8 (picture, side, side, 3), to `features` (picture, h, w, channel).

    Args:
        net: The trunk in evaluation form.
        variables: Its replicated parameters and running statistics.
        pooled: Whether features are averaged over places, so that h and w are 1.
    """

    def run(variables: dict[str, Any], batch: dict[str, Any]) -> dict[str, Any]:
        features: Any = net.apply(variables, normalise_pictures(batch["pictures"]))
        return {"features": features.mean((1, 2), keepdims=True) if pooled else features}

    return Separator(parallel.local_map(run), variables, BATCH)


def _make(kept: Any, store: Any, separator: Any, missing: list[int], split: str) -> None:
    from data_pipeline.records.features import PIECE

    logging.info("keeping features of the frames of %s in %s, once for all runs", split, kept.folder)
    total = sum(len(kept.frames_of(piece)) for piece in missing)
    with progress_bar(total, doing="features", unit="frame") as bar:
        for piece in missing:
            frames = kept.frames_of(piece)
            made = []
            for first in range(0, PIECE, BATCH):
                group = frames[first : first + BATCH]
                if group:
                    made.append(features_of(kept.spec, store, separator, group))
                    bar.update(len(group))
            kept.write(piece, np.concatenate(made))


def features_of(spec: FeatureSpec, store: Any, separator: Separator, frames: list[Any]) -> np.ndarray:
    """Returns features of the views of some frames, float16 (frame, view, h, w, channel).

    Args:
        spec: Which features are kept.
        store: The `RecordStore` of the frames.
        separator: See `separator_of`.
        frames: The `View`s of each frame.
    """
    from data_pipeline.records.pictures import cut, decode

    views, side = spec.views, spec.crop_px
    squares = np.empty((len(frames), views, side, side, 3), np.uint8)
    for n, of_frame in enumerate(frames):
        (picture,) = decode(store.read_pictures(of_frame[0].clip, [of_frame[0].frame]))
        for v, view in enumerate(of_frame):
            cut(picture, squares[n, v], crop=view.crop, flip=view.flip)
    features = separator({"pictures": squares.reshape(-1, side, side, 3)})["features"]
    return features.reshape(len(frames), views, *features.shape[1:]).astype(np.float16)


def hash_of(variables: Any) -> str:
    """Returns a hash of parameters and running statistics, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(variables):
        digest.update(jax.tree_util.keystr(path).encode())
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()
