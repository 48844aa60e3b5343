"""Reads the JSON and CSV files in which a user lists the expected videos."""

import csv
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data_pipeline.command import InputError
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


def read_text(path: Path) -> str:
    """Reads a UTF-8 text file with or without a byte order mark.

    Raises:
        InputError: The file cannot be read or is not text.
    """
    try:
        if path.exists() and not path.is_file():
            raise InputError(f"{path} is not a file; give one that can be read")
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); give a file that is there") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no text in UTF-8 (byte {error.start}); save it as UTF-8") from None


def read_json(path: Path) -> Any:
    """Reads a JSON file.

    Raises:
        InputError: The file cannot be read or is not JSON, or an object contains a key twice, of which the first would
            be lost silently.
    """
    text = read_text(path)
    try:
        return json.loads(text, object_pairs_hook=_without_repetition)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is no JSON file that can be used ({error}); fix it or give another") from None


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
    path = Path(os.path.normpath(text))
    if path.is_absolute():
        return path, False
    if path.parts[:1] == ("..",):
        raise InputError(
            f"{where} names {text!r}, which leaves --videos={safe_name(str(folder))}; give a folder above it, or write "
            "the absolute path"
        )
    return folder / path, True


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key!r} comes twice")
        found[key] = value
    return found
