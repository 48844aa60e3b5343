"""Sizes of the audio, the frames and a prepared data set, and all sizes derived from them."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class AudioSpec:
    """A window of mono audio and its short-time Fourier transform.

    Attributes:
        rate_hz: Sample rate.
        clip_samples: Samples of a window that enters a mixture.
        fft_samples: Length of the periodic Hann window and of the transform, in samples.
        hop_samples: Samples from one spectrogram column to the next.
        pad_mode: How the ends are extended by `fft_samples // 2`: "reflect" or "constant" (zeros).

    Raises:
        ValueError: A size that allows no spectrogram.
    """

    rate_hz: int
    clip_samples: int
    fft_samples: int
    hop_samples: int
    pad_mode: str = "reflect"

    def __post_init__(self) -> None:
        if self.pad_mode not in ("reflect", "constant"):
            raise ValueError(f"pad_mode={self.pad_mode!r} is unknown; use 'reflect' or 'constant'")
        for name in ("rate_hz", "clip_samples", "fft_samples", "hop_samples"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name}={getattr(self, name)} must be positive")
        if self.fft_samples % 2:
            raise ValueError(f"fft_samples={self.fft_samples} must be even; try {self.fft_samples + 1}")
        if self.hop_samples > self.fft_samples // 2:
            raise ValueError(
                f"hop_samples={self.hop_samples} must be at most half of fft_samples={self.fft_samples}, "
                "or the inverse transform cannot rebuild the sound"
            )
        if self.clip_samples <= self.fft_samples // 2:
            raise ValueError(
                f"clip_samples={self.clip_samples} must exceed fft_samples / 2 = {self.fft_samples // 2}, "
                "the length of the padding"
            )

    @property
    def freq_bins(self) -> int:
        """Rows of the linear spectrogram."""
        return self.fft_samples // 2 + 1

    @property
    def time_frames(self) -> int:
        """Columns of the spectrogram, which are centred."""
        return 1 + self.clip_samples // self.hop_samples

    @property
    def clip_seconds(self) -> float:
        """Length of a window in seconds."""
        return self.clip_samples / self.rate_hz


@dataclasses.dataclass(frozen=True)
class FrameSpec:
    """The video frames that belong to a window of audio.

    Attributes:
        count: Frames per window (the paper's T).
        crop_px: Side of the square that the network receives, in pixels.
        stride_seconds: Distance between two frames around the middle of the window; 0 spreads the frames evenly over
            the window.

    Raises:
        ValueError: A size below one, or a negative stride.
    """

    count: int
    crop_px: int
    stride_seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.stride_seconds < 0:
            raise ValueError(f"frames: stride_seconds={self.stride_seconds} must not be negative")
        if self.count < 1 or self.crop_px < 1:
            raise ValueError(f"frames: count={self.count} and crop_px={self.crop_px} must be at least 1")

    def seconds(self, clip_seconds: float) -> np.ndarray:
        """Returns the times of a window's frames, float64 (count,) seconds from its start.

        Without a stride they are the middles of `count` equal parts. With a stride they are symmetric around the
        window's middle.
        """
        steps = np.arange(self.count) + 0.5
        if self.stride_seconds:
            return clip_seconds / 2 + (steps - self.count / 2) * self.stride_seconds
        return steps / self.count * clip_seconds


@dataclasses.dataclass(frozen=True)
class DataSetSpec:
    """How a prepared data set was cut; recorded with it and compared with what a run needs.

    Attributes:
        rate_hz: Sample rate of the stored audio.
        fps: Stored frames per second.
        frame_px: Shorter side of the stored frames, in pixels.
        chunk_seconds: Longest part of a video in one record.
    """

    rate_hz: int
    fps: float
    frame_px: int
    chunk_seconds: float


@dataclasses.dataclass(frozen=True)
class FeatureSpec:
    """Which features are kept.

    Attributes:
        seconds: Distance of the frames whose features are kept.
        views: Crops of each frame; the first one is the central one, the others lie at random places and every second
            of them is mirrored.
        crop_px: Side of a crop in pixels.
        trunk: Hash of the network's weights.
        dilated: Whether its last stages are dilated, which changes its features but not its weights.
        pooled: Whether features are averaged over the places of a crop.
    """

    seconds: float
    views: int
    crop_px: int
    trunk: str
    dilated: bool
    pooled: bool

    @property
    def folder(self) -> str:
        """Name of the folder; features of another network or size never have the same one."""
        form = ("dilated_" if self.dilated else "") + ("pooled" if self.pooled else "places")
        return f"{self.trunk[:16]}_{self.crop_px}px_{self.seconds:g}s_{self.views}views_{form}"
