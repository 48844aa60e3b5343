"""What the demo uses of the separation, as types; the tests replace it by a stand-in that needs no networks."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np


@runtime_checkable
class SeparationLike(Protocol):
    """See `mpnet_jax.Separation`."""

    @property
    def sounds(self) -> Sequence[Any]:
        """The sounds."""
        ...

    @property
    def summary(self) -> dict[str, Any]:
        """The content of `separation.json`."""
        ...

    @property
    def rate_hz(self) -> int:
        """Sample rate."""
        ...

    @property
    def seconds(self) -> float:
        """Duration."""
        ...

    def write(self, out: Path, *, videos: bool) -> Any:
        """Writes the files of the command."""
        ...

    def sound_at(self, x: float, y: float) -> np.ndarray:
        """Returns the sound (channels, samples) of a place."""
        ...

    def share_at(self, x: float, y: float) -> np.ndarray:
        """Returns the fraction (windows,) of the mixture that a place has."""
        ...

    def steps(self, window: int) -> Iterable[Any]:
        """Returns what the steps of the recursion took."""
        ...

    def save(self, folder: Path) -> Any:
        """Writes the folder that `load` reads."""
        ...

    def close(self) -> None:
        """Removes temporary files."""
        ...


@runtime_checkable
class SeparatorLike(Protocol):
    """See `mpnet_jax.Separator`."""

    def separate_file(self, path: Path, *, sounds: int | None) -> SeparationLike:
        """Separates a video."""
        ...


@runtime_checkable
class Library(Protocol):
    """The networks."""

    def separator(self, progress: Callable[[float], Any]) -> SeparatorLike:
        """Loads the networks; `progress` gets the fraction of each separation, and its exceptions end it."""
        ...

    def load(self, folder: Path) -> SeparationLike:
        """Reads a saved separation."""
        ...
