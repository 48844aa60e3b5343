"""Stores the feature maps of every window, and computes the sound of any place of the picture from them.

The mask of a place is the sigmoid of the Minus-Net's feature maps of the whole mixture, weighted by the visual vector
of the place (Eq. 2), which is the mask by which the first step of the recursion weighs its candidates. So no network
runs again. Masks of overlapping windows are cross-faded and applied to the recording like those of the separated
sounds.
"""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import scipy.special
from jaxtyping import Float

from data_pipeline.spec import AudioSpec
from mpnet_jax.separation.band_spectra import BandSpectra
from mpnet_jax.separation.crossfade import rising
from mpnet_jax.separation.network import WindowFeatures
from mpnet_jax.separation.sound_windows import hop_columns
from mpnet_jax.separation.stems import recording_path
from mpnet_jax.spectrogram.frequency import FrequencyAxis, frequency_axis

# The file and the type of each field of `WindowFeatures`.
_FILES = {
    "features": ("features.f16", "<f2"),
    "vectors": ("vectors.f32", "<f4"),
    "remainders": ("remainders.f16", "<f2"),
}
_WINDOWS = 8  # Windows that are computed at a time; few, so that they stay in the processor's cache.


class FeatureFiles:
    """Writes the feature maps, visual vectors and remaining mixtures of all windows; one file for each.

    Args:
        folder: Folder of the files.
    """

    def __init__(self, folder: Path) -> None:
        self._files = {name: (folder / file).open("wb") for name, (file, _) in _FILES.items()}
        self._shapes: dict[str, list[int]] = {}

    def add(self, window: WindowFeatures) -> None:
        """Appends a window."""
        for name, (_, kind) in _FILES.items():
            values = np.ascontiguousarray(getattr(window, name), kind)
            self._shapes[name] = list(values.shape)
            self._files[name].write(values.tobytes())

    @property
    def shapes(self) -> dict[str, list[int]]:
        """The shape of each field in a window."""
        return self._shapes

    def close(self) -> None:
        """Closes the files."""
        for file in self._files.values():
            file.close()


def band_spectra(folder: Path, facts: dict[str, Any]) -> BandSpectra:
    """Returns the stored transform of the recording of a finished separation; see `PlaceSounds`."""
    audio = AudioSpec(**facts["audio"])
    return BandSpectra(
        folder,
        recording_path(folder),
        rate_hz=int(facts["rate_hz"]),
        channels=int(facts["channels"]),
        audio=audio,
        columns=(int(facts["windows"]) + 1) * hop_columns(audio),
    )


@dataclasses.dataclass(frozen=True)
class Step:
    """A step of the recursion in one window. Magnitudes are linear and at the level of the training mixtures.

    Attributes:
        number: Number of the sound that the step separated; None if it is not among the separated sounds.
        place: Place of that sound, from the top and from the left, in fractions of the frame; None as above.
        before: Magnitude of the mixture that remained before the step, on the networks' frequency axis.
        taken: Magnitude that the step took from it.
    """

    number: int | None
    place: tuple[float, float] | None
    before: Float[np.ndarray, "freq time"]
    taken: Float[np.ndarray, "freq time"]


class PlaceSounds:
    """The sounds of all places of a separated video.

    Args:
        folder: Folder of a finished separation, whose feature maps were kept.
        facts: Facts of the separation: `windows`, `rate_hz`, `channels`, `audio`, `frequency_axis` and `features`.
    """

    def __init__(self, folder: Path, facts: dict[str, Any]) -> None:
        self._count = int(facts["windows"])
        self._audio = AudioSpec(**facts["audio"])
        self._half = hop_columns(self._audio)
        self._spectra = band_spectra(folder, facts)
        rows = facts["features"]["features"][0]
        self._axis: FrequencyAxis = frequency_axis(facts["frequency_axis"], rows, self._audio)
        self._arrays = {
            name: np.memmap(folder / file, kind, mode="r", shape=(self._count, *facts["features"][name]))
            for name, (file, kind) in _FILES.items()
        }

    @property
    def hz(self) -> Float[np.ndarray, " freq"]:
        """Centre frequency of each row of the networks' axis."""
        return self._axis.hz

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the places."""
        _, rows, columns, _ = self._arrays["vectors"].shape
        return rows, columns

    def place_of(self, x: float, y: float) -> tuple[int, int]:
        """Returns the row and the column of the place that contains a point.

        Args:
            x: Fraction of the frame from the left, in [0, 1].
            y: Fraction of the frame from the top, in [0, 1].

        Raises:
            ValueError: The point lies outside the frame.
        """
        if not (0 <= x <= 1 and 0 <= y <= 1):
            raise ValueError(
                f"x={x}, y={y} lies outside the picture; give fractions of it from the left and from the top, 0 to 1"
            )
        rows, columns = self.grid
        return min(int(y * rows), rows - 1), min(int(x * columns), columns - 1)

    def masks(
        self, place: tuple[int, int], first: int = 0, last: int | None = None
    ) -> Float[np.ndarray, "window freq time"]:
        """Returns the masks of a place on the networks' frequency axis, in [0, 1].

        Args:
            place: Row and column of the place.
            first: First window.
            last: Last window, not included; None for all.
        """
        features = self._arrays["features"][first:last].astype(np.float32)
        vectors = np.asarray(self._arrays["vectors"][first:last, place[0], place[1]])
        # (window, freq * time, k) x (window, k, 1) -> (window, freq, time)
        logits = np.matmul(features.reshape(len(features), -1, features.shape[-1]), vectors[..., None])
        return scipy.special.expit(logits, out=logits).reshape(features.shape[:3])

    def share(self, place: tuple[int, int]) -> Float[np.ndarray, " window"]:
        """Returns the fraction of each window's magnitude that the mask of a place takes; 0 for a silent window."""
        shares = np.zeros(self._count, np.float32)
        for first in range(0, self._count, _WINDOWS):
            part = slice(first, first + _WINDOWS)
            mixture = self._arrays["remainders"][part, 0].astype(np.float32)
            taken = (self.masks(place, part.start, part.stop) * mixture).sum(axis=(1, 2))
            total = mixture.sum(axis=(1, 2))
            shares[part] = np.where(total > 0, taken / np.where(total > 0, total, 1.0), 0.0)
        return shares

    def sound(self, place: tuple[int, int]) -> Float[np.ndarray, "channels samples"]:
        """Returns the sound of a place, at the sample rate and in the channels of the recording."""
        return self._spectra.apply(lambda part: self._joined(place, part), _WINDOWS * self._half)

    def _joined(self, place: tuple[int, int], columns: slice) -> Float[np.ndarray, "bins time"]:
        """Returns the cross-faded masks of a place on the bins of the transform.

        Args:
            place: Row and column of the place.
            columns: Columns of the recording, which begin and end with half a window.
        """
        first, last = columns.start // self._half, columns.stop // self._half
        # Half window h consists of the first half of window h and the second half of window h - 1.
        low = max(0, first - 1)
        masks = self.masks(place, low, min(last, self._count))
        if self._axis.time is not None:
            masks = masks @ self._axis.time.T
        begins, ends = masks[first - low :, :, : self._half], masks[: last - low, :, self._half :]
        if last > self._count:
            begins = np.concatenate([begins, ends[-1:]])  # The last window does not fade out.
        if first == 0:
            ends = np.concatenate([begins[:1], ends[: last - 1]])  # The first window does not fade in.
        fade = rising(self._half)
        joined = fade * begins + (1.0 - fade) * ends[: len(begins)]
        # (half window, rows, half) -> (rows, half window * half) -> (bins, half window * half)
        return self._axis.back @ joined.transpose(1, 0, 2).reshape(joined.shape[1], -1)

    def remainders(self, window: int) -> Float[np.ndarray, "steps freq time"]:
        """Returns the magnitude that remained before each step of a window and after its last step."""
        return self._arrays["remainders"][window].astype(np.float32)
