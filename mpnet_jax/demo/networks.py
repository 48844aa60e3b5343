"""The library `mpnet_jax` as the demo uses it; JAX is imported when the first video is separated."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mpnet_jax.demo.library import SeparationLike, SeparatorLike


class Networks:
    """Loads networks and saved separations; see `library.Library`.

    Args:
        workdir: Folder of a trained run; None for the small model of the package.
    """

    def __init__(self, workdir: Path | None = None) -> None:
        self._workdir = workdir

    def separator(self, progress: Callable[[float], Any]) -> SeparatorLike:
        """Loads the networks.

        Raises:
            InputError: There is no such run.
        """
        from mpnet_jax.separation.separator import Separator

        return Separator(self._workdir, progress=progress)

    def load(self, folder: Path) -> SeparationLike:
        """Reads a saved separation."""
        from mpnet_jax.separation.separation import Separation

        return Separation.load(folder)
