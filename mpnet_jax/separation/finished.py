"""The folder of a finished separation: stems, windows, energy maps, feature maps and a summary."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from data_pipeline.command import InputError
from mpnet_jax.separation.journal import read_maps, read_windows
from mpnet_jax.separation.stems import RESIDUAL, stem_path

_STATE = "state.json"
_VERSION = 2


@dataclasses.dataclass(frozen=True)
class Finished:
    """Reads the folder of a finished separation.

    Attributes:
        folder: The folder.
        summary: JSON-ready summary, as in `separation.json` without its windows.
        facts: JSON-ready facts from which the other files are read: `windows` (their number), `rate_hz`, `channels`,
            `hop_s` (seconds from one window to the next), `maps` (shape of the energy maps), `numbers` (of the
            sounds in the windows' file, in the order of their final numbers), `audio`, `frequency_axis`, `features`
            (shapes of the stored feature maps; None if they were not kept), and `peaks` (of the stems in their order).
    """

    folder: Path
    summary: dict[str, Any]
    facts: dict[str, Any]

    @classmethod
    def read(cls, folder: Path) -> "Finished":
        """Reads a folder that `save` wrote.

        Raises:
            InputError: The folder holds no finished separation, or one of another version.
        """
        try:
            state = json.loads((folder / _STATE).read_text(encoding="utf-8"))
            version = state["version"]
        except (OSError, ValueError, KeyError, TypeError):
            raise InputError(f"{folder} holds no finished separation; separate the video again") from None
        if version != _VERSION:
            raise InputError(f"{folder} was written by another version of this package; separate the video again")
        return cls(folder, state["summary"], state["facts"])

    def save(self) -> None:
        """Writes summary and facts; the folder is complete afterwards."""
        state = {"version": _VERSION, "summary": self.summary, "facts": self.facts}
        (self.folder / _STATE).write_text(json.dumps(state), encoding="utf-8")

    @property
    def stems(self) -> dict[int, Path]:
        """The sound files by number, the residual last; they sum to the recording."""
        numbers = [sound["number"] for sound in self.summary["sounds"]]
        return {number: stem_path(self.folder, number) for number in (*numbers, RESIDUAL)}

    @property
    def peaks(self) -> dict[int, list[float]]:
        """The outline of each stem by number; see `peaks.Peaks`."""
        return dict(zip(self.stems, self.facts["peaks"], strict=True))

    def windows(self) -> Iterator[dict[str, Any]]:
        """Yields the JSON-ready windows; see `journal.read_windows`."""
        return read_windows(self.folder, {old: new for new, old in enumerate(self.facts["numbers"], start=1)})

    def maps(self) -> Float[np.ndarray, "window number rows columns"]:
        """Returns the energy maps of all sounds, the first sound first; see `journal.read_maps`."""
        return read_maps(self.folder, self.facts["maps"], self.facts["numbers"])
