"""Finds what is unusual about a video, for a user who must decide whether to trust it.

No video is refused here; unusable videos are refused where they are decoded.
"""

import hashlib
import math

import numpy as np

from data_pipeline.media.channel_remarks import channel_remarks
from data_pipeline.media.reader import Trace

_MUTED = 1e-4  # samples below this, -80 dB of full scale, are digital silence
_WINDOW_SAMPLES = 2048
_NOTHING = 1e-9  # relative to the power of the strongest frequency; recorded and encoded audio is never this low
_SAME_PICTURE = 0.5  # mean difference of pixel values (0 to 255) below which two encoded frames count as equal
_THUMBNAIL_STEP = 4


class SoundCheck:
    """Measures level, muted parts and bandwidth of audio that arrives in blocks.

    Attributes:
        samples: Number of samples so far.
    """

    def __init__(self) -> None:
        self.samples = 0
        self._squares = 0.0
        self._muted = 0
        self._power = np.zeros(_WINDOW_SAMPLES // 2 + 1)
        self._digest = hashlib.sha256()

    def add(self, block: np.ndarray) -> None:
        """Adds the next block: float32 (samples,), about a second, full scale 1."""
        self.samples += len(block)
        self._squares += float(np.square(block, dtype=np.float64).sum())
        self._muted += int(np.count_nonzero(np.abs(block) < _MUTED))
        if len(block) >= _WINDOW_SAMPLES:
            self._power += np.abs(np.fft.rfft(block[:_WINDOW_SAMPLES] * np.hanning(_WINDOW_SAMPLES))) ** 2
        self._digest.update(block.tobytes())

    @property
    def rms(self) -> float:
        """Root mean square, full scale 1."""
        return math.sqrt(self._squares / self.samples) if self.samples else 0.0

    @property
    def muted(self) -> float:
        """Share of the samples that are digital silence."""
        return self._muted / self.samples if self.samples else 1.0

    @property
    def digest(self) -> str:
        """Hash that is equal for equal samples."""
        return self._digest.hexdigest()

    def highest_hz(self, rate_hz: int) -> float:
        """Returns the frequency above which the spectrum is empty."""
        strong = np.flatnonzero(self._power > _NOTHING * self._power.max())
        return (strong[-1] + 1) * rate_hz / _WINDOW_SAMPLES if len(strong) else 0.0


class PictureCheck:
    """Measures how much the stored frames of a video change.

    Attributes:
        pictures: Number of frames so far.
        still: Number of frames that equal the one before.
    """

    def __init__(self) -> None:
        self.pictures = self.still = 0
        self._before: np.ndarray | None = None

    def add(self, picture: np.ndarray | None) -> None:
        """Adds the next frame, uint8 (height, width, 3); None when it is the same as before."""
        self.pictures += 1
        if picture is None:
            self.still += 1
            return
        small = picture[::_THUMBNAIL_STEP, ::_THUMBNAIL_STEP].astype(np.int16)
        if self._before is not None and np.abs(small - self._before).mean() < _SAME_PICTURE:
            self.still += 1
        self._before = small


def remarks(
    sound: SoundCheck, audio: Trace, pictures: PictureCheck, video: Trace, *, rate_hz: int, fps: float
) -> dict[str, str]:
    """Returns what a user should know about a usable video.

    Args:
        sound: Measurements of the stored audio.
        audio: Facts about decoding the audio.
        pictures: Measurements of the stored frames.
        video: Facts about decoding the frames.
        rate_hz: Sample rate of the stored audio.
        fps: Stored frames per second.

    Returns:
        Kind of remark, by which remarks are counted -> sentence.
    """
    top_hz = sound.highest_hz(rate_hz)
    doubtful = audio.doubts.timestamps + video.doubts.timestamps
    furthest_s = max(audio.doubts.furthest_s, video.doubts.furthest_s)
    broken = audio.broken_packets + video.broken_packets
    moving = max(pictures.pictures - 1, 1)
    video_end_s = max(video.end_s, video.unread_end_s or 0.0)
    shown_fps = (video.pictures - 1) / max(video.end_s - video.start_s, 1e-9)
    found = {
        "clipped": audio.clipped > 1e-3 and f"{audio.clipped:.1%} of the samples are at full scale",
        "quiet": 0 < sound.rms < 0.01 and f"the level is {20 * math.log10(sound.rms):.0f} dB of full scale",
        "partly muted": sound.muted > 0.2 and f"{sound.muted:.0%} of the sound is digital silence",
        "low sample rate": audio.rate_hz < rate_hz and f"recorded at {audio.rate_hz} Hz, stored at {rate_hz} Hz",
        "narrow band": 0 < top_hz < 0.4 * min(rate_hz, audio.rate_hz)
        and f"says {audio.rate_hz} Hz, but nothing lies above {top_hz:.0f} Hz",
        "gaps": audio.filled_s + audio.cut_s > 0.1
        and f"{audio.filled_s:.1f} s of the sound were missing and became silence, {audio.cut_s:.1f} s overlapped",
        "late start": abs(audio.start_s - video.start_s) > 0.1
        and f"the sound starts at {audio.start_s:.2f} s, the picture at {video.start_s:.2f} s",
        "uneven ends": abs(audio.end_s - video_end_s) > 1.0
        and f"the sound ends at {audio.end_s:.1f} s, the picture at {video_end_s:.1f} s",
        "ends early": _short_of(audio) + _short_of(video) > 0.5
        and f"{max(_short_of(audio), _short_of(video)):.1f} s less than the file says",
        "wrong timestamps": doubtful > 0
        and f"timestamps not believed: {doubtful}, which contradict the others by up to {furthest_s:.1f} s",
        "corrupt packets": broken > 0 and f"{broken} packets could not be decoded",
        "unsteady picture rate": video.pictures > 2
        and video.most_s > 1.5 * max(video.least_s, 1e-3)
        and f"from {video.least_s * 1e3:.0f} to {video.most_s * 1e3:.0f} ms from one picture to the next",
        "few pictures": shown_fps < 0.8 * fps and f"{shown_fps:.1f} pictures a second, {fps:g} are stored",
        "turned": video.turned and "pictures are stored turned and were set upright",
        "frozen picture": pictures.still >= moving and "the picture never changes",
        "partly frozen": 0.5 < pictures.still / moving < 1
        and f"the picture stands still {pictures.still / moving:.0%}",
    }
    return {kind: text for kind, text in found.items() if isinstance(text, str)} | channel_remarks(audio)


def _short_of(trace: Trace) -> float:
    return max((trace.stated_end_s or 0.0) - trace.end_s, 0.0)
