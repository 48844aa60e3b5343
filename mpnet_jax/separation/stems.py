"""Writes the separated sounds and the residual to sound files as they are computed."""

import contextlib
import os
import struct
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from jaxtyping import Float

from data_pipeline.command import InputError
from mpnet_jax.separation.peaks import Peaks
from mpnet_jax.separation.synthesis import Piece

_BLOCK = 1 << 16
RESIDUAL = 0  # The residual's number; sounds count from 1.
_RECORDING = -1
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
        with_recording: Whether the recording is written as well.

    Attributes:
        samples: Number of samples written so far.
    """

    def __init__(self, folder: Path, *, rate_hz: int, channels: int, with_recording: bool = False) -> None:
        self._folder, self._rate_hz, self._channels = folder, rate_hz, channels
        self._files: dict[int, soundfile.SoundFile] = {}
        self._recording = self._new(self.path(_RECORDING)) if with_recording else None
        self.samples = 0
        self._squares: dict[int, float] = {}
        self._sums: dict[int, np.ndarray] = {}  # by number: float64 (channels,)
        self._peaks: dict[int, Peaks] = {}

    @property
    def energy(self) -> dict[int, float]:
        """Sum of squares by number, without the constant offset of each channel."""
        constant = {number: float(np.square(sums).sum()) / max(self.samples, 1) for number, sums in self._sums.items()}
        return {number: max(squares - constant[number], 0.0) for number, squares in self._squares.items()}

    def peaks(self, number: int) -> list[float]:
        """Returns the peaks of a number; see `Peaks`."""
        return self._peaks[number].values()

    def path(self, number: int) -> Path:
        """Returns the temporary file of a number."""
        return self._folder / f"found{number}.wav"

    def write(self, piece: Piece) -> None:
        """Appends a piece to all files."""
        residual = piece.recorded.copy()
        for sound in piece.sounds.values():
            residual -= sound
        with sound_errors(self._folder):
            if self._recording is not None:
                self._recording.write(piece.recorded.T)
            for number in self._files.keys() | piece.sounds.keys() | {RESIDUAL}:
                file = self._file(number)
                sound = residual if number == RESIDUAL else piece.sounds.get(number)
                self._put(file, number, np.zeros_like(residual) if sound is None else sound)
        self.samples += residual.shape[1]

    def close(self) -> None:
        """Closes the files."""
        with sound_errors(self._folder):
            for file in (*self._files.values(), *([self._recording] if self._recording else [])):
                file.close()

    def into_residual(self, numbers: Collection[int]) -> None:
        """Adds sounds to the residual and deletes their files, after `close`; the sum of all files does not change."""
        if not numbers:
            return
        target = self._folder / "sum.wav"
        with sound_errors(self._folder), self._new(target) as out:
            self._reset(RESIDUAL)
            for blocks in read_blocks([self.path(number) for number in (RESIDUAL, *numbers)]):
                self._put(out, RESIDUAL, sum(blocks[1:], blocks[0]).T)
        target.replace(self.path(RESIDUAL))
        for number in numbers:
            self.path(number).unlink()
            del self._squares[number], self._sums[number]

    def settle(self, numbers: Mapping[int, int]) -> bool:
        """Gives the files their final names, `stem_path`, and turns them into WAV files, after `close`.

        Args:
            numbers: New numbers by old numbers, without the residual.

        Returns:
            Whether all files are WAV files; those over 4 GB stay RF64.
        """
        paths = {self.path(RESIDUAL): stem_path(self._folder, RESIDUAL)}
        paths |= {self.path(old): stem_path(self._folder, new) for old, new in numbers.items()}
        if self._recording is not None:
            paths[self.path(_RECORDING)] = recording_path(self._folder)
        narrow = [rf64_to_wav(path) for path in paths]
        for old, new in paths.items():
            old.replace(new)
        return all(narrow)

    def _file(self, number: int) -> soundfile.SoundFile:
        if number not in self._files:
            file = self._files[number] = self._new(self.path(number))
            self._reset(number)
            for begin in range(0, self.samples, _BLOCK):
                self._put(file, number, np.zeros((self._channels, min(_BLOCK, self.samples - begin)), np.float32))
        return self._files[number]

    def _reset(self, number: int) -> None:
        self._squares[number], self._sums[number] = 0.0, np.zeros(self._channels)
        self._peaks[number] = Peaks()

    def _put(self, file: soundfile.SoundFile, number: int, sound: Float[np.ndarray, "channels samples"]) -> None:
        file.write(sound.T)
        self._squares[number] += float(np.sum(np.square(sound), dtype=np.float64))
        self._sums[number] += sound.sum(axis=1, dtype=np.float64)
        self._peaks[number].add(sound)

    def _new(self, path: Path) -> soundfile.SoundFile:
        name = sound_name(path)
        return soundfile.SoundFile(name, "w", self._rate_hz, self._channels, subtype="FLOAT", format="RF64")


def sound_name(path: Path) -> Any:
    """Returns a path as bytes, because soundfile cannot encode one with characters that the locale lacks."""
    return os.fsencode(path)


def stem_path(folder: Path, number: int) -> Path:
    """Returns the file of a sound, or of the residual, in the folder of a finished separation."""
    return folder / ("residual.wav" if number == RESIDUAL else f"sound{number}.wav")


def recording_path(folder: Path) -> Path:
    """Returns the file of the recording in the folder of a finished separation."""
    return folder / "recording.wav"


def read_stem(path: Path) -> Float[np.ndarray, "channels samples"]:
    """Returns the samples of a sound file, full scale 1.0."""
    return soundfile.read(sound_name(path), dtype="float32", always_2d=True)[0].T


def read_blocks(paths: Sequence[Path], size: int = _BLOCK) -> Iterator[list[Float[np.ndarray, "samples channels"]]]:
    """Yields blocks of several sound files of one length together."""
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(soundfile.SoundFile(sound_name(path))) for path in paths]
        while len((blocks := [file.read(size, dtype="float32", always_2d=True) for file in files])[0]):
            yield blocks


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
