"""TensorBoard summaries of a run: scalars, images of masks, sounds."""

from collections.abc import Mapping
from pathlib import Path

import matplotlib
import numpy as np

from data_pipeline.tf_cpu import tf
from mpnet_jax.steps.separated_mixtures import SeparatedMixture


class Summaries:
    """Writes one run's summaries to `workdir/tensorboard`.

    Args:
        workdir: Folder of the run.
        rate_hz: Sample rate of the sounds.
    """

    def __init__(self, workdir: Path, *, rate_hz: int) -> None:
        self._writer = tf.summary.create_file_writer(str(workdir / "tensorboard"))
        self._rate_hz = rate_hz

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Writes the values of one step."""
        with self._writer.as_default(step):
            for name, value in values.items():
                tf.summary.scalar(name, value)

    def mixture(self, step: int, mixture: SeparatedMixture) -> None:
        """Writes the masks of a mixture as an image, and its sounds, each with the true ones."""
        columns = [np.concatenate([mixture.mask[n], mixture.true_mask[n]]) for n in range(len(mixture.mask))]
        image = np.concatenate(columns, axis=1)[::-1]  # low frequencies at the bottom
        coloured = matplotlib.colormaps["magma"](image)[..., :3].astype(np.float32)
        sounds = np.stack([mixture.mixture, *mixture.separated, *mixture.truth])
        sounds = sounds / max(np.abs(sounds).max(), 1e-6)
        with self._writer.as_default(step):
            tf.summary.image(f"mixture_{mixture.index}/true_below_predicted", coloured[None])
            tf.summary.audio(
                f"mixture_{mixture.index}/mixture_separated_true",
                sounds[..., None].astype(np.float32),
                self._rate_hz,
                max_outputs=len(sounds),
            )

    def flush(self) -> None:
        """Writes buffered summaries to the file."""
        self._writer.flush()

    def close(self) -> None:
        """Closes the file."""
        self._writer.close()
