"""Reads and checks the config of a run.

This module imports neither JAX nor TensorFlow, so a wrong field is refused at once.
"""

import sys
from pathlib import Path
from typing import Any

import ml_collections
from absl import flags
from ml_collections import config_flags

import mpnet_jax.configs as configs
from data_pipeline.command import InputError, expanded
from mpnet_jax.config.specs import Config, audio_spec

CHOICES = {
    "audio.pad_mode": ("reflect", "constant"),
    "mixing.level_of": ("video", "window"),
    "mixing.truth": ("magnitude", "phase_sensitive"),
    "mixing.gain_scale": ("linear", "decibels"),
    "evaluation.level_distribution": ("uniform", "triangular"),
    "model.compute": ("float32", "bfloat16"),
    "model.visual_pooling": ("max", "mean", "logmeanexp"),
    "model.visual_activation": ("sigmoid", "none"),
    "model.plus_start": ("random", "minus_net"),
    "model.frame_net": ("resnet18", "efficientnet_lite0"),
    "model.frame_net_trained": ("all", "head", "nothing"),
    "model.initial_weights": ("released", "he"),
    "mask": ("binary", "ratio"),
    "loss.ratio": ("absolute", "cross_entropy"),
    "loss.ratio_plus": ("absolute", "cross_entropy", "magnitude", "log_magnitude", "si_sdr", "missed"),
    "loss.binary_plus": ("share", "missed"),
    "loss.plus": ("effective", "sum"),
    "audio.frequency_axis": ("log", "released", "mel", "linear"),
    "recursion.mask_on": ("remaining", "original"),
    "recursion.subtraction": ("difference", "product"),
    "recursion.subtracted": ("solo", "final"),
    "recursion.energy": ("magnitude", "power", "written"),
    "recursion.remainder": ("mean", "rms"),
    "recursion.plus_source": ("remix", "others"),
    "loss.remaining": ("after", "before"),
    "recursion.training_order": ("ground_truth", "predicted", "drawn"),
    "recursion.unroll": ("auto", "yes", "no"),
    "miml.learns_from": ("solos", "mixtures"),
    "miml.divergence": ("kullback_leibler", "itakura_saito", "euclidean"),
    "optimiser.name": ("sgd", "adam", "adam_l2", "adamw", "muon"),
    "optimiser.schedule": ("steps", "cosine", "exponential", "constant"),
    "evaluation.bss": ("fft", "mir_eval"),
}

PLUS_INPUTS = ("remix", "sound", "remaining", "mixture")

_AT_LEAST_ONE = (
    "batch_size",
    "log_every",
    "summary_every",
    "validate_every",
    "checkpoint_every",
    "frames.count",
    "frames.crop_px",
    "data.feature_views",
    "mixing.sources",
    "recursion.place_side",
    "recursion.plus_passes",
    "model.visual_channels",
    "model.unet_depth",
    "model.unet_features",
    "model.plus_features",
    "model.resnet_features",
    "miml.classes",
    "miml.class_steps",
    "miml.class_mixtures",
    "miml.mixtures",
    "miml.bases",
    "miml.iterations",
    "miml.features",
    "miml.concepts",
    "miml.bases_of_class",
    "miml.separation_iterations",
    "optimiser.decay_steps",
    "evaluation.mixtures",
    "evaluation.other_mixtures",
    "evaluation.validation_mixtures",
    "evaluation.counting.mixtures",
    "evaluation.counting.clips",
    "evaluation.places.mixtures",
    "evaluation.places.frame_px",
    "evaluation.far.mixtures",
    "evaluation.batch_size",
)

_UNIT_INTERVAL = (
    "mixing.classifier_share",
    "mixing.silent_probability",
    "model.statistics_decay",
    "recursion.neighbourhood",
    "optimiser.decay",
    "optimiser.average_decay",
    "model.feature_dropout",
    "evaluation.plus_threshold",
)

_NOT_NEGATIVE = (
    "data.picture_cache_gib",
    "data.feature_seconds",
    "model.feature_noise",
    "loss.class_weight",
    "rounds.minus",
    "rounds.plus",
    "rounds.both",
    "mixing.gain_low",
    "loss.remaining_weight",
    "model.log_epsilon",
    "recursion.floor",
    "optimiser.learning_rate",
    "optimiser.round_scale.minus",
    "optimiser.round_scale.plus",
    "optimiser.round_scale.both",
    "optimiser.scale.frame_trunk",
    "optimiser.scale.frame_head",
    "optimiser.scale.minus_net",
    "optimiser.scale.plus_net",
    "optimiser.warmup_steps",
    "miml.threshold",
    "miml.class_rate",
    "frames.stride_seconds",
    "optimiser.momentum",
    "optimiser.weight_decay",
    "evaluation.level_difference_db",
    "evaluation.examples",
)


# Fields that are paths; `~` at their beginning is the home folder.
PATH_FIELDS = ("start_from", "data.directory", "data.picture_cache_dir", "data.feature_directory")


def define_flag(default: str | None) -> None:
    """Defines `--config`, with the name or path of the default config, and the flags of its fields."""
    help_text = f"Config file, or one of {', '.join(shipped())}; fields by --config.field=value."
    config_flags.DEFINE_config_file("config", default, help_text)
    parser = flags.FLAGS["config"].parser
    load = parser.parse
    parser.parse = lambda argument: load(file_of(argument))  # config_flags takes no parser of ours


def shipped() -> list[str]:
    """Returns the names of the configs that ship with the package."""
    return sorted(path.stem for path in Path(configs.__path__[0]).glob("[a-z]*.py"))


def file_of(argument: str) -> str:
    """Returns the file of a config that is given by its name or by its path, with what follows a colon.

    A plain name always means the config that ships, whatever the working directory holds.
    """
    name, colon, choice = argument.partition(":")
    if name in shipped():
        name = str(Path(configs.__path__[0]) / f"{name}.py")
    return expanded(name + colon + choice)


def given_flags() -> list[str]:
    """Returns `--config` and the changed fields as this command got them, for another command."""
    holder = flags.FLAGS["config"]
    changed = config_flags.get_override_values(holder)
    return [
        f"--config={config_flags.get_config_filename(holder)}",
        *(f"--config.{field}={value}" for field, value in changed.items()),
    ]


def from_flags() -> Config:
    """Returns the checked config of `--config`, as changed by `--config.field=value` flags.

    Raises:
        InputError: The file cannot be read, or a field is wrong.
    """
    try:
        config = flags.FLAGS.config
        config.keys()  # an unreadable file raises only when the config is used
    except OSError:
        given = [argument for argument in sys.argv if argument.lstrip("-").startswith("config=")]
        raise InputError(f"{' '.join(given)} cannot be read; give a file, or one of {', '.join(shipped())}") from None
    check(config)
    for field in PATH_FIELDS:
        path = flatten(config)[field]
        if path.startswith("~"):
            config.update_from_flattened_dict({field: expanded(path)})
    return config


def check(config: Config) -> None:
    """Raises InputError for the first wrong field of a config, with its value, the rule and the remedy."""
    _check_fields(flatten(config))
    if config.mixing.gain_high < config.mixing.gain_low:
        raise InputError(
            f"config.mixing.gain_high={config.mixing.gain_high} must be at least gain_low={config.mixing.gain_low}"
        )
    if config.frames.crop_px > config.data.frame_px:
        raise InputError(
            f"config.frames.crop_px={config.frames.crop_px} must be at most config.data.frame_px="
            f"{config.data.frame_px}, the stored pictures' shorter side"
        )
    if config.mixing.gain_scale == "decibels" and config.mixing.gain_low <= 0:
        raise InputError(
            f"config.mixing.gain_low={config.mixing.gain_low} has no level in decibels; give a gain above 0, such as "
            "0.1 for 20 dB under 1, or set config.mixing.gain_scale='linear'"
        )
    _check_plus_inputs(config)
    _check_spectrogram(config)


def plus_inputs(config: Config) -> tuple[str, ...]:
    """Returns the names of the Plus-Net's input channels."""
    return tuple(config.model.plus_inputs.split(","))


def _check_plus_inputs(config: Config) -> None:
    names = plus_inputs(config)
    if names[0] != "remix" or not set(names) <= set(PLUS_INPUTS) or len(set(names)) < len(names):
        raise InputError(
            f"config.model.plus_inputs={config.model.plus_inputs!r} must be remix and then, with commas, any of "
            f"{', '.join(PLUS_INPUTS[1:])}, each once; the paper has remix,sound"
        )


def _check_fields(flat: dict[str, Any]) -> None:
    """Checks each field by itself."""
    for field, allowed in CHOICES.items():
        if flat[field] not in allowed:
            raise InputError(f"config.{field}={flat[field]!r} is unknown; use one of {', '.join(allowed)}")
    for fields, fits, rule in (
        (_AT_LEAST_ONE, lambda value: value >= 1, "be at least 1"),
        (_UNIT_INTERVAL, lambda value: 0 <= value <= 1, "lie between 0 and 1"),
        (_NOT_NEGATIVE, lambda value: value >= 0, "not be negative"),
    ):
        for field in fields:
            if not fits(flat[field]):
                raise InputError(f"config.{field}={flat[field]} must {rule}")


def _check_spectrogram(config: Config) -> None:
    """Checks that both sides of the spectrogram can be halved as often as the U-Net halves them."""
    try:
        audio = audio_spec(config)
    except ValueError as error:
        raise InputError(f"config.audio: {error}") from None
    step = 2**config.model.unet_depth

    def nearest(side: int) -> int:
        return max(step, side // step * step)

    rows, columns = config.audio.frequency_rows, audio.time_frames
    if rows % step:
        raise InputError(f"config.audio.frequency_rows={rows} must divide by 2**unet_depth={step}; try {nearest(rows)}")
    if columns % step:
        raise InputError(
            f"config.audio.clip_samples={audio.clip_samples} gives {columns} columns, which must divide by "
            f"2**unet_depth={step}; try clip_samples={(nearest(columns) - 1) * audio.hop_samples}"
        )


def flatten(config: Config) -> dict[str, Any]:
    """Returns the fields as {"group.field": value}, with lists for tuples as in JSON."""
    flat: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, ml_collections.ConfigDict):
            flat |= {f"{name}.{inner}": item for inner, item in flatten(value).items()}
        else:
            flat[name] = list(value) if isinstance(value, tuple) else value
    return flat
