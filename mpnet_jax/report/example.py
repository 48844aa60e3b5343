"""Defines the data of a separated mixture for the report, and chooses the mixtures to show."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import SupportsFloat

import numpy as np
from jaxtyping import Float, Num, Shaped, UInt8


@dataclass(frozen=True)
class ReportExample:
    """A separated mixture with all pictures and sounds of the report.

    Spectrograms are magnitudes on the network's frequency axis; row f has the centre frequency `row_hz[f]`.

    Attributes:
        title: Heading, e.g. "Best: mixture 17".
        classes: Instrument of each source.
        video_ids: Video of each source.
        frames: A frame of each source, 0..255, (source, height, width, 3).
        rate_hz: Sample rate of all waveforms.
        mixture_waveform: (samples,).
        separated_waveform: (source, samples).
        true_waveform: (source, samples).
        mixture_spectrogram: (freq, time), not negative.
        separated_spectrogram: (source, freq, time).
        true_spectrogram: (source, freq, time).
        mask: Predicted masks, (source, freq, time), drawn on 0..1; numbers or booleans.
        true_mask: True masks, (source, freq, time).
        row_hz: Centre frequency of each row, (freq,), rising or falling.
        hop_seconds: Time between two columns.
        scores: Scores of each source in dB, with any of the keys "sdr", "sir", "sar", "nsdr".
        heat: Share of the sound at each position of each source's frame, (source, rows, cols), of any size and scale;
            None where it is not known.
    """

    title: str
    classes: Sequence[str]
    video_ids: Sequence[str]
    frames: UInt8[np.ndarray, "..."]
    rate_hz: int
    mixture_waveform: Float[np.ndarray, "..."]
    separated_waveform: Float[np.ndarray, "..."]
    true_waveform: Float[np.ndarray, "..."]
    mixture_spectrogram: Float[np.ndarray, "..."]
    separated_spectrogram: Float[np.ndarray, "..."]
    true_spectrogram: Float[np.ndarray, "..."]
    mask: Shaped[np.ndarray, "..."]
    true_mask: Shaped[np.ndarray, "..."]
    row_hz: Num[np.ndarray, "..."]
    hop_seconds: float | int
    scores: Sequence[Mapping[str, SupportsFloat | None]]
    heat: Num[np.ndarray, "..."] | None = None

    def __post_init__(self) -> None:
        """Raises ValueError for arrays whose shapes do not match."""
        sources, plane = len(self.classes), self.mixture_spectrogram.shape
        pictures = (sources, *plane)
        sounds = (sources, *self.mixture_waveform.shape)
        wanted = {
            "frames": (sources, *self.frames.shape[1:3], 3),
            "separated_waveform": sounds,
            "true_waveform": sounds,
            "separated_spectrogram": pictures,
            "true_spectrogram": pictures,
            "mask": pictures,
            "true_mask": pictures,
            "row_hz": plane[:1],
        }
        for name, shape in wanted.items():
            found = getattr(self, name).shape
            if found != shape:
                raise ValueError(
                    f"{name} has shape {found}; {sources} classes, mixture_waveform "
                    f"{self.mixture_waveform.shape} and mixture_spectrogram {plane} ask for {shape}"
                )
        for name in ("video_ids", "scores"):
            if len(getattr(self, name)) != sources:
                raise ValueError(f"{name} has {len(getattr(self, name))} entries; {sources} classes need as many")
        if self.heat is not None and (self.heat.ndim != 3 or len(self.heat) != sources or not self.heat.size):
            raise ValueError(f"heat has shape {self.heat.shape}; {sources} classes ask for ({sources}, rows, cols)")
        if self.rate_hz <= 0 or self.hop_seconds <= 0:
            raise ValueError(f"rate_hz={self.rate_hz} and hop_seconds={self.hop_seconds} must be positive")
        if 0 in self.mixture_waveform.shape or 0 in self.frames.shape or 0 in pictures:
            raise ValueError(f"example {self.title!r} has an empty axis; leave out what has no sound or picture")


def choose_examples(nsdr: Float[np.ndarray, " mixture"], count: int) -> list[tuple[int, str]]:
    """Chooses the best, the median and the worst mixtures.

    Args:
        nsdr: NSDR of each mixture in dB; values that are not finite are ignored.
        count: Number of mixtures to choose; fewer are returned when there are fewer.

    Returns:
        (index, "best" | "median" | "worst"), best first, without duplicates.

    Raises:
        ValueError: `count` is negative.
    """
    if count < 0:
        raise ValueError(f"count={count} must not be negative")
    order = np.argsort(-nsdr, kind="stable")
    ranked = [int(index) for index in order if np.isfinite(nsdr[index])]
    count = min(count, len(ranked))
    best = worst = (count + 1) // 3
    middle = count - best - worst
    inner = ranked[best : len(ranked) - worst]
    start = (len(inner) - middle) // 2
    return (
        [(index, "best") for index in ranked[:best]]
        + [(index, "median") for index in inner[start : start + middle]]
        + [(index, "worst") for index in ranked[len(ranked) - worst :]]
    )
