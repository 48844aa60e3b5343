"""Tests of the gradient of the complete loss: frame network, both recursion networks, batch statistics."""

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
from mpnet_jax.recursion.networks import bind
from mpnet_jax.recursion.rules import Rules
from mpnet_jax.spectrogram.frequency import FrequencyAxis
from mpnet_jax.steps.losses import Objective
from mpnet_jax.steps.train_state import TrainState
from mpnet_jax.steps.train_step import Learning, make_train_step
from tests.support.random_variables import random_variables
from tests.support.short_frame_net import ShortFrameNet

TRAINED = MinusPlus.kinds["both"].trained

BATCH, ROWS, COLUMNS = 2, 8, 8
STEP = 1e-6


def random_problem(model, sources, *, seed=1):
    """Returns float64 variables with one set of statistics per step, and a batch for one device."""
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 256, (BATCH, sources, 1, 16, 16, 3), dtype=np.uint8)
    magnitudes = rng.gamma(2.0, 1.0, (BATCH, sources, ROWS, COLUMNS))
    batch = {"frames": frames, "source_magnitude": magnitudes, "mixture_magnitude": magnitudes.sum(1)}
    variables = random_variables(model, jnp.asarray(frames), jnp.ones((BATCH, ROWS, COLUMNS)))
    variables = jax.tree.map(lambda x: x.astype(np.float64), variables)
    statistics = variables["batch_stats"]
    for net, sets in (("minus_net", sources), ("plus_net", sources - 1)):
        statistics[net] = jax.tree.map(lambda x, n=sets: np.stack([x] * n), statistics[net])
    return variables, {name: x[None] for name, x in batch.items()}


def training_step(model, *, mask_on="remaining", order="ground_truth", unroll=True, recompute=False):
    """Returns `(variables, batch) -> (state, metrics)`, which subtracts the gradient from the parameters."""
    optimiser = optax.sgd(1.0)
    step = make_train_step(
        model,
        Learning(optimiser, TRAINED),
        axis_name=DEVICE_AXIS,
        axis=FrequencyAxis(np.arange(ROWS), np.eye(ROWS), np.eye(ROWS)),
        rules=Rules(mask_on=mask_on),
        objective=Objective(remaining_weight=0.5, order=order),
        loop=Loop(unroll, recompute),
    )
    step = jax.jit(jax.vmap(step, in_axes=(None, 0), axis_name=DEVICE_AXIS))

    def run(variables, batch):
        state = TrainState(jnp.zeros((), jnp.int32), variables["params"], variables["batch_stats"], ())
        return step(state.with_optimiser(optimiser, TRAINED), batch)

    return run


@pytest.mark.parametrize("mask_on", ["remaining", pytest.param("original", marks=pytest.mark.slow)])
def test_gradient_equals_finite_differences(monkeypatch, mask_on):
    monkeypatch.setattr("mpnet_jax.models.frame_net.ResNet18", ShortFrameNet)
    # Only the binary targets stop gradients, and no bin is near their threshold.
    model = MPNet(2, 2, 2, FrameNetSpec(resnet_features=1), plus_features=2, stop_gradient_input=False)
    rng = np.random.default_rng(2)
    with jax.enable_x64(True):
        variables, batch = random_problem(model, 2)
        step, params = training_step(model, mask_on=mask_on), variables["params"]

        def run(params):
            new, metrics = step(variables | {"params": params}, batch)
            return new.params, float(metrics["loss"][0])

        moved, _ = run(params)
        gradient = jax.tree.map(lambda a, b: np.asarray(a - b[0]), params, moved)
        for net in TRAINED:
            direction = jax.tree.map(lambda p: rng.standard_normal(p.shape), params[net])
            forward, backward = (
                params | {net: jax.tree.map(lambda p, d, s=sign: p + s * STEP * d, params[net], direction)}
                for sign in (1, -1)
            )
            numeric = (run(forward)[1] - run(backward)[1]) / (2 * STEP)
            slope = sum(jax.tree.leaves(jax.tree.map(lambda g, d: float(np.sum(g * d)), gradient[net], direction)))
            assert abs(slope) > 1e-4
            assert slope == pytest.approx(numeric, rel=1e-5), net


@pytest.mark.parametrize("order", ["ground_truth", pytest.param("predicted", marks=pytest.mark.slow)])
def test_rolled_and_unrolled_loops_have_equal_gradients(monkeypatch, order):
    monkeypatch.setattr("mpnet_jax.models.frame_net.ResNet18", ShortFrameNet)
    model = MPNet(2, 2, 2, FrameNetSpec(resnet_features=1), plus_features=2)
    with jax.enable_x64(True):
        variables, batch = random_problem(model, 3)
        (rolled, rolled_metrics), (unrolled, metrics) = (
            training_step(model, order=order, unroll=unroll)(variables, batch) for unroll in (False, True)
        )
    assert float(metrics["gradient_norm"][0]) > 1e-3
    assert_equal_steps((rolled, rolled_metrics), (unrolled, metrics))


def test_steps_that_are_computed_again_have_the_gradients_of_kept_ones(monkeypatch):
    monkeypatch.setattr("mpnet_jax.models.frame_net.ResNet18", ShortFrameNet)
    model = MPNet(2, 2, 2, FrameNetSpec(resnet_features=1), plus_features=2)
    with jax.enable_x64(True):
        variables, batch = random_problem(model, 3)
        (kept, kept_metrics), (again, metrics) = (
            training_step(model, recompute=recompute)(variables, batch) for recompute in (False, True)
        )
    assert float(metrics["gradient_norm"][0]) > 1e-3
    assert_equal_steps((kept, kept_metrics), (again, metrics))


def test_masks_that_are_computed_directly_have_the_gradients_of_feature_maps(monkeypatch):
    monkeypatch.setattr("mpnet_jax.models.frame_net.ResNet18", ShortFrameNet)
    model = MPNet(2, 2, 2, FrameNetSpec(resnet_features=1), plus_features=2)
    with jax.enable_x64(True):
        variables, batch = random_problem(model, 3)
        directly = training_step(model)(variables, batch)
        monkeypatch.setattr(
            "mpnet_jax.steps.train_step.bind", lambda *args, **options: bind(*args, **options)._replace(mask=None)
        )
        of_maps = training_step(model)(variables, batch)
    assert_equal_steps(directly, of_maps)


def assert_equal_steps(*results):
    # With plain gradient descent, equal parameters after the step mean equal gradients.
    one, other = ({"params": state.params, "batch_stats": state.batch_stats, "metrics": m} for state, m in results)
    for (path, a), b in zip(jax.tree_util.tree_leaves_with_path(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11, err_msg=jax.tree_util.keystr(path))
