"""The sound of a video as windows of the network's length, half a window apart, in memory that does not grow."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import soxr
from jaxtyping import Float

from data_pipeline.spec import AudioSpec


class SoundWindow(NamedTuple):
    """A window as the network hears it, and the sound as it was recorded.

    Attributes:
        place: from 0; a window starts `hop_columns(audio)` columns of the transform after the one before.
        mono: mean of the channels at the network's rate; silence beyond the end.
        recorded: what was read since the last window, at the video's rate: all that lies within this one, or more.
        rate_hz: of `recorded`.
        last: whether the sound ends within this window.
    """

    place: int
    mono: Float[np.ndarray, " clip_samples"]
    recorded: Float[np.ndarray, "channels samples"]
    rate_hz: int
    last: bool


def hop_columns(audio: AudioSpec) -> int:
    """Columns from one window to the next: half a window, so that every column lies in two."""
    return audio.time_frames // 2


def start_seconds(index: int, audio: AudioSpec) -> float:
    """When a window starts."""
    return index * hop_columns(audio) * audio.hop_samples / audio.rate_hz


def sound_windows(blocks: Iterable[tuple[int, np.ndarray]], audio: AudioSpec) -> Iterator[SoundWindow]:
    """Cuts a sound into windows; one that is shorter than a window is one, with silence behind it.

    Args:
        blocks: (rate_hz, float32 (channels, samples)), of `media.stream_channels`.
        audio: the network's.

    Yields:
        Windows, the last of which reaches the end of the sound.
    """
    step, size = hop_columns(audio) * audio.hop_samples, audio.clip_samples
    mono, recorded = np.zeros(0, np.float32), []
    index, rate_hz, resampler = 0, 0, None

    def window(*, last: bool) -> SoundWindow:
        filled = np.pad(mono[:size], (0, max(0, size - len(mono))))
        read = np.concatenate(recorded, axis=1)
        recorded[:] = [read[:, :0]]
        return SoundWindow(index, filled, read, rate_hz, last)

    for rate_hz, block in blocks:
        if resampler is None:
            resampler = soxr.ResampleStream(rate_hz, audio.rate_hz, 1, dtype="float32", quality="HQ")
        recorded.append(block)
        mono = np.concatenate([mono, resampler.resample_chunk(block.mean(axis=0))])
        while len(mono) > size:  # more than a window: so this is not the last
            yield window(last=False)
            mono, index = mono[step:], index + 1
    if resampler is None:
        return
    mono = np.concatenate([mono, resampler.resample_chunk(np.zeros(0, np.float32), last=True)])
    while len(mono) > size:
        yield window(last=False)
        mono, index = mono[step:], index + 1
    yield window(last=True)
