"""Plain values made from a config, for functions that take no config."""

import dataclasses
from pathlib import Path
from typing import Any, TypeAlias

from data_pipeline.mixing import MixingSpec
from data_pipeline.mixture_list import MixtureListSpec
from data_pipeline.spec import AudioSpec, DataSetSpec, FrameSpec

# ml_collections types every field as a union of all kinds of values, which no operation takes.
Config: TypeAlias = Any


def audio_spec(config: Config) -> AudioSpec:
    """Returns the length of a sound window and its transform."""
    a = config.audio
    return AudioSpec(a.rate_hz, a.clip_samples, a.fft_samples, a.hop_samples, a.pad_mode)


def frame_spec(config: Config) -> FrameSpec:
    """Returns the number, size and spacing of the frames of a window."""
    return FrameSpec(config.frames.count, config.frames.crop_px, config.frames.stride_seconds)


@dataclasses.dataclass(frozen=True)
class DataSpec:
    """The data set of a run, and how training mixtures are made from it.

    Attributes:
        directory: Folder of all data sets.
        name: Name of this one.
        records: How its records must have been prepared; chunks may be of any length.
        audio: Window of sound.
        frames: Frames of a window.
        mixing: Rules of a training mixture.
        cache_gib: Decoded training frames that a process keeps at most, in GiB.
        cache_dir: Folder of that cache; "" keeps it in memory.
    """

    directory: Path
    name: str
    records: DataSetSpec
    audio: AudioSpec
    frames: FrameSpec
    mixing: MixingSpec
    cache_gib: float
    cache_dir: str


def data_spec(config: Config) -> DataSpec:
    """Returns the data set of a run."""
    data = config.data
    return DataSpec(
        directory=Path(data.directory),
        name=data.name,
        records=DataSetSpec(config.audio.rate_hz, data.fps, data.frame_px, chunk_seconds=0.0),
        audio=audio_spec(config),
        frames=frame_spec(config),
        mixing=MixingSpec(**config.mixing.to_dict(), in_phase=needs_in_phase(config)),
        cache_gib=data.picture_cache_gib,
        cache_dir=data.picture_cache_dir,
    )


def needs_in_phase(config: Config) -> bool:
    """Returns whether the loss is an SI-SDR, which depends on the phase of the sources."""
    with_plus = bool(config.rounds.plus or config.rounds.both)
    return with_plus and config.mask == "ratio" and config.loss.ratio_plus == "si_sdr"


@dataclasses.dataclass(frozen=True)
class EvaluationSpec:
    """The fixed mixtures that a run is evaluated on, and what is reported of them.

    Attributes:
        mixtures: Number of mixtures by the kind of list: "validation", "far", "other" (of another number of sounds
            than in training) and "test" (every other split).
        drawn: How mixtures of the run's number of sounds are drawn; `count` is set by `list_spec`.
        batch_size: Mixtures in a batch.
        examples: Mixtures shown in the report.
        bss: Implementation of BSS Eval, "fft" or "mir_eval".
        counting_mixtures: Mixtures for counting.
        counting_clips: Visible clips in each of them.
        silence_dbfs: Level of white noise below which the remaining mixture is silent.
        places_name: Data set for localisation.
        places_mixtures: Scenes of each kind for localisation.
        places_frame_px: Shorter side of its frames.
        far_name: Data set far from the training data.
        plus_threshold: See `Rules`.
    """

    mixtures: dict[str, int]
    drawn: MixtureListSpec
    batch_size: int
    examples: int
    bss: str
    counting_mixtures: int
    counting_clips: int
    silence_dbfs: float
    places_name: str
    places_mixtures: int
    places_frame_px: int
    far_name: str
    plus_threshold: float

    @property
    def scoring(self) -> dict[str, Any]:
        """Settings that scores of given networks depend on; without the defaults of fields that were added later."""
        return {"bss": self.bss} | ({"plus_threshold": self.plus_threshold} if self.plus_threshold else {})

    def list_spec(self, split: str, sources: int | None = None) -> MixtureListSpec:
        """Returns how the fixed mixtures of a split, or of "far", are drawn.

        Args:
            split: "train", "validation", "test" or "far".
            sources: Sounds in a mixture; None takes the number in training.
        """
        count = self.mixtures.get(split, self.mixtures["test"])
        if sources is not None and sources != self.drawn.sources:
            count = self.mixtures["other"]
        return dataclasses.replace(self.drawn, count=count, sources=sources or self.drawn.sources)


def evaluation_spec(config: Config) -> EvaluationSpec:
    """Returns the fixed mixtures of a run and the settings of its evaluation."""
    e = config.evaluation
    return EvaluationSpec(
        mixtures={
            "validation": e.validation_mixtures,
            "far": e.far.mixtures,
            "other": e.other_mixtures,
            "test": e.mixtures,
        },
        drawn=MixtureListSpec(
            count=e.mixtures,
            sources=config.mixing.sources,
            same_class=config.mixing.same_class,
            level_difference_db=e.level_difference_db,
            level_distribution=e.level_distribution,
            floor_dbfs=e.floor_dbfs,
            level_dbfs=config.mixing.level_dbfs,
            seed=e.seed,
        ),
        batch_size=e.batch_size,
        examples=e.examples,
        bss=e.bss,
        counting_mixtures=e.counting.mixtures,
        counting_clips=e.counting.clips,
        silence_dbfs=e.counting.silence_dbfs,
        places_name=e.places.name,
        places_mixtures=e.places.mixtures,
        places_frame_px=e.places.frame_px,
        far_name=e.far.name,
        plus_threshold=e.plus_threshold,
    )
