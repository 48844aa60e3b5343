"""Masks of overlapping windows, joined into one that has no seams."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

Shares = Float[np.ndarray, "freq time"]
Done = Float[np.ndarray, "freq done"]


def rising(columns: int) -> Float[np.ndarray, " columns"]:
    """Weights from nearly 0 to nearly 1; with those of the falling window, 1 minus these, they sum to one."""
    return (np.sin(0.5 * np.pi * (np.arange(columns) + 0.5) / columns) ** 2).astype(np.float32)


class CrossFade:
    """Joins the masks of each sound from window to window.

    A window's first half fades in while the second half of the one before fades out. Where a sound was not found its
    mask is zero, so that it fades too. Nothing fades at the very start and the very end, where no other window lies.

    Args:
        columns: of half a window.
    """

    def __init__(self, columns: int) -> None:
        self._columns, self._rising = columns, rising(columns)
        self._previous: dict[int, Shares] | None = None  # the second halves of the window before

    def join(self, shares: Mapping[int, Shares], *, last: bool) -> dict[int, Done]:
        """Adds a window.

        Args:
            shares: of the mixture, by the sound's number; those that were not found may be missing.
            last: whether no window follows.

        Returns:
            By number, the columns that are done: half a window, or a whole one at the end.
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
