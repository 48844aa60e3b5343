"""Which clips meet in a mixture: a pure function of (seed, step, slot).

Nothing is shuffled through a buffer and nothing is remembered between steps, so a run can go on at any step, on any
number of processes, with the very mixtures it would have seen.
"""

import dataclasses
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from data_pipeline.command import InputError
from data_pipeline.spec import AudioSpec, FrameSpec

if TYPE_CHECKING:  # reading records needs TensorFlow, planning does not
    from data_pipeline.records.store import Clip

LARGEST_LIFT = 100.0  # of a quiet window towards its video's level: 40 dB, so that silence stays silence


@dataclasses.dataclass(frozen=True)
class MixingSpec:
    """How training mixtures are made.

    Attributes:
        sources: sounds in a mixture (the paper's N), of distinct videos.
        same_class: two sounds of a mixture may be of one class.
        gain_low: least linear gain of a source, on top of the video's level.
        gain_high: greatest linear gain.
        gain_scale: "linear": gains are uniform between the two; "decibels": their logarithms are, so that the level
            differences of two sources are triangular between plus and minus the range.
        silent_probability: chance that a source after the first is silent, in [0, 1].
        level_of: what is brought to one level before the gain. "video": one gain for a whole video, so that the energy
            differences within it stay. "window": every window by itself, so that sources differ by their gains alone.
        level_dbfs: that root-mean-square level in dB of full scale.
        augment: crop and flip the pictures at random (one draw a source), else cut the centre.
        truth: of each source, "magnitude" or "phase_sensitive", the part of it in phase with the mixture.
    """

    sources: int
    same_class: bool = False
    gain_low: float = 0.5
    gain_high: float = 1.5
    gain_scale: str = "linear"
    silent_probability: float = 0.0
    level_of: str = "video"
    level_dbfs: float = -20.0
    augment: bool = True
    truth: str = "magnitude"


@dataclasses.dataclass(frozen=True)
class SourcePlan:
    """One source of a mixture: what to read and how to use it.

    Attributes:
        clip: index of the record.
        start: first sample of the window within the record.
        gain: linear factor on the stored sound (full scale 1).
        lift: bring the window to its video's level before the gain.
        crop: place of the picture's crop, (down, right), each from 0 (top or left) to 1.
        flip: mirror the pictures.
    """

    clip: int
    start: int
    gain: float
    lift: bool = False
    crop: tuple[float, float] = (0.5, 0.5)
    flip: bool = False


class ClipTable:
    """The clips of a split that are long enough for a window, by video and class.

    Args:
        clips: the split's records.
        audio: the window.
        sources: sounds that a mixture needs.
        same_class: a mixture may hold two videos of one class.

    Raises:
        InputError: too few videos or classes for a mixture.
    """

    def __init__(self, clips: "Sequence[Clip]", audio: AudioSpec, *, sources: int, same_class: bool) -> None:
        self.clips = clips
        self.clip_samples = audio.clip_samples
        self.by_video: dict[str, list[int]] = defaultdict(list)
        for index, clip in enumerate(clips):
            if clip.samples >= audio.clip_samples:
                self.by_video[clip.video_id].append(index)
        self.videos = sorted(self.by_video)
        self.label_of = {video: clips[self.by_video[video][0]].label for video in self.videos}
        groups = len(self.videos) if same_class else len(set(self.label_of.values()))
        if groups < sources:
            what = "videos" if same_class else "classes"
            raise InputError(
                f"a mixture of {sources} sounds needs {sources} {what} with a clip of at least "
                f"{audio.clip_seconds:.2f} s, the split has {groups}; add videos or lower config.mixing.sources"
                + ("" if same_class else " or set config.mixing.same_class=True")
            )

    def choose_videos(self, rng: np.random.Generator, sources: int, *, same_class: bool) -> list[str]:
        """Draws distinct videos uniformly, of distinct classes unless `same_class`."""
        chosen: list[str] = []
        for video in rng.permutation(len(self.videos)):
            name = self.videos[video]
            if same_class or self.label_of[name] not in {self.label_of[other] for other in chosen}:
                chosen.append(name)
            if len(chosen) == sources:
                break
        return chosen

    def choose_window(self, rng: np.random.Generator, video: str) -> tuple[int, int]:
        """Draws (clip, start sample) uniformly over the windows that lie within one record of a video."""
        indices = self.by_video[video]
        starts = np.array([self.clips[i].samples - self.clip_samples + 1 for i in indices])
        place = int(rng.integers(starts.sum()))
        which = int(np.searchsorted(np.cumsum(starts), place, side="right"))
        return indices[which], place - int(starts[:which].sum())


def draw_mixture(table: ClipTable, mixing: MixingSpec, *, seed: int, step: int, slot: int) -> list[SourcePlan]:
    """The mixture of one slot of one step's global batch.

    Args:
        table: clips to draw from.
        mixing: the rules.
        seed: the pipeline's seed.
        step: training step, from 0.
        slot: place in the *global* batch, so that the number of processes changes nothing.

    Returns:
        `mixing.sources` plans of distinct videos. Source: Sec. 4.1 (mix-and-separate).
    """
    rng = np.random.default_rng([seed, step, slot])
    plans = []
    for place, video in enumerate(table.choose_videos(rng, mixing.sources, same_class=mixing.same_class)):
        clip, start = table.choose_window(rng, video)
        gain = _draw_gain(rng, mixing) * level_gain(table.clips[clip], mixing.level_dbfs)
        silent = rng.uniform() < mixing.silent_probability
        crop = (float(rng.uniform()), float(rng.uniform()))
        flip = bool(rng.integers(2))
        plans.append(
            SourcePlan(
                clip=clip,
                start=start,
                gain=0.0 if place and silent else float(gain),
                lift=mixing.level_of == "window",
                crop=crop if mixing.augment else (0.5, 0.5),
                flip=flip and mixing.augment,
            )
        )
    return plans


def _draw_gain(rng: np.random.Generator, mixing: MixingSpec) -> float:
    if mixing.gain_scale == "decibels":
        return float(np.exp(rng.uniform(np.log(mixing.gain_low), np.log(mixing.gain_high))))
    return rng.uniform(mixing.gain_low, mixing.gain_high)


def level_gain(clip: "Clip", level_dbfs: float) -> float:
    """Gain that brings a clip's whole video to a level; a silent video stays silent."""
    return 10 ** (level_dbfs / 20) / clip.video_rms if clip.video_rms > 0 else 0.0


def frame_indices(plan: SourcePlan, clip: "Clip", *, audio: AudioSpec, frames: FrameSpec, fps: float) -> np.ndarray:
    """Stored pictures of a window, by time.

    Args:
        plan: the window.
        clip: its record.
        audio: length and rate of the window.
        frames: how many pictures, and how far apart.
        fps: stored pictures a second.

    Returns:
        int64 (count,): the pictures shown at `FrameSpec.seconds`.
    """
    seconds = frames.seconds(audio.clip_seconds)
    indices = np.floor((plan.start / audio.rate_hz + seconds) * fps).astype(np.int64)
    return np.clip(indices, 0, clip.frames - 1)
