"""Reads the rows of the CSV files in which a user lists the expected videos, and the paths in them."""

import csv
import io
import os
from collections.abc import Iterator
from pathlib import Path

from data_pipeline.command import InputError
from data_pipeline.foreign_text import as_path, read_text
from data_pipeline.sources import Place
from data_pipeline.sources.files import safe_name


def require_lists(place: Place, form: str) -> tuple[Path, ...]:
    """Returns the lists of a place; `form` describes their contents for the message.

    Raises:
        InputError: There is none.
    """
    if not place.lists:
        raise InputError(f"this source needs --list=FILE, {form}")
    return place.lists


def csv_rows(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Reads the rows of a CSV file that are not empty.

    Yields:
        ("file:line", cells without surrounding spaces).

    Raises:
        InputError: The file cannot be read or is not CSV.
    """
    reader = csv.reader(io.StringIO(read_text(path)), strict=True)
    try:
        for cells in reader:
            cells = [cell.strip() for cell in cells]
            if any(cells):
                yield f"{path}:{reader.line_num}", cells
    except csv.Error as error:
        raise InputError(f"{path}:{reader.line_num} is no CSV ({error}); fix that line") from None


def listed_path(text: str, folder: Path, where: str) -> tuple[Path, bool]:
    """Resolves a path that is written in a list.

    Args:
        text: Path relative to the folder, or absolute.
        folder: Root folder of the videos.
        where: The row, for messages.

    Returns:
        (the path, whether it must stay in the folder after links are followed). An absolute path is used as the user
        wrote it; a relative one must lie below the root.

    Raises:
        InputError: A relative path leaves the folder.
    """
    path = Path(os.path.normpath(as_path(text)))
    if path.is_absolute():
        return path, False
    if path.parts[:1] == ("..",):
        raise InputError(
            f"{where} names {text!r}, which leaves --videos={safe_name(str(folder))}; give a folder above it, or write "
            "the absolute path"
        )
    return folder / path, True
