"""Plans the mixtures of training: each one is a pure function of (seed, step, slot).

No shuffle buffer and no state between steps exist. A run can therefore resume at any step, on any number of processes,
with the same mixtures.
"""

import dataclasses
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from data_pipeline.command import InputError
from data_pipeline.records.class_features import ObjectPlan, draw_object
from data_pipeline.spec import AudioSpec, FrameSpec

if TYPE_CHECKING:  # reading records needs TensorFlow, planning does not
    from data_pipeline.records.store import Clip

LARGEST_LIFT = 100.0  # 40 dB: limits how far a quiet window is raised to its video's level, so silence stays silent


@dataclasses.dataclass(frozen=True)
class MixingSpec:
    """How training mixtures are made.

    Attributes:
        sources: Number of sources in a mixture (the paper's N), taken from distinct videos.
        same_class: Whether two sources of a mixture may have the same class.
        gain_low: Smallest linear gain of a source, applied after the video's level is normalised.
        gain_high: Largest linear gain.
        gain_scale: "linear" draws gains uniformly between the two limits. "decibels" draws their logarithms uniformly,
            so the level difference of two sources has a triangular distribution.
        silent_probability: Probability that a source after the first is silent, in [0, 1].
        level_of: What is normalised to one level before the gain. "video" uses one gain for a complete video and keeps
            the energy differences within it. "window" normalises each window separately, so that sources differ only by
            their gains.
        level_dbfs: Root-mean-square level after normalisation, in dB relative to full scale.
        augment: Whether to crop and flip the frames at random (one draw per source) instead of cutting the centre.
        truth: Target of each source: "magnitude", or "phase_sensitive" for its part in phase with the mixture.
        in_phase: Whether a training mixture also holds the sources' parts in phase with it, for a loss that needs both
            these and the magnitudes.
        classifier_share: Probability that a source shows its class as a classifier knows it; see `class_features`.
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
    classifier_share: float = 0.0
    in_phase: bool = False


@dataclasses.dataclass(frozen=True)
class SourcePlan:
    """One source of a mixture: what to read and how to use it.

    Attributes:
        clip: Index of the record.
        start: First sample of the window within the record.
        gain: Linear factor on the stored audio (full scale 1).
        lift: Whether to raise the window to its video's level before the gain.
        crop: Position of the crop in the frames, (down, right), each from 0 (top or left) to 1.
        flip: Whether to mirror the frames.
        seen: Object that takes the place of the frames where the classifier knows the class; None for the frames.
    """

    clip: int
    start: int
    gain: float
    lift: bool = False
    crop: tuple[float, float] = (0.5, 0.5)
    flip: bool = False
    seen: ObjectPlan | None = None


class ClipTable:
    """The clips of a split that are long enough for a window, by video and class.

    Args:
        clips: Records of the split.
        audio: Sizes of the window.
        sources: Number of sources that a mixture needs.
        same_class: Whether a mixture may contain two videos of one class.

    Raises:
        InputError: Too few videos or classes for a mixture.
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
        """Draws (clip, start sample) uniformly from the windows of a video that lie within one record."""
        indices = self.by_video[video]
        starts = np.array([self.clips[i].samples - self.clip_samples + 1 for i in indices])
        place = int(rng.integers(starts.sum()))
        which = int(np.searchsorted(np.cumsum(starts), place, side="right"))
        return indices[which], place - int(starts[:which].sum())


def draw_mixture(table: ClipTable, mixing: MixingSpec, *, seed: int, step: int, slot: int) -> list[SourcePlan]:
    """Plans the mixture of one slot of one step's global batch.

    Args:
        table: Clips to draw from.
        mixing: How mixtures are made.
        seed: Seed of the pipeline.
        step: Training step, counted from 0.
        slot: Position in the *global* batch, which makes the result independent of the number of processes.

    Returns:
        `mixing.sources` plans of distinct videos. Source: Sec. 4.1 (mix-and-separate).
    """
    rng = np.random.default_rng([seed, step, slot])
    of_objects = np.random.default_rng([seed, step, slot, 1])
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
                seen=draw_object(of_objects) if of_objects.uniform() < mixing.classifier_share else None,
            )
        )
    return plans


def _draw_gain(rng: np.random.Generator, mixing: MixingSpec) -> float:
    if mixing.gain_scale == "decibels":
        return float(np.exp(rng.uniform(np.log(mixing.gain_low), np.log(mixing.gain_high))))
    return rng.uniform(mixing.gain_low, mixing.gain_high)


def level_gain(clip: "Clip", level_dbfs: float) -> float:
    """Returns the gain that brings a clip's complete video to a level, 0 for a silent video."""
    return 10 ** (level_dbfs / 20) / clip.video_rms if clip.video_rms > 0 else 0.0


def frame_indices(plan: SourcePlan, clip: "Clip", *, audio: AudioSpec, frames: FrameSpec, fps: float) -> np.ndarray:
    """Selects the stored frames of a window by time.

    Args:
        plan: The window.
        clip: Its record.
        audio: Length and sample rate of the window.
        frames: Number of frames and their distance.
        fps: Stored frames per second.

    Returns:
        int64 (count,): Indices of the frames shown at `FrameSpec.seconds`.
    """
    seconds = frames.seconds(audio.clip_seconds)
    indices = np.floor((plan.start / audio.rate_hz + seconds) * fps).astype(np.int64)
    return np.clip(indices, 0, clip.frames - 1)
