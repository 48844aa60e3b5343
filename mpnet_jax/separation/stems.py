"""Writes the separated sounds and the residual to sound files as they are computed."""

import contextlib
import os
import struct
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from jaxtyping import Float

from data_pipeline.command import InputError
from mpnet_jax.separation.synthesis import Piece

FORMATS = {"wav": "FLOAT", "flac": "PCM_24"}
_BLOCK = 1 << 16
_MOST_FLAC_CHANNELS = 8
RESIDUAL = 0  # The residual's number; sounds count from 1.
_MOST_BYTES = 2**32 - 1  # The largest size that the 32-bit fields of a WAV header can hold.
_RIFF_BYTES, _CHUNK_BYTES = 12, 8  # Lengths of a RIFF header and of a chunk header.


class Stems:
    """Temporary RF64 files of 32-bit floats, one for each sound and one for the residual.

    The residual is the recording minus the sounds, sample by sample, so all files together sum to the recording. A
    sound that is found late starts with silence.

    Args:
        folder: Folder of the files.
        rate_hz: Sample rate of the recording.
        channels: Number of channels of the recording.
        layout: FFmpeg's names of the channels, such as ("FL", "FR"); () if they are unknown.

    Attributes:
        layout: See above.
        samples: Number of samples written so far.
    """

    def __init__(self, folder: Path, *, rate_hz: int, channels: int, layout: tuple[str, ...] = ()) -> None:
        self._folder, self._rate_hz, self._channels = folder, rate_hz, channels
        self._files: dict[int, soundfile.SoundFile] = {}
        self.layout = layout
        self.samples = 0
        self._squares: dict[int, float] = {}
        self._sums: dict[int, np.ndarray] = {}  # by number: float64 (channels,)

    @property
    def energy(self) -> dict[int, float]:
        """Sum of squares by number, without the constant offset of each channel."""
        constant = {number: float(np.square(sums).sum()) / max(self.samples, 1) for number, sums in self._sums.items()}
        return {number: max(squares - constant[number], 0.0) for number, squares in self._squares.items()}

    def path(self, number: int) -> Path:
        """Returns the temporary file of a number."""
        return self._folder / f"{number}.wav"

    def write(self, piece: Piece) -> None:
        """Appends a piece to all files."""
        residual = piece.recorded.copy()
        for sound in piece.sounds.values():
            residual -= sound
        with sound_errors(self._folder):
            for number in self._files.keys() | piece.sounds.keys() | {RESIDUAL}:
                file = self._file(number)
                sound = residual if number == RESIDUAL else piece.sounds.get(number)
                self._put(file, number, np.zeros_like(residual) if sound is None else sound)
        self.samples += residual.shape[1]

    def close(self) -> None:
        """Closes the files."""
        with sound_errors(self._folder):
            for file in self._files.values():
                file.close()

    def into_residual(self, numbers: Collection[int]) -> None:
        """Adds sounds to the residual and deletes their files, after `close`; the sum of all files does not change."""
        if not numbers:
            return
        target = self._folder / "residual.wav"
        with sound_errors(self._folder), self._new(target) as out:
            self._squares[RESIDUAL], self._sums[RESIDUAL] = 0.0, np.zeros(self._channels)
            for blocks in self.blocks([RESIDUAL, *numbers]):
                self._put(out, RESIDUAL, sum(blocks[1:], blocks[0]).T)
        target.replace(self.path(RESIDUAL))
        for number in numbers:
            self.path(number).unlink()
            del self._squares[number], self._sums[number]

    def blocks(
        self, numbers: Collection[int], size: int = _BLOCK
    ) -> Iterator[list[Float[np.ndarray, "samples channels"]]]:
        """Yields blocks of several files together, after `close`."""
        with contextlib.ExitStack() as stack:
            files = [stack.enter_context(soundfile.SoundFile(_name(self.path(number)))) for number in numbers]
            while len((blocks := [file.read(size, dtype="float32", always_2d=True) for file in files])[0]):
                yield blocks

    def finish(self, names: Mapping[int, str], target: Path, *, kind: str) -> dict[str, Any]:
        """Writes the final files in their final format and removes the temporary ones.

        Args:
            names: File names without suffix, by number.
            target: Folder of the final files.
            kind: One of `FORMATS`.

        Returns:
            JSON-ready `format`, `subtype` and `gain`. All files have this gain; it is below 1 if one of them would
            otherwise clip.
        """
        if kind == "wav":
            narrow = [rf64_to_wav(self.path(number)) for number in names]
            for number, name in names.items():
                self.path(number).replace(target / f"{name}.wav")
            return {"format": "WAV" if all(narrow) else "RF64", "subtype": FORMATS[kind], "gain": 1.0}
        peak = max(float(np.abs(block).max()) for number in names for (block,) in self.blocks([number]))
        gain = min(1.0, (1.0 - 2.0**-20) / max(peak, 1e-9))
        for number, name in names.items():
            with sound_errors(target), self._new(target / f"{name}.flac", "FLAC", FORMATS[kind]) as out:
                for (block,) in self.blocks([number]):
                    out.write(np.float32(gain) * block)
            self.path(number).unlink()
        return {"format": "FLAC", "subtype": FORMATS[kind], "gain": gain}

    def _file(self, number: int) -> soundfile.SoundFile:
        if number not in self._files:
            file = self._files[number] = self._new(self.path(number))
            self._squares[number], self._sums[number] = 0.0, np.zeros(self._channels)
            for begin in range(0, self.samples, _BLOCK):
                file.write(np.zeros((min(_BLOCK, self.samples - begin), self._channels), np.float32))
        return self._files[number]

    def _put(self, file: soundfile.SoundFile, number: int, sound: Float[np.ndarray, "channels samples"]) -> None:
        file.write(sound.T)
        self._squares[number] += float(np.sum(np.square(sound), dtype=np.float64))
        self._sums[number] += sound.sum(axis=1, dtype=np.float64)

    def _new(self, path: Path, kind: str = "RF64", subtype: str = "FLOAT") -> soundfile.SoundFile:
        return soundfile.SoundFile(_name(path), "w", self._rate_hz, self._channels, subtype=subtype, format=kind)


def _name(path: Path) -> Any:
    """Returns a path as bytes, because soundfile cannot encode one with characters that the locale lacks."""
    return os.fsencode(path)


def refuse_channels(kind: str, channels: int) -> None:
    """Raises InputError if a format does not support so many channels."""
    if kind == "flac" and channels > _MOST_FLAC_CHANNELS:
        raise InputError(
            f"--format=flac has at most {_MOST_FLAC_CHANNELS} channels and the sound {channels}; take --format=wav"
        )


@contextlib.contextmanager
def sound_errors(folder: Path) -> Iterator[None]:
    """Converts the sound library's errors into InputError.

    Raises:
        InputError: The disk is full, or the format does not support this sound.
    """
    try:
        yield
    except soundfile.LibsndfileError as error:
        raise InputError(
            f"cannot write sound into {folder}: {error.error_string} Free space or choose another folder or --format"
        ) from None


def rf64_to_wav(path: Path) -> bool:
    """Converts an RF64 file into a WAV file, which more players support, by editing its headers.

    The chunk of 64-bit sizes becomes padding.

    Args:
        path: A complete file of libsndfile, whose last chunk holds the samples.

    Returns:
        Whether it was converted; a file over 4 GB stays RF64.
    """
    size = path.stat().st_size
    if size > _MOST_BYTES:
        return False
    with path.open("r+b") as file:
        kind, _, wave = struct.unpack("<4sI4s", file.read(_RIFF_BYTES))
        assert (kind, wave) == (b"RF64", b"WAVE"), path
        place = _RIFF_BYTES
        while (chunk := struct.unpack("<4sI", file.read(_CHUNK_BYTES)))[0] != b"data":
            if chunk[0] == b"ds64":
                file.seek(place)
                file.write(b"JUNK")
            place += _CHUNK_BYTES + chunk[1] + chunk[1] % 2
            file.seek(place)
        file.seek(place + 4)
        file.write(struct.pack("<I", size - place - _CHUNK_BYTES))
        file.seek(0)
        file.write(struct.pack("<4sI", b"RIFF", size - _CHUNK_BYTES))
    return True
