"""Writes features that show the class and nothing else, to measure what better eyes could gain.

Command: python -m benchmarks.perfect_eyes --config=CONFIG --features=FOLDER
Then train as the config says, with --config.data.feature_directory=FOLDER.

A network that reads them knows the class of every clip. All else is equal to a training with kept features, so the
difference is what the frame network does not see.
"""

import numpy as np
from absl import flags, logging

from data_pipeline import command
from data_pipeline.command import InputError
from mpnet_jax.config import check


def main() -> None:
    """Runs the command."""
    if not flags.FLAGS.features:
        raise InputError("name a folder: --features=FOLDER")
    config = check.from_flags()
    from data_pipeline.records.features import PIECE, KeptFeatures
    from mpnet_jax.methods import settings
    from mpnet_jax.methods.registry import method_of
    from mpnet_jax.models.efficientnet import FEATURES
    from mpnet_jax.run.data import TRAINING_SPLITS, open_splits

    method = method_of(config)
    spec = settings.feature_spec(config, method.frame_trunk(method.initial_state()))
    for split, store in open_splits(method.data, TRAINING_SPLITS).items():
        kept = KeptFeatures(store, spec, flags.FLAGS.features)
        for piece in kept.missing:
            labels = [store.clips[views[0].clip].label for views in kept.frames_of(piece)]
            # One feature for each class; the others are zero: (frame, view, 1, 1, feature).
            shown = np.eye(FEATURES, dtype=np.float16)[labels][:, None, None, None]
            kept.write(piece, np.repeat(shown, spec.views, axis=1))
        kept.finish()
        logging.info("%s: %d frames in pieces of %d", split, len(kept), PIECE)


if __name__ == "__main__":
    check.define_flag(None)
    command.define_path("features", None, "Folder of the features.")
    command.run(main)
