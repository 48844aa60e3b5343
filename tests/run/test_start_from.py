"""Tests of starting a run from the networks of another run."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data_pipeline.command import InputError
from mpnet_jax.methods.registry import method_of
from mpnet_jax.models.frame_net import FrameNetSpec
from mpnet_jax.models.mpnet import MPNet
from mpnet_jax.models.pixelplayer import PixelPlayer
from mpnet_jax.models.transfer import mnet_of_pixelplayer
from mpnet_jax.run.checkpoint import Checkpoints
from mpnet_jax.train import train
from tests.support.random_variables import random_variables
from tests.support.short_frame_net import ShortFrameNet
from tests.support.tiny_run import tiny_config

SIZES = {"visual_channels": 4, "unet_depth": 2, "unet_features": 2, "frame_spec": FrameNetSpec(resnet_features=2)}


def test_the_first_step_after_the_transfer_gives_the_masks_of_pixelplayer(monkeypatch):
    monkeypatch.setattr("mpnet_jax.models.frame_net.ResNet18", ShortFrameNet)
    rng = np.random.default_rng(0)
    frames = jnp.asarray(rng.integers(0, 255, (2, 3, 1, 32, 32, 3), np.uint8))
    mixture = jnp.asarray(rng.random((2, 16, 12), np.float32))
    theirs = random_variables(PixelPlayer(**SIZES), frames, mixture)
    ours = random_variables(MPNet(**SIZES, plus_features=2), frames, mixture, seed=1)
    ours["batch_stats"]["minus_net"] = jax.tree.map(lambda x: np.stack([x] * 3), ours["batch_stats"]["minus_net"])
    found = mnet_of_pixelplayer(theirs, ours)
    assert jax.tree.map(np.shape, found) == jax.tree.map(np.shape, ours)
    assert found["params"]["plus_net"] is ours["params"]["plus_net"]
    for step in range(3):
        statistics = found["batch_stats"] | {
            "minus_net": jax.tree.map(lambda x, step=step: x[step], found["batch_stats"]["minus_net"])
        }
        variables = {"params": found["params"], "batch_stats": statistics}
        model = MPNet(**SIZES, plus_features=2)
        vectors = model.apply(variables, frames, method="look")
        logits = jnp.einsum("bck,bftk->bcft", vectors, model.apply(variables, mixture, method="listen"))
        wanted = PixelPlayer(**SIZES).apply(theirs, frames, mixture)[0] - theirs["params"]["synthesizer"]["bias"]
        np.testing.assert_allclose(logits, wanted, atol=1e-5)


@pytest.mark.parametrize("name", ["mpnet", "pixelplayer"])
def test_a_running_mean_begins_at_the_networks_of_the_other_run(name, monkeypatch):
    monkeypatch.setattr("mpnet_jax.models.frame_net.ResNet18", ShortFrameNet)
    monkeypatch.setattr("mpnet_jax.run.start_from.recorded_method", lambda folder, default: default)
    monkeypatch.setattr(
        "mpnet_jax.run.start_from.restored",
        lambda folder, template, results, without=(): jax.tree.map(lambda x: np.asarray(x) + 1, template),
    )
    config = tiny_config(Path("data"))
    config.method, config.optimiser.average_decay = name, 0.9
    if name == "pixelplayer":
        config.rounds.minus, config.rounds.both = 0, 2
    method = method_of(config)
    own = method.state_at(0)
    state = method.begin(method.started_from(own), method.rounds[0])
    assert set(state.average["params"]) <= set(own.params) and state.average["params"]
    jax.tree.map(lambda found, x: np.testing.assert_array_equal(found, x + 1), state.params, own.params)
    jax.tree.map(lambda found, x: np.testing.assert_array_equal(found, x + 1), state.variables, own.variables)


@pytest.mark.slow
def test_an_mp_net_starts_from_a_pixelplayer(tmp_path, tiny_set, monkeypatch):
    monkeypatch.setattr("mpnet_jax.models.frame_net.ResNet18", ShortFrameNet)
    first = tiny_config(tiny_set)
    first.method, first.rounds.minus, first.rounds.both = "pixelplayer", 0, 2
    assert train(first, tmp_path / "first") == 0
    second = tiny_config(tiny_set)
    second.mixing.sources = 3
    second.rounds.plus = 2
    second.start_from = str(tmp_path / "first")
    state = jax.tree.map(np.asarray, method_of(second).state_at(0))
    found = method_of(second).started_from(state).variables
    checkpoints = Checkpoints(tmp_path / "first", read_only=True)
    template = jax.eval_shape(lambda: method_of(first).initial_state().variables)
    theirs = checkpoints.restore_variables(template, kind="best_pixelplayer")
    checkpoints.close()
    jax.tree.map(np.testing.assert_array_equal, found["params"]["frame_net"], theirs["params"]["frame_net"])
    jax.tree.map(np.testing.assert_array_equal, found["params"]["plus_net"], state.params["plus_net"])
    second.model.unet_features = 8
    state = jax.tree.map(np.asarray, method_of(second).state_at(0))
    with pytest.raises(InputError, match="sound_net"):
        method_of(second).started_from(state)
