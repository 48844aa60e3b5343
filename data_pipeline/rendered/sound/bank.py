"""Takes one program out of a SoundFont file, as a small SoundFont 2 file with uncompressed samples.

A renderer reads a whole file for every solo, so a small one saves time and memory. Samples of SoundFont 3 files, which
are Ogg Vorbis streams, are decoded.
"""

import dataclasses
import functools
import io
import pathlib
import struct

import numpy as np
import soundfile

from data_pipeline.command import InputError

_PERCUSSION_BANK = 128
_INSTRUMENT_GENERATOR = 41
_SAMPLE_GENERATOR = 53
_EFFECT_GENERATORS = (15, 16)  # chorus and reverberation
_STEREO_LINK_TYPES = 0x8000 | 8 | 4 | 2  # ROM, linked, left, right
_VORBIS = 0x10
# Zeros after each sample, as the format asks for.
_GUARD_FRAMES = 46

_PRESET = np.dtype(
    [("name", "S20"), ("program", "<u2"), ("bank", "<u2"), ("bag", "<u2"), ("unused", "<u4", 3)],
)
_BAG = np.dtype([("generator", "<u2"), ("modulator", "<u2")])
_GENERATOR = np.dtype([("operator", "<u2"), ("amount", "<u2")])
_MODULATOR = np.dtype([("fields", "<u2", 5)])
_INSTRUMENT = np.dtype([("name", "S20"), ("bag", "<u2")])
_SAMPLE = np.dtype(
    [
        ("name", "S20"),
        ("start", "<u4"),
        ("end", "<u4"),
        ("loop_start", "<u4"),
        ("loop_end", "<u4"),
        ("rate_hz", "<u4"),
        ("pitch", "u1"),
        ("correction", "i1"),
        ("link", "<u2"),
        ("type", "<u2"),
    ]
)
_TABLES = {
    b"phdr": _PRESET,
    b"pbag": _BAG,
    b"pmod": _MODULATOR,
    b"pgen": _GENERATOR,
    b"inst": _INSTRUMENT,
    b"ibag": _BAG,
    b"imod": _MODULATOR,
    b"igen": _GENERATOR,
    b"shdr": _SAMPLE,
}


@dataclasses.dataclass(frozen=True)
class Bank:
    """Tables and sample data of a SoundFont file.

    Attributes:
        tables: Records of `pdta` by the four letters of their chunk; each table ends with a terminal record.
        samples: Bytes of the chunk `smpl`.
        version: Chunk `ifil`.
    """

    tables: dict[bytes, np.ndarray]
    samples: np.ndarray
    version: bytes

    def find_preset(self, program: int) -> int | None:
        """Returns the index of a program's melodic preset in its lowest bank, or None if there is none."""
        presets = self.tables[b"phdr"][:-1]
        found = np.flatnonzero((presets["program"] == program) & (presets["bank"] < _PERCUSSION_BANK))
        return int(found[np.argmin(presets["bank"][found])]) if found.size else None


@functools.lru_cache(maxsize=16)
def read_bank(path: pathlib.Path) -> Bank:
    """Reads the tables of a SoundFont file and maps its samples into memory; cached per process.

    Raises:
        InputError: The file is damaged.
    """
    content = np.memmap(path, dtype=np.uint8, mode="r")
    chunks: dict[bytes, np.ndarray] = {}
    try:
        _collect_chunks(content, 12, content.size, chunks)
        tables = {
            key: np.frombuffer(chunks[key].tobytes(), dtype=dtype, count=chunks[key].size // dtype.itemsize)
            for key, dtype in _TABLES.items()
        }
        return Bank(tables, chunks[b"smpl"], chunks.get(b"ifil", np.array([2, 0, 1, 0], np.uint8)).tobytes()[:4])
    except (KeyError, ValueError, struct.error) as error:
        raise InputError(f"soundfont {path} cannot be played: {error!r}; use another file") from error


def _collect_chunks(content: np.ndarray, place: int, end: int, chunks: dict[bytes, np.ndarray]) -> None:
    while place + 8 <= end:
        key, size = struct.unpack("<4sI", content[place : place + 8].tobytes())
        if place + 8 + size > end:
            raise ValueError(f"chunk {key!r} of {size} bytes ends after the file")
        if key == b"LIST":
            _collect_chunks(content, place + 12, place + 8 + size, chunks)
        else:
            chunks[key] = content[place + 8 : place + 8 + size]
        place += 8 + size + size % 2


@functools.lru_cache(maxsize=64)
def extract_program(path: pathlib.Path, program: int, *, dry: bool = False) -> bytes | None:
    """Returns a SoundFont 2 file with a single preset in bank 0; cached per process.

    Args:
        path: A SoundFont file, 2 or 3.
        program: General MIDI program, counted from 0.
        dry: Whether to remove the reverberation and the chorus that the font asks for.

    Returns:
        The content of the small file, or None when the font has no such program.

    Raises:
        InputError: The file is damaged.
    """
    bank = read_bank(path)
    preset = bank.find_preset(program)
    if preset is None:
        return None
    try:
        return _extract(bank, preset, dry=dry)
    except (IndexError, ValueError, soundfile.LibsndfileError) as error:
        raise InputError(f"soundfont {path} cannot be played: {error}; use another file") from error


def _extract(bank: Bank, preset: int, *, dry: bool) -> bytes:
    tables = bank.tables
    used_instruments = _used(tables, b"p", preset, preset + 1, _INSTRUMENT_GENERATOR)
    zones = [_used(tables, b"i", k, k + 1, _SAMPLE_GENERATOR) for k in used_instruments]
    used_samples = sorted({sample for zone in zones for sample in zone})
    presets = _owners(tables, b"phdr", b"p", [preset], _INSTRUMENT_GENERATOR, used_instruments)
    presets[b"phdr"]["bank"][0] = 0
    instruments = _owners(tables, b"inst", b"i", used_instruments, _SAMPLE_GENERATOR, used_samples)
    headers, data = _copy_samples(bank, used_samples)
    made = presets | instruments | {b"shdr": headers}
    if dry:
        for key in (b"pgen", b"igen"):
            made[key]["amount"][np.isin(made[key]["operator"], _EFFECT_GENERATORS)] = 0
    return _riff(
        b"sfbk",
        _chunk(b"LIST", b"INFO" + _chunk(b"ifil", bank.version) + _chunk(b"INAM", b"extract\0"))
        + _chunk(b"LIST", b"sdta" + _chunk(b"smpl", data.tobytes()))
        + _chunk(b"LIST", b"pdta" + b"".join(_chunk(key, made[key].tobytes()) for key in _TABLES)),
    )


def _bags(tables: dict[bytes, np.ndarray], kind: bytes, first: int, last: int) -> tuple[int, int]:
    owners = tables[b"phdr" if kind == b"p" else b"inst"]["bag"]
    return int(owners[first]), int(owners[last])


def _used(tables: dict[bytes, np.ndarray], kind: bytes, first: int, last: int, operator: int) -> list[int]:
    """Returns the sorted indices that a preset or an instrument refers to with a generator."""
    bags = tables[kind + b"bag"]
    low, high = (int(bags["generator"][bag]) for bag in _bags(tables, kind, first, last))
    generators = tables[kind + b"gen"][low:high]
    return sorted({int(amount) for amount in generators["amount"][generators["operator"] == operator]})


def _owners(
    tables: dict[bytes, np.ndarray], table: bytes, kind: bytes, kept: list[int], operator: int, targets: list[int]
) -> dict[bytes, np.ndarray]:
    """Returns the tables of some presets or instruments; references are renumbered to places in `targets`."""
    owners, bags, generators, modulators = [], [], [], []
    counts = {"generator": 0, "modulator": 0, "bag": 0}
    for k in kept:
        owner = tables[table][k : k + 1].copy()
        owner["bag"] = counts["bag"]
        owners.append(owner)
        for bag in range(*_bags(tables, kind, k, k + 1)):
            both = tables[kind + b"bag"][bag : bag + 2]
            bags.append((counts["generator"], counts["modulator"]))
            part = tables[kind + b"gen"][int(both["generator"][0]) : int(both["generator"][1])].copy()
            for place in np.flatnonzero(part["operator"] == operator):
                part["amount"][place] = targets.index(int(part["amount"][place]))
            generators.append(part)
            modulators.append(tables[kind + b"mod"][int(both["modulator"][0]) : int(both["modulator"][1])])
            counts["bag"] += 1
            counts["generator"] += part.size
            counts["modulator"] += modulators[-1].size
    terminal = tables[table][-1:].copy()
    terminal["bag"] = counts["bag"]
    bags.append((counts["generator"], counts["modulator"]))
    return {
        table: np.concatenate([*owners, terminal]),
        kind + b"bag": np.array(bags, dtype=_BAG),
        kind + b"gen": np.concatenate([*generators, np.zeros(1, _GENERATOR)]),
        kind + b"mod": np.concatenate([*modulators, np.zeros(1, _MODULATOR)]),
    }


def _copy_samples(bank: Bank, used: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the sample headers with a terminal record, and the int16 samples they point to."""
    headers = np.append(bank.tables[b"shdr"][used], bank.tables[b"shdr"][-1:])
    parts, place = [], 0
    for header in headers[:-1]:
        start, end = int(header["start"]), int(header["end"])
        if header["type"] & _VORBIS:
            frames = _decode(bank.samples[start:end].tobytes())
            loop = int(header["loop_start"]), int(header["loop_end"])  # relative to the sample in SoundFont 3
            header["type"] &= ~_VORBIS & 0xFFFF
        else:
            frames = bank.samples[2 * start : 2 * end].view("<i2")
            loop = int(header["loop_start"]) - start, int(header["loop_end"]) - start
        header["start"], header["end"] = place, place + frames.size
        header["loop_start"], header["loop_end"] = (place + max(edge, 0) for edge in loop)
        # A link would point to a sample that may not have been copied; the zones name every channel themselves.
        header["link"] = 0
        if header["type"] & _STEREO_LINK_TYPES:
            header["type"] = 1
        parts += [frames, np.zeros(_GUARD_FRAMES, "<i2")]
        place += frames.size + _GUARD_FRAMES
    return headers, np.concatenate(parts)


def _decode(content: bytes) -> np.ndarray:
    frames, _ = soundfile.read(io.BytesIO(content), dtype="int16", always_2d=True)
    return np.ascontiguousarray(frames[:, 0])


def _chunk(key: bytes, content: bytes) -> bytes:
    return key + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def _riff(kind: bytes, content: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", len(content) + 4) + kind + content
