"""Joins the masks of overlapping windows by cross-fading."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

Shares = Float[np.ndarray, "freq time"]
Done = Float[np.ndarray, "freq done"]


def rising(columns: int) -> Float[np.ndarray, " columns"]:
    """Returns fade-in weights from nearly 0 to nearly 1; the fade-out weights are 1 minus these."""
    return (np.sin(0.5 * np.pi * (np.arange(columns) + 0.5) / columns) ** 2).astype(np.float32)


class CrossFade:
    """Joins the masks of each sound from window to window.

    The first half of a window fades in while the second half of the previous window fades out. A sound that is missing
    in a window has a mask of zeros there, so it fades as well. The start of the first window and the end of the last
    one do not fade.

    Args:
        columns: Columns of half a window.
    """

    def __init__(self, columns: int) -> None:
        self._columns, self._rising = columns, rising(columns)
        self._previous: dict[int, Shares] | None = None  # The second halves of the previous window's masks.

    def join(self, shares: Mapping[int, Shares], *, last: bool) -> dict[int, Done]:
        """Adds a window and returns the masks that are complete.

        Args:
            shares: Masks by the sound's number; a missing sound needs none.
            last: Whether this is the last window.

        Returns:
            Completed columns by number: half a window, or a complete window at the end.
        """
        first = {number: share[:, : self._columns] for number, share in shares.items()}
        second = {number: share[:, self._columns :] for number, share in shares.items()}
        done = first
        if self._previous is not None:
            done = {number: self._rising * share for number, share in first.items()}
            for number, share in self._previous.items():
                fading = (1.0 - self._rising) * share
                done[number] = done[number] + fading if number in done else fading
        self._previous = second
        if not last:
            return done
        return {
            number: np.concatenate([half.get(number, np.zeros_like(share)) for half in (done, second)], axis=1)
            for number, share in (done | second).items()
        }
