"""Converts decoded audio blocks of any sample format to floating-point arrays."""

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler

_FULL_SCALE = {"u1": 2.0**7, "i2": 2.0**15, "i4": 2.0**31, "i8": 2.0**63, "f4": 1.0, "f8": 1.0}
# Sums of squares of samples up to this one do not overflow.
_LARGEST = 1e12
# Planar audio with at least this many channels is packed before it is read, because the video library miscounts the
# planes (PyAV 18.1 finds nine in a block of eight) and reads beyond them.
_PACKED_CHANNELS = 8


class Samples:
    """Converts the blocks of one stream to numbers with full scale 1.0; keeps the resampler that packs planar audio.

    Attributes:
        layout: FFmpeg's names of the channels of the last block, such as ("FL", "FR").
    """

    def __init__(self) -> None:
        self._packer: AudioResampler | None = None
        self._packed = ("", "", 0)  # format, layout and sample rate of the packer
        self._layout = ""
        self.layout: tuple[str, ...] = ()

    def channels(self, frame: AudioFrame) -> np.ndarray:
        """Returns all channels, float32 (channels, samples)."""
        samples, offset, full_scale = self._raw(frame)
        if frame.layout.name != self._layout:
            self._layout, self.layout = frame.layout.name, tuple(channel.name for channel in frame.layout.channels)
        return _finite((samples.astype(np.float64) - offset) / full_scale)

    def _raw(self, frame: AudioFrame) -> tuple[np.ndarray, float, float]:
        """Returns (channels, samples) in the stream's own numbers, the value of silence, and full scale."""
        channels = frame.layout.nb_channels
        if not frame.format.is_planar:
            samples = frame.to_ndarray().reshape(-1, channels).T
        elif channels < _PACKED_CHANNELS:
            samples = frame.to_ndarray()
        else:
            packed = self._packer_of(frame).resample(frame)
            samples = np.concatenate([part.to_ndarray().reshape(-1, channels) for part in packed]).T
        kind = samples.dtype.str[1:]
        return samples, 128.0 if kind == "u1" else 0.0, _FULL_SCALE[kind]

    def _packer_of(self, frame: AudioFrame) -> AudioResampler:
        wanted = (frame.format.name, frame.layout.name, frame.sample_rate)
        if self._packer is None or wanted != self._packed:
            self._packer = AudioResampler(frame.format.packed, frame.layout, frame.sample_rate)
            self._packed = wanted
        return self._packer


def _finite(samples: np.ndarray) -> np.ndarray:
    return np.clip(np.nan_to_num(samples, posinf=1.0, neginf=-1.0), -_LARGEST, _LARGEST).astype(np.float32)
