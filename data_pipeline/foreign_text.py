"""Reads text files that other people and other programs wrote: lists, tables, and notes beside videos.

This project writes UTF-8. Other programs also write a byte order mark, UTF-16, or a Windows code page.
"""

import codecs
import json
import os
from pathlib import Path
from typing import Any

from data_pipeline.command import InputError

_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",  # before UTF-16, whose mark is the first half of this one
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
# Which of the first four bytes are zero in text that begins with two Latin letters or signs.
_ZEROS_OF_UTF_16 = {(False, True, False, True): "utf-16-le", (True, False, True, False): "utf-16-be"}
# The superset of Latin-1 that Windows uses; the two differ only in control characters.
_ONE_BYTE = "cp1252"


def read_text(path: Path) -> str:
    """Reads a text file in UTF-8 or UTF-16, with or without a byte order mark, in UTF-32 with one, or in Latin-1.

    Returns:
        The text, with line feeds as line ends.

    Raises:
        InputError: The file cannot be read or is not text.
    """
    try:
        if path.exists() and not path.is_file():
            raise InputError(f"{path} is not a file; give one that can be read")
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); give a file that is there") from None
    try:
        return _decoded(content).replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeError:
        raise InputError(f"{path} is no text in a known encoding; save it as UTF-8") from None


def read_json(path: Path) -> Any:
    """Reads a JSON file.

    Raises:
        InputError: The file cannot be read, is empty or is not JSON, or an object contains a key twice, of which the
            first would be lost silently.
    """
    text = read_text(path)
    if not text.strip():
        raise InputError(f"{path} is empty, which is no JSON file that can be used; fix it or give another")
    try:
        return json.loads(text, object_pairs_hook=_without_repetition)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is no JSON file that can be used ({error}); fix it or give another") from None


def as_path(text: str) -> str:
    """Returns a file name that a text file contains in the form that the functions of `os` take.

    The bytes of a name on the disk are UTF-8 whatever the locale is.
    """
    return os.fsdecode(text.encode("utf-8", "surrogateescape"))


def as_text(path: str | os.PathLike[str]) -> str:
    """Returns a path as the text to write into a file, from which `as_path` makes the same path in every locale."""
    return os.fsencode(path).decode("utf-8", "surrogateescape")


def _decoded(content: bytes) -> str:
    """Decodes the bytes of a text file; raises UnicodeError for bytes that are not text."""
    for mark, encoding in _MARKS.items():
        if content.startswith(mark):
            return content[len(mark) :].decode(encoding)
    for zeros, encoding in _ZEROS_OF_UTF_16.items():
        if len(content) >= 4 and tuple(byte == 0 for byte in content[:4]) == zeros:
            return content.decode(encoding)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        text = content.decode(_ONE_BYTE)
        # This encoding has a character for nearly every byte, but text has no control characters. Where other
        # characters are valid UTF-8, the file is damaged UTF-8.
        control = not all(char.isprintable() or char.isspace() for char in text)
        if control or not content.decode("utf-8", "ignore").isascii():
            raise
        return text


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key!r} comes twice")
        found[key] = value
    return found
