"""How far a preparation is, and how long it will take."""

import sys
from typing import Any

from tqdm import tqdm

_LOG_SECONDS = 10


def progress_bar(total: int) -> "tqdm[Any]":
    """Progress over a number of videos: a bar on a terminal, elsewhere a line now and then."""
    if sys.stderr.isatty():
        return tqdm(total=total, unit="video", desc="decoding", disable=not total)
    return tqdm(
        total=total,
        unit="video",
        desc="decoding",
        disable=not total,
        mininterval=_LOG_SECONDS,
        file=_Lines(),
        bar_format="{desc}: {n_fmt} of {total_fmt} videos, {elapsed} gone, {remaining} to go",
    )


class _Lines:
    """Gives a progress bar lines of their own in a log, instead of one that is written over."""

    def write(self, text: str) -> None:
        if text.strip():
            sys.stderr.write(text.strip() + "\n")

    def flush(self) -> None:
        sys.stderr.flush()
