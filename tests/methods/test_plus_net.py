"""Tests of the Plus-Net's config fields: what they build, what does not go together, and a complete run."""

import itertools
import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.plus_variants import VARIANTS
from data_pipeline.command import InputError
from mpnet_jax.config import check, saved_config
from mpnet_jax.config.specs import data_spec
from mpnet_jax.methods.registry import method_of
from mpnet_jax.run.checkpoint import Checkpoints
from mpnet_jax.train import train
from mpnet_jax.weights.model_file import read_model, write_model
from mpnet_jax.weights.trained import read_run
from tests.support.short_frame_net import ShortFrameNet
from tests.support.tiny_run import tiny_config

ALL = VARIANTS["looks_sweeps_si_sdr"]


def config_with(data_dir, **fields):
    config = tiny_config(data_dir)
    rounds = {"rounds.minus": 2, "rounds.plus": 2, "rounds.both": 2}
    config.update_from_flattened_dict(rounds | {"mask": "ratio"} | fields)
    return config


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_is_a_valid_config(tmp_path, name):
    for mask in ("ratio", "binary"):
        config = config_with(tmp_path, mask=mask, **VARIANTS[name])
        check.check(config)
        rules = method_of(config).rules()
        assert rules.plus_conserves == ("conserves" in name or "sweeps" in name)


def test_the_networks_have_the_inputs_and_maps_of_the_config(tmp_path, monkeypatch):
    monkeypatch.setattr("mpnet_jax.models.frame_net.ResNet18", ShortFrameNet)
    shapes = {}
    for name, fields in {"paper": {}, "all": ALL}.items():
        method = method_of(config_with(tmp_path, **{"mixing.sources": 3}, **fields))
        state = jax.eval_shape(method.initial_state)
        params, statistics = state.params["plus_net"], state.batch_stats["plus_net"]
        shapes[name] = (params["down_0"]["kernel"].shape[2], params["up_0"]["bias"].shape[0])
        # Two of the three steps run it, and each of three sounds in a sweep.
        assert statistics["norm_in"]["mean"].shape == ((2, 2) if name == "paper" else (5, 4))
    assert shapes == {"paper": (2, 1), "all": (4, 4)}


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"model.plus_inputs": "sound,remix"}, "plus_inputs='sound,remix' must be remix and then, with commas, any of"),
        ({"model.plus_inputs": "remix,sound,sound"}, "each once; the paper has remix,sound"),
        ({"model.plus_inputs": "remix,rest"}, "any of sound, remaining, mixture"),
        ({"recursion.plus_source": "rest"}, "plus_source='rest' is unknown; use one of remix, others"),
        ({"recursion.plus_passes": 0}, "config.recursion.plus_passes=0 must be at least 1"),
        ({"recursion.plus_passes": 2}, "config.recursion.plus_passes=2 would add the same part"),
        ({"recursion.plus_conserves": True, "recursion.subtracted": "final"}, "subtracted=final and floor=0 they do"),
        ({"loss.ratio_plus": "mse"}, "use one of absolute, cross_entropy, magnitude, log_magnitude, si_sdr, missed"),
        ({"loss.binary_plus": "mse"}, "config.loss.binary_plus='mse' is unknown; use one of share, missed"),
        ({"loss.plus": "sum", "loss.ratio_plus": "si_sdr"}, "only effective has a meaning"),
        ({"loss.plus": "sum", "recursion.plus_conserves": True}, "only effective has a meaning"),
        ({"loss.ratio_plus": "si_sdr", "mixing.truth": "phase_sensitive"}, "si_sdr needs whole sources; set config.m"),
        ({"evaluation.plus_threshold": 2.0}, "config.evaluation.plus_threshold=2.0 must lie between 0 and 1"),
    ],
)
def test_fields_that_do_not_fit_are_refused(tmp_path, fields, sentence):
    config = config_with(tmp_path, **fields)
    with pytest.raises(InputError) as refused:
        check.check(config)
        method_of(config)
    assert sentence in str(refused.value)


def test_a_config_of_before_these_fields_means_the_paper_s_plus_net(tmp_path):
    recorded = check.flatten(tiny_config(tmp_path))
    for name in (
        "model.plus_looks",
        "model.plus_inputs",
        "recursion.plus_source",
        "recursion.plus_conserves",
        "recursion.plus_passes",
        "loss.binary_plus",
        "evaluation.plus_threshold",
    ):
        del recorded[name]
    config = saved_config.restored(recorded, tmp_path)
    assert (config.model.plus_inputs, config.model.plus_looks) == ("remix,sound", False)
    assert not data_spec(config).mixing.in_phase


def test_scores_of_another_threshold_are_not_taken_for_those_of_this_one(tmp_path):
    config = config_with(tmp_path)
    assert method_of(config).evaluation.scoring == {"bss": "fft"}  # as before there was a threshold
    config.evaluation.plus_threshold = 0.25
    method = method_of(config)
    assert method.evaluation.scoring == {"bss": "fft", "plus_threshold": 0.25} and method.rules().plus_threshold == 0.25


def test_only_an_si_sdr_needs_the_phase_of_the_sources(tmp_path):
    wanted = [("ratio", "si_sdr", 2), ("ratio", "absolute", 2), ("binary", "si_sdr", 2), ("ratio", "si_sdr", 0)]
    found = [
        data_spec(
            config_with(tmp_path, mask=mask, **{"loss.ratio_plus": loss, "rounds.plus": steps, "rounds.both": steps})
        ).mixing.in_phase
        for mask, loss, steps in wanted
    ]
    assert found == [True, False, False, False]


@pytest.fixture(scope="module")
def run(tiny_set, tmp_path_factory):
    """A finished run of three rounds with all of the Plus-Net's alternatives at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mpnet_jax.models.frame_net.ResNet18", ShortFrameNet)
        workdir = tmp_path_factory.mktemp("run") / "all"
        # Deeper U-Nets have more layers of the same kinds, which take long to compile.
        assert train(config_with(tiny_set, **ALL, **{"model.unet_depth": 1}), workdir) == 0
        yield workdir


def last_state(workdir):
    method = method_of(saved_config.restored(saved_config.require_recorded(workdir), workdir))
    checkpoints = Checkpoints(workdir, read_only=True)
    assert checkpoints.step("latest") == 6
    state = checkpoints.restore(method.state_at(6), kind="latest")
    checkpoints.close()
    return state


def test_the_plus_net_learns_in_its_own_rounds(run):
    lines = [json.loads(line) for line in (run / "losses.jsonl").read_text().splitlines()]
    assert [("loss_plus" in line) for line in lines] == [False, False, True, True, True, True]
    assert all(np.isfinite(line["loss"]) for line in lines)


def test_a_resumed_run_is_bit_equal(run, tmp_path):
    folder = shutil.copytree(run, tmp_path / "again")
    shutil.rmtree(folder / "checkpoints" / "latest" / "6")
    config = saved_config.restored(saved_config.require_recorded(folder), folder)
    assert train(config, folder) == 0
    one, other = last_state(run), last_state(folder)
    for (path, a), b in zip(jax.tree_util.tree_leaves_with_path(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(a, b, err_msg=jax.tree_util.keystr(path))


def test_a_model_file_separates_the_places_of_a_picture(run, tmp_path):
    path = tmp_path / "all.safetensors"
    write_model(path, read_run(run))
    model = read_model(path)
    assert model.facts["method"] == "mpnet"
    config, audio = model.method.config, model.method.audio
    rng = np.random.default_rng(0)
    batch = {
        "mixture_magnitude": jnp.asarray(rng.gamma(0.5, 1.0, (1, audio.freq_bins, audio.time_frames)), jnp.float32),
        "frames": jnp.asarray(rng.integers(0, 255, (1, 1, 32, 32, 3), np.uint8)),
    }
    for mask, threshold in itertools.product(("ratio", "binary"), (0.0, 0.3)):
        config.evaluation.plus_threshold = threshold
        step = method_of(config).place_step("mpnet", steps=3, mask=mask, epsilon_relative=0.1)
        out = jax.eval_shape(step, model.variables, batch) if threshold else jax.jit(step)(model.variables, batch)
        assert out["share"].shape == (1, 3, audio.freq_bins, audio.time_frames)
        if not threshold:
            total = np.asarray(out["share"]).sum(1)
            assert np.all(np.asarray(out["share"]) >= 0) and total.max() <= (1.0 + 1e-4 if mask == "ratio" else 3.0)
    counted = jax.eval_shape(
        method_of(config).count_step("mpnet", mode="clips"),
        model.variables,
        {**batch, "frames": batch["frames"][:, None]},
    )
    assert counted["left"].shape == (1, 2)
