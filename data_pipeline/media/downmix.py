"""Mixes the channels of a recording to one waveform in which no source cancels, in constant memory.

The mean of the channels is silence where one channel is the negative of another, which happens in whole recordings (a
microphone on a jack of opposite polarity), for single sources, and for single frequencies (two microphones at different
distances). The weighted mean is therefore repaired bin by bin of a short-time Fourier transform: in bins where it lacks
power, channels that are opposite are subtracted instead of added. If it lacks much, and one channel has what it lacks,
that channel replaces it, because it is also right where sources share a bin. Elsewhere the result is the mean. A source
whose second channel is -3.7 times its first lies at the limit between both; it may be attenuated.

A constant offset is removed from each channel before, because it would count as level and as a frequency. The channels
have the weights of ITU-R BS.775 as FFmpeg applies them, scaled to a sum of one.
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import scipy.fft

from data_pipeline.media.offset import OffsetRemoval

_CENTRE, _FRONT, _SURROUND, _LOW = 1.0, math.sqrt(0.5), 0.5, 0.0
_WEIGHTS = dict.fromkeys(("FL", "FR", "FLC", "FRC", "DL", "DR", "WL", "WR"), _FRONT) | {"FC": _CENTRE}
_WEIGHTS |= dict.fromkeys(("BL", "BR", "BC", "SL", "SR", "SDL", "SDR"), _SURROUND)
_WEIGHTS |= dict.fromkeys(("TC", "TFL", "TFC", "TFR", "TBL", "TBC", "TBR", "TSL", "TSR"), _SURROUND)
_WEIGHTS |= dict.fromkeys(("LFE", "LFE2"), _LOW)
# A bin's window is the power of two of samples that is nearest to this length.
_WINDOW_SECONDS = 0.093
_HOPS = 16  # Hops of the transform in a section; sections are processed one by one.
# A bin of the sum lacks power in a section if it has less than this part of that of independent channels.
_LEAST_POWER = 0.5
# One channel replaces the mean if the share of the power that the mean lacks is above the first number, and the part of
# this share that the channel lacks is below the second one.
_LOST_OF_MEAN, _LOST_OF_CHANNEL = 0.1, 0.3
_MEMORY = 0.7  # Weight of the powers of a section in the choice for the next one.


def channel_weights(layout: Sequence[str]) -> np.ndarray:
    """Returns the weight of each channel in the sum, float32 (channels,) with a sum of one.

    Args:
        layout: FFmpeg's names of the channels, such as ("FL", "FR", "FC", "LFE", "BL", "BR"). If one of them is
            unknown, or all are low-frequency effects, all channels have the same weight.
    """
    weights = np.array([_WEIGHTS.get(name, math.nan) for name in layout])
    if np.isnan(weights).any() or not weights.any():
        weights = np.ones(len(layout))
    return (weights / weights.sum()).astype(np.float32)


class Downmix:
    """Mixes a stream of blocks; the result does not depend on the lengths of the blocks.

    Args:
        rate_hz: Sample rate.

    Attributes:
        offset: Constant offset of the channel with the greatest one, full scale 1.
        steady: float32 (channels, samples): the samples of all channels that the last call completed, without their
            offset. If that call changed the layout, only those of the new one.
    """

    def __init__(self, rate_hz: int) -> None:
        self._hop = 2 ** max(2, round(math.log2(_WINDOW_SECONDS * rate_hz)) - 1)
        self._levels = _Levels()
        self._part: _Part | None = None
        self.offset = 0.0
        self.steady = np.zeros((0, 0), np.float32)

    def add(self, block: np.ndarray, layout: Sequence[str] = ()) -> np.ndarray:
        """Adds the next block.

        Args:
            block: float32 (channels, samples).
            layout: FFmpeg's names of the channels, see `channel_weights`; it may change from block to block.

        Returns:
            float32 (samples,): the next samples of the result, which is up to three seconds behind the blocks.
        """
        layout = tuple(layout) if len(layout) == len(block) else ("unknown",) * len(block)
        ended = np.zeros(0, np.float32)
        if self._part is None or self._part.layout != layout:
            ended = self.finish()
            self._part = _Part(layout, self._hop, self._levels)
        mixed, self.steady = self._part.add(block)
        return np.concatenate([ended, mixed]) if ended.size else mixed

    def finish(self) -> np.ndarray:
        """Returns the samples that were not yet returned, float32 (samples,)."""
        if self._part is None:
            return np.zeros(0, np.float32)
        (mixed, self.steady), offset = self._part.finish(), self._part.offset
        self._part = None
        self.offset = max(self.offset, offset, key=abs)
        return mixed

    @property
    def rescued_db(self) -> float:
        """How far the level of the result is above that of the weighted mean; infinite if the mean is silent."""
        if self._levels.mixed <= 0.0:
            return 0.0
        return 10.0 * math.log10(self._levels.mixed / self._levels.mean) if self._levels.mean else math.inf


@dataclasses.dataclass
class _Levels:
    """Sums of squares of the weighted mean and of the result."""

    mean: float = 0.0
    mixed: float = 0.0


class _Part:
    """Mixes a part of a stream that has one layout."""

    def __init__(self, layout: tuple[str, ...], hop: int, levels: _Levels) -> None:
        self.layout = layout
        self._size = _HOPS * hop
        self._steady = OffsetRemoval(self._size)
        self._aligned = _AlignedSum(channel_weights(layout), hop, levels)
        self._waiting = [np.zeros((len(layout), 0), np.float32)]
        self._count = self._samples = 0
        self._sums = np.zeros(len(layout))

    def add(self, block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the completed samples of the sum and of the channels."""
        self._waiting.append(block)
        self._count += block.shape[1]
        if self._count < self._size:
            return block[0, :0], block[:, :0]
        joined, mixed, complete = np.concatenate(self._waiting, axis=1), [block[0, :0]], [block[:, :0]]
        while joined.shape[1] >= self._size:
            section, joined = joined[:, : self._size], joined[:, self._size :]
            self._measure(section)
            steady = self._steady.add(section)
            if steady.size:
                mixed.append(self._aligned.add(steady))
                complete.append(steady)
        self._waiting, self._count = [joined], joined.shape[1]
        return np.concatenate(mixed), np.concatenate(complete, axis=1)

    def finish(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns the samples of the sum and of the channels that were not yet returned."""
        rest = np.concatenate(self._waiting, axis=1)
        self._measure(rest)
        steady = self._steady.finish(rest)
        return self._aligned.finish(steady), steady

    def _measure(self, section: np.ndarray) -> None:
        self._samples += section.shape[1]
        self._sums += section.sum(axis=1)

    @property
    def offset(self) -> float:
        return float(self._sums[np.abs(self._sums).argmax()]) / max(self._samples, 1)


class _AlignedSum:
    """Adds channels with the signs of each bin.

    The result is the weighted mean plus a correction, which is the inverse transform of the differences. Analysis and
    synthesis windows are sines, whose squares sum to one at half a window's distance.

    Args:
        weights: Weights of the channels, float32 (channels,).
        hop: Half the samples of a window.
        levels: Receives the sums of squares.
    """

    def __init__(self, weights: np.ndarray, hop: int, levels: _Levels) -> None:
        self._levels = levels
        self._used, self._weights, self._hop = np.flatnonzero(weights), weights[weights > 0, None], hop
        self._window = np.sin(np.pi / (4 * hop) * (2 * np.arange(2 * hop) + 1)).astype(np.float32)
        self._last = np.zeros((len(self._used), hop), np.float32)  # Hop of the channels at which the next frame begins.
        self._tail = np.zeros(hop, np.float32)  # Correction by earlier frames at the next hop.
        self._started = False
        # Power of each channel and of the mean by bin, decaying, float32 (channels + 1, bins).
        self._seen: np.ndarray | None = None
        self._chosen: int | None = None

    def add(self, steady: np.ndarray) -> np.ndarray:
        """Takes complete hops, float32 (channels, samples); returns the samples up to one hop before their end."""
        hop = self._hop
        channels = np.concatenate([self._last, steady[self._used]], axis=1)
        self._last = channels[:, -hop:]
        mixed = mean = np.sum(channels[:, :-hop] * self._weights, axis=0) if len(channels) > 1 else channels[0, :-hop]
        correction = self._correction(channels) if len(channels) > 1 else None
        if correction is None and self._tail.any():
            correction = np.zeros((mean.shape[0] // hop, 2 * hop), np.float32)
        if correction is not None:
            mixed = mean.reshape(-1, hop) + correction[:, :hop]
            mixed[0] += self._tail
            mixed[1:] += correction[:-1, hop:]
            mixed, self._tail = mixed.ravel(), correction[-1, hop:]
        if not self._started:  # The first frame begins a hop before the recording.
            self._started, mean, mixed = True, mean[hop:], mixed[hop:]
        power = _square(mean)
        self._levels.mean += power
        self._levels.mixed += power if correction is None else _square(mixed)
        return mixed

    def finish(self, steady: np.ndarray) -> np.ndarray:
        """Takes the last samples; returns everything that was not yet returned."""
        hop, count = self._hop, steady.shape[1] + (self._hop if self._started else 0)
        padded = np.pad(steady, ((0, 0), (0, -steady.shape[1] % hop + hop)))
        return self.add(padded)[:count]

    def _correction(self, channels: np.ndarray) -> np.ndarray | None:
        """Returns what the frames add to the mean, float32 (frames, window); None for nothing."""
        if (channels[1:] == channels[0]).all():
            return None
        # (channels, samples) -> (channels, frames, window)
        frames = np.lib.stride_tricks.sliding_window_view(channels, 2 * self._hop, axis=1)[:, :: self._hop]
        # The transform of the weighted channels, complex64 (channels, frames, bins).
        spectra = np.asarray(scipy.fft.rfft(frames * (self._window * self._weights[:, None]), axis=2))
        mean = spectra.sum(axis=0)
        power, mean_power = _power(spectra).sum(axis=1), _power(mean).sum(axis=0)
        base, base_power = mean, mean_power
        gains = self._gains_of_one(power, mean_power)
        if self._chosen is not None:
            gain = gains[self._chosen]
            base, base_power = gain * spectra[self._chosen], np.square(gain) * power[self._chosen]
        lacking = base_power < _LEAST_POWER * power.sum(axis=0)
        if lacking.any():
            base = np.where(lacking, _aligned(spectra), base)
        elif base is mean:
            return None
        return np.asarray(scipy.fft.irfft(base - mean, n=2 * self._hop, axis=1)) * self._window

    def _gains_of_one(self, power: np.ndarray, mean_power: np.ndarray) -> np.ndarray:
        """Chooses a channel that holds all sources if the mean loses some; otherwise none.

        Where sources overlap in a bin, only such a channel is the sum of all of them.

        Args:
            power: Power of the weighted channels in the section, float32 (channels, bins).
            mean_power: Power of the mean, float32 (bins,).

        Returns:
            Gain of each channel to the level of channels that are in phase, float32 (channels,).
        """
        new = np.concatenate([power, mean_power[None]])
        self._seen = new if self._seen is None else _MEMORY * self._seen + new
        power, mean_power = self._seen[:-1], self._seen[-1]
        apart = power.sum(axis=0)  # Power of a sum of independent channels.
        lost = _lost(mean_power, apart)
        levels = np.sqrt(power.sum(axis=1))
        gains = np.where(levels > 0, levels.sum() / np.maximum(levels, 1e-15), 0).astype(np.float32)
        complete = [
            i
            for i, gain in enumerate(gains)
            if lost > _LOST_OF_MEAN and _lost(np.square(gain) * power[i], apart) < _LOST_OF_CHANNEL * lost
        ]
        # The earlier choice is kept, because the signs of a source may differ between channels.
        if self._chosen not in complete:
            self._chosen = complete[0] if complete else None
        return gains


def _aligned(spectra: np.ndarray) -> np.ndarray:
    """Adds spectra one after the other; in each bin, one that is opposite to the sum so far is subtracted."""
    total = spectra[0].copy()
    for channel in spectra[1:]:
        opposite = total.real * channel.real + total.imag * channel.imag < 0
        total += np.where(opposite, -channel, channel)
    return total


def _lost(power: np.ndarray, apart: np.ndarray) -> float:
    """Returns the share of the power that a sum lacks in bins where it is below that of independent channels."""
    return float(np.maximum(apart - power, 0).sum() / max(apart.sum(), 1e-30))


def _square(sound: np.ndarray) -> float:
    """Returns the sum of squares; floating-point sound may be so far above full scale that float32 overflows."""
    wide = sound.astype(np.float64)
    return float(np.dot(wide, wide))


def _power(spectra: np.ndarray) -> np.ndarray:
    return np.square(np.real(spectra)) + np.square(np.imag(spectra))
