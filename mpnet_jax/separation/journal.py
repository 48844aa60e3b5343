"""Stores the sounds of each window on disk, so that memory does not grow with the length of the video."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from mpnet_jax.separation.network import WindowSounds

_LINES, _MAPS = "windows.jsonl", "maps.f16"


class Journal:
    """Two temporary files: a JSON line for each window, and the energy maps in float16 (window, number, rows, columns).

    Args:
        folder: Folder of the files.
        most: Maximum number of sounds.
    """

    def __init__(self, folder: Path, most: int) -> None:
        self._most, self._shape, self._count = most, (0, 0), 0
        self._lines_file = (folder / _LINES).open("w", encoding="utf-8")
        self._maps_file = (folder / _MAPS).open("wb")

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the energy maps: window, number, rows, columns."""
        return (self._count, self._most, *self._shape)

    def add(self, window: WindowSounds, numbers: Mapping[int, int], *, start_s: float, end_s: float) -> dict[str, Any]:
        """Adds the next window.

        Args:
            window: The sounds of the window.
            numbers: Steps by the numbers of their sounds.
            start_s: Start of the window in seconds.
            end_s: End of the window in seconds.

        Returns:
            JSON-ready: `start_s`, `end_s` and `sounds`, each with `number`, `step` (of the recursion, from 0), `place`
            (from the top and from the left, in fractions of the frame) and `energy` (its fraction of the mixture's mean
            magnitude).
        """
        self._shape = window.energy.shape[1:]
        maps = np.zeros((self._most, *self._shape), np.float16)
        sounds = []
        for number, step in sorted(numbers.items()):
            energy = window.energy[step] - window.energy[step].min()
            maps[number - 1] = energy / max(float(energy.max()), 1e-12)
            down, right = window.place[step].tolist()
            magnitude = float(
                (window.share[step] * window.magnitude).mean() / max(float(window.magnitude.mean()), 1e-12)
            )
            sounds.append(
                {
                    "number": number,
                    "step": int(step),
                    "place": [round(down, 4), round(right, 4)],
                    "energy": round(magnitude, 5),
                }
            )
        line = {"start_s": round(start_s, 3), "end_s": round(end_s, 3), "sounds": sounds}
        self._lines_file.write(json.dumps(line) + "\n")
        self._maps_file.write(maps.tobytes())
        self._count += 1
        return line

    def close(self) -> None:
        """Closes the files."""
        with self._maps_file, self._lines_file:
            pass


def read_windows(folder: Path, numbers: Mapping[int, int]) -> Iterator[dict[str, Any]]:
    """Yields the windows, as `Journal.add` returns them, with renumbered sounds.

    Args:
        folder: Folder of the files.
        numbers: New numbers by old numbers; other sounds are left out.
    """
    with (folder / _LINES).open(encoding="utf-8") as lines:
        for text in lines:
            line = json.loads(text)
            line["sounds"] = sorted(
                (
                    sound | {"number": numbers[sound["number"]]}
                    for sound in line["sounds"]
                    if sound["number"] in numbers
                ),
                key=lambda sound: sound["number"],
            )
            yield line


def read_maps(
    folder: Path, shape: Sequence[int], numbers: Sequence[int]
) -> Float[np.ndarray, "window number rows columns"]:
    """Returns the energy maps, scaled to minimum 0 and maximum 1; zero where a sound is missing in a window.

    Args:
        folder: Folder of the files.
        shape: Shape of all maps; see `Journal.shape`.
        numbers: Old numbers of the returned sounds, in the order of their new ones.
    """
    indices = [number - 1 for number in numbers]
    if not all(shape):
        return np.zeros((shape[0], len(indices), *shape[2:]), np.float16)
    return np.memmap(folder / _MAPS, np.float16, mode="r", shape=tuple(shape))[:, indices]
