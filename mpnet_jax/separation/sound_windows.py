"""Cuts the sound of a video into windows of the network's length that overlap by half, in constant memory."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import soxr
from jaxtyping import Float

from data_pipeline.media.downmix import Downmix
from data_pipeline.media.reader import Trace
from data_pipeline.spec import AudioSpec


class SoundWindow(NamedTuple):
    """A window of the network, with the newly read part of the recording.

    Attributes:
        place: Index of the window; it starts `hop_columns(audio)` columns after the previous one.
        mono: Downmix of the channels at the network's sample rate, padded with silence at the end.
        recorded: The recording since the previous window, at the video's sample rate; it reaches at least to the end of
            this window.
        steady: `recorded` without constant offsets.
        rate_hz: Sample rate of `recorded`.
        last: Whether the recording ends within this window.
    """

    place: int
    mono: Float[np.ndarray, " clip_samples"]
    recorded: Float[np.ndarray, "channels samples"]
    steady: Float[np.ndarray, "channels samples"]
    rate_hz: int
    last: bool


def hop_columns(audio: AudioSpec) -> int:
    """Returns the columns from one window to the next: half a window."""
    return audio.time_frames // 2


def start_seconds(index: int, audio: AudioSpec) -> float:
    """Returns the start of a window in seconds."""
    return index * hop_columns(audio) * audio.hop_samples / audio.rate_hz


def sound_windows(
    blocks: Iterable[tuple[int, np.ndarray]], audio: AudioSpec, trace: Trace | None = None
) -> Iterator[SoundWindow]:
    """Yields the windows of a recording; a recording shorter than a window gives one window.

    Args:
        blocks: Pairs of sample rate and samples, float32 (channels, samples); see `reader.stream_channels`.
        audio: The network's transform.
        trace: Has the layout of the channels, and receives what the downmix found.
    """
    trace = Trace() if trace is None else trace
    step, size = hop_columns(audio) * audio.hop_samples, audio.clip_samples
    mono, recorded, steady = np.zeros(0, np.float32), [], []
    index, rate_hz, downmix, resampler = 0, 0, None, None

    def window(*, last: bool) -> SoundWindow:
        filled = np.pad(mono[:size], (0, max(0, size - len(mono))))
        read, complete = np.concatenate(recorded, axis=1), np.concatenate(steady, axis=1)
        count = complete.shape[1]  # The downmix is behind the recording.
        recorded[:], steady[:] = [read[:, count:]], [complete[:, :0]]
        return SoundWindow(index, filled, read[:, :count], complete, rate_hz, last)

    for rate_hz, block in blocks:
        if downmix is None or resampler is None:
            downmix = Downmix(rate_hz)
            resampler = soxr.ResampleStream(rate_hz, audio.rate_hz, 1, dtype="float32", quality="HQ")
        recorded.append(block)
        mixed = downmix.add(block, trace.layout)
        if not mixed.size:
            continue
        steady.append(downmix.steady)
        mono = np.concatenate([mono, resampler.resample_chunk(mixed)])
        while len(mono) > size:  # More samples follow, so this window is not the last one.
            yield window(last=False)
            mono, index = mono[step:], index + 1
    if downmix is None or resampler is None:
        return
    mono = np.concatenate([mono, resampler.resample_chunk(downmix.finish(), last=True)])
    steady.append(downmix.steady)
    trace.offset, trace.rescued_db = downmix.offset, downmix.rescued_db
    while len(mono) > size:
        yield window(last=False)
        mono, index = mono[step:], index + 1
    yield window(last=True)
