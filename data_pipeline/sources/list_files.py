"""Reads the JSON and CSV files by which a user says what should be there."""

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
    """The lists of a place; `form` says what they hold.

    Raises:
        InputError: there is none.
    """
    if not place.lists:
        raise InputError(f"this source needs --list=FILE, {form}")
    return place.lists


def read_text(path: Path) -> str:
    """Text of a file in UTF-8, with or without a byte order mark.

    Raises:
        InputError: it cannot be read, or is no text.
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
    """Content of a JSON file.

    Raises:
        InputError: it cannot be read, is no JSON, or an object in it has one key twice, of which the first would be
            lost without a word.
    """
    text = read_text(path)
    try:
        return json.loads(text, object_pairs_hook=_without_repetition)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is no JSON file that can be used ({error}); mend it or give another") from None


def csv_rows(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Rows of a CSV file without the empty ones.

    Yields:
        ("file:line", cells without the spaces around them).

    Raises:
        InputError: it cannot be read, or is no CSV.
    """
    reader = csv.reader(io.StringIO(read_text(path)), strict=True)
    try:
        for cells in reader:
            cells = [cell.strip() for cell in cells]
            if any(cells):
                yield f"{path}:{reader.line_num}", cells
    except csv.Error as error:
        raise InputError(f"{path}:{reader.line_num} is no CSV ({error}); mend that line") from None


def listed_path(text: str, folder: Path, where: str) -> tuple[Path, bool]:
    """Where a path written in a list lies.

    Args:
        text: relative to the folder, or absolute.
        folder: root folder of the videos.
        where: the row, for messages.

    Returns:
        (the path, whether it must stay in the folder once links are followed). An absolute path is the user's own
        word for where the file is; a relative one means a file below the root.

    Raises:
        InputError: a relative path that climbs out of the folder.
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
