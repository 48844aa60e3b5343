"""The plain values that a config describes, for functions that take no config."""

from typing import Any, TypeAlias

from data_pipeline.mixing import MixingSpec
from data_pipeline.mixture_list import MixtureListSpec
from data_pipeline.spec import AudioSpec, DataSetSpec, FrameSpec

# ml_collections types every field as a union of all kinds of values, which no operation takes.
Config: TypeAlias = Any


def audio_spec(config: Config) -> AudioSpec:
    """The window of sound and its transform."""
    a = config.audio
    return AudioSpec(a.rate_hz, a.clip_samples, a.fft_samples, a.hop_samples, a.pad_mode)


def frame_spec(config: Config) -> FrameSpec:
    """The pictures of a window."""
    return FrameSpec(config.frames.count, config.frames.crop_px, config.frames.stride_seconds)


def mixing_spec(config: Config) -> MixingSpec:
    """The rules of a training mixture."""
    return MixingSpec(**config.mixing.to_dict())


def mixture_list_spec(config: Config, split: str, sources: int | None = None) -> MixtureListSpec:
    """How the fixed mixtures of a split, or of "far", are drawn; of `sources` sounds, or the run's."""
    e = config.evaluation
    count = {"validation": e.validation_mixtures, "far": e.far.mixtures}.get(split, e.mixtures)
    if sources is not None and sources != config.mixing.sources:
        count = e.other_mixtures
    return MixtureListSpec(
        count=count,
        sources=sources or config.mixing.sources,
        same_class=config.mixing.same_class,
        level_difference_db=e.level_difference_db,
        level_distribution=e.level_distribution,
        floor_dbfs=e.floor_dbfs,
        level_dbfs=config.mixing.level_dbfs,
        seed=e.seed,
    )


def data_set_spec(config: Config) -> DataSetSpec:
    """How the data set must have been cut; chunks may be of any length."""
    return DataSetSpec(config.audio.rate_hz, config.data.fps, config.data.frame_px, chunk_seconds=0.0)
