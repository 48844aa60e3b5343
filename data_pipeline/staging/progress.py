"""Progress bars for terminals and logs."""

import sys
from typing import Any

from tqdm import tqdm

_LOG_SECONDS = 10


def progress_bar(total: int, *, doing: str = "decoding", unit: str = "video") -> "tqdm[Any]":
    """Returns a progress bar; when stderr is no terminal, it writes a line every ten seconds instead."""
    options: dict[str, Any] = {"total": total, "unit": unit, "desc": doing, "disable": not total}
    if not sys.stderr.isatty():
        line = "{desc}: {n_fmt} of {total_fmt} " + unit + "s, {elapsed} gone, {remaining} to go"
        options |= {"mininterval": _LOG_SECONDS, "file": _Lines(), "bar_format": line}
    return tqdm(**options)


class _Lines:
    """A file for a progress bar in a log, which writes each state on a line of its own."""

    def write(self, text: str) -> None:
        if text.strip():
            sys.stderr.write(text.strip() + "\n")

    def flush(self) -> None:
        sys.stderr.flush()
