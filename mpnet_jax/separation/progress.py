"""Callbacks that receive the fraction of a job that is done."""

from collections.abc import Callable

Progress = Callable[[float], object]


def no_progress(_: float) -> None:
    """Ignores the fraction."""


def part_of(progress: Progress, begin: float, end: float) -> Progress:
    """Returns the callback of a part of a job.

    Args:
        progress: The callback of the job.
        begin: Fraction of the job before the part.
        end: Fraction of the job after the part.
    """
    return lambda fraction: progress(begin + (end - begin) * fraction)
