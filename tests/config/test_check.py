"""Tests of configs: every shipped one is valid, and a wrong field is refused in one sentence."""

import importlib

import pytest

from data_pipeline.command import InputError
from mpnet_jax.config import check as config_module
from mpnet_jax.config import specs
from mpnet_jax.configs import base
from mpnet_jax.methods.registry import method_of
from mpnet_jax.steps.learnt import networks
from tests.support.repository import ROOT
from tests.support.short_frame_net import ShortFrameNet

REDUCED = {
    "batch_size": 4,
    "audio.rate_hz": 8000,
    "audio.clip_samples": 15 * 64,
    "audio.fft_samples": 254,
    "audio.hop_samples": 64,
    "audio.frequency_rows": 16,
    "frames.crop_px": 32,
    "model.visual_channels": 4,
    "model.unet_depth": 2,
    "model.unet_features": 2,
    "model.plus_features": 2,
    "model.resnet_features": 4,
    # With warmup, the learning rate of the first step is zero.
    "optimiser.warmup_steps": 0,
    "miml.features": 8,
}
SHIPPED = sorted(path.stem for path in (ROOT / "configs").glob("[a-z]*.py"))


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_config_is_valid_and_adds_no_field(name: str) -> None:
    config = importlib.import_module(f"configs.{name}").get_config()
    config_module.check(config)
    assert config_module.flatten(config).keys() == config_module.flatten(base.get_config()).keys()


def test_miml_uses_the_data_of_another_config() -> None:
    config = importlib.import_module("configs.miml").get_config("quickstart")
    config_module.check(config)
    assert (config.name, config.method, config.audio.rate_hz) == ("miml_quickstart", "miml", 11_025)
    with pytest.raises(ValueError, match=r"miml\.py:toy is unknown; use one of music_mix2, .* behind the colon"):
        importlib.import_module("configs.miml").get_config("toy")


def test_paper_sizes() -> None:
    audio = specs.audio_spec(base.get_config())
    assert (audio.freq_bins, audio.time_frames) == (751, 256)  # Sec. 4.1
    assert audio.clip_seconds == pytest.approx(5.9875)


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("batch_size", 0, "config.batch_size=0 must be at least 1"),
        ("audio.pad_mode", "wrap", "config.audio.pad_mode='wrap' is unknown; use one of reflect, constant"),
        ("audio.fft_samples", 1501, "config.audio: fft_samples=1501 must be even; try 1502"),
        ("audio.hop_samples", 751, "must be at most half of fft_samples=1500"),
        (
            "audio.frequency_rows",
            200,
            "config.audio.frequency_rows=200 must divide by 2**unet_depth=128; try 128",
        ),
        (
            "audio.clip_samples",
            90_000,
            "gives 241 columns, which must divide by 2**unet_depth=128; try clip_samples=47625",
        ),
        ("mixing.silent_probability", 1.5, "config.mixing.silent_probability=1.5 must lie between 0 and 1"),
        ("mixing.gain_high", 0.1, "config.mixing.gain_high=0.1 must be at least gain_low=0.5"),
        ("frames.crop_px", 300, "config.frames.crop_px=300 must be at most config.data.frame_px=246"),
        ("mixing.sources", 1, "config.mixing.sources=1 leaves nothing for the Plus-Net to add"),
        ("optimiser.scale.frame_trunk", -1.0, "config.optimiser.scale.frame_trunk=-1.0 must not be negative"),
        (
            "audio.frequency_axis",
            "bark",
            "config.audio.frequency_axis='bark' is unknown; use one of log, released, mel",
        ),
        ("optimiser.learning_rate", -1.0, "config.optimiser.learning_rate=-1.0 must not be negative"),
        ("recursion.neighbourhood", 2.0, "config.recursion.neighbourhood=2.0 must lie between 0 and 1"),
        ("recursion.training_order", "random", "use one of ground_truth, predicted"),
        ("mixing.gain_scale", "phon", "config.mixing.gain_scale='phon' is unknown; use one of linear, decibels"),
        (
            "miml.divergence",
            "euclid",
            "config.miml.divergence='euclid' is unknown; use one of kullback_leibler, itakur",
        ),
        ("miml.bases", 0, "config.miml.bases=0 must be at least 1"),
        ("evaluation.bss", "museval", "config.evaluation.bss='museval' is unknown; use one of fft, mir_eval"),
    ],
)
def test_the_message_for_a_wrong_value_names_value_rule_and_remedy(field: str, value: object, sentence: str) -> None:
    config = base.get_config()
    config.update_from_flattened_dict({field: value})
    with pytest.raises(InputError) as refused:
        config_module.check(config)
        method_of(config)
    assert sentence in str(refused.value)


def test_the_suggested_clip_length_fits() -> None:
    config = base.get_config()
    config.audio.clip_samples = 47_625
    config_module.check(config)


def test_a_gain_of_zero_has_no_level() -> None:
    config = base.get_config()
    config.mixing.gain_low, config.mixing.gain_scale = 0.0, "decibels"
    with pytest.raises(InputError, match=r"gain_low=0\.0 has no level in decibels; give a gain above 0"):
        config_module.check(config)


# These differ most from one another; each further one takes some seconds.
FAST = ("released", "pixelplayer", "miml")
STEPS = [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in SHIPPED]


@pytest.mark.parametrize("name", STEPS)
def test_every_shipped_config_trains_a_step(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import jax
    import numpy as np

    from mpnet_jax import parallel

    monkeypatch.setattr("mpnet_jax.models.frame_net.ResNet18", ShortFrameNet)
    config = importlib.import_module(f"configs.{name}").get_config()
    config.update_from_flattened_dict(REDUCED)
    audio, sources, count = specs.audio_spec(config), config.mixing.sources, config.frames.count
    rng = np.random.default_rng(0)
    magnitude = rng.gamma(0.5, 1.0, (4, sources, audio.freq_bins, audio.time_frames)).astype(np.float32)
    batch = {
        "source_magnitude": magnitude,
        "mixture_magnitude": magnitude.sum(1),
        "frames": rng.integers(0, 255, (4, sources, count, 32, 32, 3), np.uint8),
        "source_label": rng.integers(0, config.miml.classes, (4, sources), np.int32),
        "valid": np.ones(4, bool),
        # Inputs of MIML's step.
        "bases": rng.random((4, config.miml.bases, audio.freq_bins)).astype(np.float32),
        "present": np.eye(config.miml.classes, dtype=np.float32)[:4],
    }
    if config.data.feature_seconds:
        batch["features"] = rng.random((4, sources, count, 1, 1, 1280)).astype(np.float16)
    last = method_of(config).rounds[-1]
    state = method_of(config).state_in(method_of(config).initial_state(), last)
    before = jax.tree.map(np.asarray, state.params)
    step = parallel.parallel_step(method_of(config).train_step(last))
    state, metrics = step(parallel.replicate(state), parallel.shard(batch))
    after = parallel.unreplicate(state).params
    assert all(np.isfinite(value).all() for value in jax.tree.leaves(jax.tree.map(np.asarray, metrics)))
    for net in networks(last.trained):
        changed = jax.tree.map(lambda a, b: bool(np.any(a != b)), before[net], after[net])
        assert any(jax.tree.leaves(changed)), net
