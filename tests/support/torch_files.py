"""Assembles PyTorch files, also damaged and malicious ones, from pickle operations."""

import io
import struct
import zipfile
from collections.abc import Mapping

import numpy as np

NONE, FALSE = b"N", b"\x89"
MAGIC = 0x1950A86A20F9469CFC6C


def text(value: str) -> bytes:
    encoded = value.encode()
    return b"X" + struct.pack("<I", len(encoded)) + encoded


def number(value: int) -> bytes:
    encoded = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(encoded)]) + encoded


def sequence(*values: bytes) -> bytes:
    """A tuple."""
    return b"(" + b"".join(values) + b"t"


def listed(*values: bytes) -> bytes:
    return b"](" + b"".join(values) + b"e"


def name(module: str, attribute: str) -> bytes:
    return f"c{module}\n{attribute}\n".encode()


def call(function: bytes, *arguments: bytes) -> bytes:
    return function + sequence(*arguments) + b"R"


def mapping(entries: Mapping[str, bytes]) -> bytes:
    items = b"".join(text(key) + value for key, value in entries.items())
    return call(name("collections", "OrderedDict")) + b"(" + items + b"u"


def storage(key: str, elements: int, kind: str = "FloatStorage", *extra: bytes) -> bytes:
    entries = (text("storage"), name("torch", kind), text(key), text("cpu"), number(elements), *extra)
    return sequence(*entries) + b"Q"


def tensor(stored: bytes, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> bytes:
    function = name("torch._utils", "_rebuild_tensor_v2")
    places = (number(offset), sequence(*map(number, shape)), sequence(*map(number, strides)))
    return call(function, stored, *places, FALSE, mapping({}))


def pickled(value: bytes) -> bytes:
    return b"\x80\x02" + value + b"."


def legacy_file(contents: bytes, storages: Mapping[str, np.ndarray]) -> bytes:
    """Returns a file in the format before PyTorch 1.6."""
    system = b"}(" + text("little_endian") + b"\x88u"
    parts = [number(MAGIC), number(1001), system, contents, listed(*map(text, storages))]
    data = [struct.pack("<q", values.size) + values.tobytes() for values in storages.values()]
    return b"".join([*map(pickled, parts), *data])


def zip_file(contents: bytes, storages: Mapping[str, np.ndarray], *, compression: int = zipfile.ZIP_STORED) -> bytes:
    """Returns a file in the format of PyTorch 1.6 and later."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        archive.writestr("net/data.pkl", pickled(contents))
        archive.writestr("net/byteorder", "little")
        for key, values in storages.items():
            archive.writestr(f"net/data/{key}", values.tobytes())
        archive.writestr("net/version", "3\n")
    return file.getvalue()
