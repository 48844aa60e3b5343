"""Tests that the Plus-Net's own round trains it alone, with all of its alternatives and each of its losses."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mpnet_jax.methods.mpnet import MinusPlus
from mpnet_jax.models.frame_net import FrameNetSpec
from mpnet_jax.models.mpnet import MPNet
from mpnet_jax.parallel import DEVICE_AXIS
from mpnet_jax.recursion.minus_plus import Loop
from mpnet_jax.recursion.rules import Rules
from mpnet_jax.steps.losses import Objective
from mpnet_jax.steps.train_state import TrainState
from mpnet_jax.steps.train_step import Learning, make_train_step
from tests.steps.test_train_step import AUDIO, AXIS, BATCH, FRAMES_SHAPE, ROWS, moved, random_batch
from tests.support.random_variables import random_variables
from tests.support.short_frame_net import ShortFrameNet

MODEL = MPNet(
    2,
    1,
    2,
    FrameNetSpec(resnet_features=1),
    plus_features=2,
    plus_looks=True,
    plus_inputs=("remix", "sound", "remaining", "mixture"),
)
SETS = {"minus_net": 2, "plus_net": 3}  # the Plus-Net is run in the second step and for both sounds of a sweep


def after_a_step(monkeypatch, objective, trained):
    """Returns the state before and after a training step, and the metrics."""
    monkeypatch.setattr("mpnet_jax.models.frame_net.ResNet18", ShortFrameNet)
    frames, mixture = jnp.zeros(FRAMES_SHAPE, jnp.uint8), jnp.ones((BATCH, ROWS, AUDIO.time_frames))
    variables = random_variables(MODEL, frames, mixture)
    statistics = variables["batch_stats"]
    for net, sets in SETS.items():
        statistics[net] = jax.tree.map(lambda x, n=sets: np.stack([x] * n), statistics[net])
    batch = random_batch()
    batch["source_in_phase"] = 0.5 * batch["source_magnitude"]
    batch = {name: x if x.dtype == np.uint8 else x.astype(np.float32) for name, x in batch.items()}
    optimiser = optax.sgd(0.05)
    step = make_train_step(
        MODEL,
        Learning(optimiser, trained),
        axis_name=DEVICE_AXIS,
        axis=AXIS,
        rules=Rules(plus_source="others", plus_conserves=True, plus_passes=2),
        objective=objective,
        loop=Loop(unroll=True),
    )
    start = TrainState(jnp.zeros((), jnp.int32), variables["params"], statistics, ())
    start = start.with_optimiser(optimiser, trained)
    run = jax.jit(jax.vmap(step, in_axes=(None, 0), axis_name=DEVICE_AXIS))
    state, metrics = run(start, {name: x[None] for name, x in batch.items()})
    return start, *jax.tree.map(lambda x: np.asarray(x[0]), (state, metrics))


@pytest.mark.parametrize(
    ("mask", "distance"),
    [
        ("ratio", "si_sdr"),
        ("ratio", "magnitude"),
        ("ratio", "log_magnitude"),
        ("ratio", "missed"),
        ("binary", "missed"),
    ],
)
def test_the_plus_net_alone_learns_in_its_round(monkeypatch, mask, distance):
    objective = Objective(mask=mask, plus_distance=distance, remaining_weight=0.0)
    before, after, metrics = after_a_step(monkeypatch, objective, MinusPlus.kinds["plus"].trained)
    assert np.isfinite(metrics["loss"]) and metrics["gradient_norm"] > 0
    np.testing.assert_allclose(metrics["loss"], metrics["loss_plus"], rtol=1e-6)
    for net in MinusPlus.kinds["both"].trained:
        learns = net == "plus_net"
        assert moved(before.params[net], after.params[net]) == (learns, learns), net
        assert moved(before.batch_stats[net], after.batch_stats[net]) == (learns, learns), net
    means = after.batch_stats["plus_net"]["norm_in"]["mean"]
    assert means.shape == (3, 4) and len(np.unique(means[:, 1])) == 3  # each call sees another sound
