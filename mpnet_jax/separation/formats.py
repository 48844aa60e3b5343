"""Writes finished stems as WAV, FLAC, MP3, Ogg Vorbis or AAC files."""

import contextlib
import dataclasses
import shutil
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
import soundfile
import soxr
from av.error import FFmpegError
from jaxtyping import Float

from data_pipeline.command import InputError
from data_pipeline.media.video_writer import AAC_RATES_HZ
from mpnet_jax.separation.stems import read_blocks, rf64_to_wav, sound_errors, sound_name

_MP3_RATES_HZ = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
_VORBIS_SAMPLES = 4096
_SUBTYPES = {16: "PCM_16", 24: "PCM_24", 32: "FLOAT"}


class _Kind(NamedTuple):
    """A file format.

    Attributes:
        bits: Bit depths, the default first; empty for lossy formats.
        channels: Greatest number of channels.
        codec: Encoder of a lossy format, by FFmpeg's name.
        container: Container of a lossy format, by FFmpeg's name.
        bitrate_kbps: Default bit rate of a lossy format for up to two channels.
        rates_hz: Supported sample rates; empty if all are.
    """

    bits: tuple[int, ...] = ()
    channels: int = 1024
    codec: str = ""
    container: str = ""
    bitrate_kbps: int = 0
    rates_hz: tuple[int, ...] = ()


_KINDS = {
    "wav": _Kind(bits=(32, 24, 16)),
    "flac": _Kind(bits=(24, 16), channels=8),
    "mp3": _Kind(codec="libmp3lame", container="mp3", bitrate_kbps=256, channels=2, rates_hz=_MP3_RATES_HZ),
    "ogg": _Kind(codec="vorbis", container="ogg", bitrate_kbps=192, channels=8),
    "m4a": _Kind(codec="aac", container="ipod", bitrate_kbps=192, channels=8, rates_hz=AAC_RATES_HZ),
}
FORMATS = tuple(_KINDS)


@dataclasses.dataclass(frozen=True)
class FileFormat:
    """How sound files are written.

    Attributes:
        kind: One of `FORMATS`, which is also the suffix of the files.
        bits: Bit depth of "wav" (32, the default, are floats; 24 or 16) and "flac" (24, the default, or 16).
        bitrate_kbps: Bit rate of the lossy formats in kbit/s, from 32 to 512; 256 by default for "mp3" and 192 for
            "ogg" (where it is a mean) and "m4a".

    Raises:
        InputError: The format is unknown, or does not have this depth or bit rate.
    """

    kind: str = "wav"
    bits: int | None = None
    bitrate_kbps: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in _KINDS:
            raise InputError(f"format={self.kind!r} is unknown; use one of {', '.join(FORMATS)}")
        depths = _KINDS[self.kind].bits
        if self.bits is not None and self.bits not in depths:
            way = f"use one of {', '.join(map(str, depths))}" if depths else "it is lossy; give a bit rate instead"
            raise InputError(f"bits={self.bits} does not fit format={self.kind}; {way}")
        if self.bitrate_kbps is not None and depths:
            raise InputError(f"bitrate={self.bitrate_kbps} does not fit format={self.kind}, which is lossless")
        if self.bitrate_kbps is not None and not 32 <= self.bitrate_kbps <= 512:
            raise InputError(f"bitrate={self.bitrate_kbps} must lie between 32 and 512 kbit/s")

    def refuse_channels(self, channels: int) -> None:
        """Raises InputError if the format does not support so many channels."""
        most = _KINDS[self.kind].channels
        if channels > most:
            raise InputError(
                f"--format={self.kind} has at most {most} channels and the sound {channels}; take --format=wav"
            )


def write_stems(
    stems: Mapping[Path, Path], format: FileFormat, *, rate_hz: int, channels: int, move: bool = False
) -> dict[str, Any]:
    """Writes finished stems in a format.

    Args:
        stems: Files to write, by the WAV or RF64 files of floats that they are made from.
        format: The format.
        rate_hz: Sample rate of the stems. A format that does not support it gets the next higher one that it does, or
            else its highest.
        channels: Number of channels of the stems.
        move: Whether the stems may be moved, because they are not needed any more.

    Returns:
        JSON-ready `format`, `subtype` and `gain`. All files have this gain; it is below 1 if one of them would
        otherwise clip. Files of floats cannot clip.

    Raises:
        InputError: The format does not support this sound, or the disk is full.
    """
    format.refuse_channels(channels)
    kind = _KINDS[format.kind]
    if format.kind == "wav" and format.bits in (None, 32):
        large = any(_is_rf64(path) for path in stems)
        for path, target in stems.items():
            path.replace(target) if move else shutil.copyfile(path, target)
        return {"format": "RF64" if large else "WAV", "subtype": "FLOAT", "gain": 1.0}
    peak = max((float(np.abs(block).max()) for path in stems for (block,) in read_blocks([path])), default=0.0)
    gain = min(1.0, (1.0 - 2.0**-20) / max(peak, 1e-9))
    bits = format.bits or (kind.bits[0] if kind.bits else 0)
    rate = format.bitrate_kbps or kind.bitrate_kbps * -(-channels // 2)
    for path, target in stems.items():
        blocks = (np.float32(gain) * block for (block,) in read_blocks([path]))
        if format.kind == "ogg":
            _write_vorbis(target, blocks, rate_hz=rate_hz, channels=channels, bitrate_kbps=rate)
        elif kind.codec:
            _write_lossy(target, blocks, kind, rate_hz=rate_hz, channels=channels, bitrate_kbps=rate)
        else:
            _write_integers(target, blocks, format.kind, rate_hz=rate_hz, channels=channels, bits=bits)
        if move:
            path.unlink()
    return {"format": format.kind.upper(), "subtype": _SUBTYPES[bits] if bits else f"{rate} kbit/s", "gain": gain}


Blocks = Iterator[Float[np.ndarray, "samples channels"]]


def _is_rf64(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"RF64"


def _write_integers(target: Path, blocks: Blocks, kind: str, *, rate_hz: int, channels: int, bits: int) -> None:
    container = {"wav": "RF64", "flac": "FLAC"}[kind]
    with (
        sound_errors(target.parent),
        soundfile.SoundFile(
            sound_name(target), "w", rate_hz, channels, subtype=_SUBTYPES[bits], format=container
        ) as out,
    ):
        for block in blocks:
            out.write(block)
    if kind == "wav":
        rf64_to_wav(target)


def _write_vorbis(target: Path, blocks: Blocks, *, rate_hz: int, channels: int, bitrate_kbps: int) -> None:
    """Writes an Ogg Vorbis file by libsndfile, since the wheels of PyAV have no encoder for it."""
    # Vorbis has qualities from 0 to 1; these are the nominal bit rates of two channels.
    rates = (64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 500)
    quality = float(np.interp(2 * bitrate_kbps / max(channels, 2), rates, np.linspace(0.0, 1.0, len(rates))))
    with (
        sound_errors(target.parent),
        soundfile.SoundFile(
            sound_name(target),
            "w",
            rate_hz,
            channels,
            subtype="VORBIS",
            format="OGG",
            compression_level=1.0 - quality,
        ) as out,
    ):
        for block in blocks:
            # Its encoder keeps a whole block on the stack.
            for first in range(0, len(block), _VORBIS_SAMPLES):
                out.write(block[first : first + _VORBIS_SAMPLES])


def _write_lossy(target: Path, blocks: Blocks, kind: _Kind, *, rate_hz: int, channels: int, bitrate_kbps: int) -> None:
    written_hz = _supported_hz(kind, rate_hz)
    with _encoder_errors(target), av.open(str(target.absolute()), "w", format=kind.container) as container:
        stream: Any = container.add_stream(kind.codec, rate=written_hz)
        stream.layout = _LAYOUTS[channels]
        stream.bit_rate = 1000 * bitrate_kbps
        samples = 0
        for block in _resampled(blocks, rate_hz, written_hz, channels):
            if not len(block):
                continue
            planes = np.ascontiguousarray(block.T)
            frame = av.AudioFrame.from_ndarray(planes, format="fltp", layout=_LAYOUTS[channels])
            frame.sample_rate, frame.pts, frame.time_base = written_hz, samples, Fraction(1, written_hz)
            container.mux(stream.encode(frame))
            samples += len(block)
        container.mux(stream.encode(None))


def _supported_hz(kind: _Kind, rate_hz: int) -> int:
    if not kind.rates_hz or rate_hz in kind.rates_hz:
        return rate_hz
    return min((rate for rate in kind.rates_hz if rate > rate_hz), default=max(kind.rates_hz))


def _resampled(blocks: Blocks, rate_hz: int, written_hz: int, channels: int) -> Blocks:
    if rate_hz == written_hz:
        yield from blocks
        return
    resampler = soxr.ResampleStream(rate_hz, written_hz, channels, dtype="float32")
    for block in blocks:
        yield resampler.resample_chunk(block)
    yield resampler.resample_chunk(np.zeros((0, channels), np.float32), last=True)


@contextlib.contextmanager
def _encoder_errors(target: Path) -> Iterator[None]:
    """Converts the encoder's refusal of a bit rate or sample rate into InputError; a full disk stays an OSError."""
    try:
        yield
    except FFmpegError as error:
        if isinstance(error, OSError) and error.errno in (12, 28):  # No memory or no space.
            raise OSError(error.errno, error.strerror, str(target)) from None
        raise InputError(f"cannot write {target.name}: {error.strerror}; give another --bitrate or --format") from None
