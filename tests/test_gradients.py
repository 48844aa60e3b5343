"""The gradient of the whole loss: frame network, recursion with both nets, all losses, batch statistics."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mpnet_jax.losses import Objective
from mpnet_jax.minus_plus import Rules
from mpnet_jax.models.mpnet import MPNet
from mpnet_jax.parallel import DEVICE_AXIS
from mpnet_jax.rounds import TRAINED
from mpnet_jax.spectrogram.frequency import FrequencyAxis
from mpnet_jax.train_state import TrainState
from mpnet_jax.train_step import make_train_step
from tests.random_variables import random_variables
from tests.short_frame_net import ShortFrameNet

BATCH, SOURCES, ROWS, COLUMNS = 2, 2, 8, 8
STEP = 1e-6


@pytest.mark.parametrize("mask_on", ["remaining", pytest.param("original", marks=pytest.mark.slow)])
def test_gradient_equals_finite_differences(monkeypatch, mask_on):
    monkeypatch.setattr("mpnet_jax.models.mpnet.ResNet18", ShortFrameNet)
    rng = np.random.default_rng(1)
    # Nothing stops a gradient here but binary targets, which have none; their thresholds lie far from any tie.
    model = MPNet(2, 2, 2, 1, True, plus_features=2, stop_gradient_input=False)
    frames = rng.integers(0, 256, (BATCH, SOURCES, 1, 16, 16, 3), dtype=np.uint8)
    sources = rng.gamma(2.0, 1.0, (BATCH, SOURCES, ROWS, COLUMNS))
    batch = {"frames": frames, "source_magnitude": sources, "mixture_magnitude": sources.sum(1)}
    variables = random_variables(model, jnp.asarray(frames), jnp.ones((BATCH, ROWS, COLUMNS)))
    with jax.enable_x64(True):
        variables = jax.tree.map(lambda x: x.astype(np.float64), variables)
        statistics = dict(variables["batch_stats"])
        for net, sets in (("minus_net", SOURCES), ("plus_net", SOURCES - 1)):
            statistics[net] = jax.tree.map(lambda x, n=sets: np.stack([x] * n), statistics[net])
        optimiser = optax.sgd(1.0)  # what the parameters move is the gradient
        step = make_train_step(
            model,
            optimiser,
            axis_name=DEVICE_AXIS,
            round_name="both",
            axis=FrequencyAxis(np.arange(ROWS), np.eye(ROWS), np.eye(ROWS)),
            rules=Rules(mask_on=mask_on),
            objective=Objective(remaining_weight=0.5),
            unroll=True,
        )
        step = jax.jit(jax.vmap(step, in_axes=(None, 0), axis_name=DEVICE_AXIS))
        batch = {name: x[None] for name, x in batch.items()}

        def run(params):
            state = TrainState(jnp.zeros((), jnp.int32), params, statistics, ())
            new, metrics = step(state.with_optimiser(optimiser, TRAINED["both"]), batch)
            return new.params, float(metrics["loss"][0])

        params = variables["params"]
        moved, _ = run(params)
        gradient = jax.tree.map(lambda a, b: np.asarray(a - b[0]), params, moved)
        for net in TRAINED["both"]:
            direction = jax.tree.map(lambda p: rng.standard_normal(p.shape), params[net])
            there, back = (
                params | {net: jax.tree.map(lambda p, d, s=sign: p + s * STEP * d, params[net], direction)}
                for sign in (1, -1)
            )
            numeric = (run(there)[1] - run(back)[1]) / (2 * STEP)
            slope = sum(jax.tree.leaves(jax.tree.map(lambda g, d: float(np.sum(g * d)), gradient[net], direction)))
            assert abs(slope) > 1e-4
            assert slope == pytest.approx(numeric, rel=1e-5), net
