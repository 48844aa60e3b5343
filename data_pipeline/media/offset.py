"""Removes constant offsets from the channels of a recording, in constant memory."""

import numpy as np

_LEAST_OFFSET = 1e-3  # Offsets up to this are not removed; those above twice this are removed completely.
_SUMMED = 16  # Samples that are added before a slowly changing weight is applied.


class OffsetRemoval:
    """Subtracts the mean of each channel under a window of two sections, interpolated between windows.

    Frequencies above 20 Hz are unchanged, because the mean is taken over more than a second.

    Args:
        size: Samples in a section.
    """

    def __init__(self, size: int) -> None:
        rising = np.square(np.sin(np.pi / (4 * size) * (2 * np.arange(size) + 1)))
        self._rising = rising.astype(np.float32)
        # The same for sums of a few samples, which are faster to compute than products of all.
        self._rising_of_sums = self._rising.reshape(-1, _SUMMED).mean(axis=1)
        self._before: np.ndarray | None = None
        self._offset: np.ndarray | None = None  # float32 (channels, 1)

    def add(self, section: np.ndarray) -> np.ndarray:
        """Takes the next section; returns the one before it without its offset."""
        if self._before is None:
            self._before = section
            return section[:, :0]
        rising = self._rising_of_sums
        both = np.sum(_sums(self._before) * rising + _sums(section) * rising[::-1], axis=1, keepdims=True)
        offset = _notable(both / (2 * _SUMMED * rising.sum()))
        last = offset if self._offset is None else self._offset
        before, self._before, self._offset = self._before, section, offset
        return before - (last + (offset - last) * self._rising) if last.any() or offset.any() else before

    def finish(self, rest: np.ndarray) -> np.ndarray:
        """Takes the remaining samples, fewer than a section; returns everything that was not yet returned."""
        rest = rest if self._before is None else np.concatenate([self._before, rest], axis=1)
        offset = self._offset
        if offset is None and rest.size:
            window = np.square(np.sin(np.pi / (2 * rest.shape[1]) * (2 * np.arange(rest.shape[1]) + 1)))
            offset = _notable((np.sum(rest * window, axis=1, keepdims=True) / window.sum()).astype(np.float32))
        return rest - offset if offset is not None and offset.any() else rest


def _notable(offset: np.ndarray) -> np.ndarray:
    """Returns offsets without those that sound may have by chance, so that most recordings stay as they are."""
    return offset * np.clip(np.abs(offset) / _LEAST_OFFSET - 1, 0, 1)


def _sums(section: np.ndarray) -> np.ndarray:
    """Returns the sums of every few samples, (channels, samples) -> (channels, sums)."""
    return section.reshape(len(section), -1, _SUMMED).sum(axis=2)
