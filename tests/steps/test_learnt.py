"""Tests of what a round trains, of running means, and of the noise that training adds."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from mpnet_jax.steps.learnt import merge, networks, select
from mpnet_jax.steps.train_state import TrainState
from mpnet_jax.steps.train_step import Learning, averaged, gradient_step, noise_keys

TREES = {
    "frame_net": {"trunk": {"stem": 1}, "norm_out": {"scale": 2}, "conv_out": {"kernel": 3}},
    "minus_net": {"down_0": {"kernel": 4}},
    "class_head": {"kernel": 5},
}


def test_a_head_is_selected_and_merged_without_its_trunk():
    part = select(TREES, ("frame_head", "minus_net"))
    assert part == {
        "frame_net": {"norm_out": {"scale": 2}, "conv_out": {"kernel": 3}},
        "minus_net": {"down_0": {"kernel": 4}},
    }
    changed = merge(TREES, jax.tree.map(lambda x: 10 * x, part))
    assert changed["frame_net"] == {"trunk": {"stem": 1}, "norm_out": {"scale": 20}, "conv_out": {"kernel": 30}}
    assert changed["class_head"] == {"kernel": 5} and TREES["minus_net"] == {"down_0": {"kernel": 4}}
    assert select(TREES, ("frame_net",)) == {"frame_net": TREES["frame_net"]}
    assert networks(("frame_head", "minus_net")) == ("frame_net", "minus_net")
    assert select({"minus_net": {}}, ("minus_net", "class_head")) == {}


def test_a_running_mean_forgets_its_start_and_then_averages_over_many_steps():
    mean, weights = {"w": jnp.array(100.0)}, []
    for step in range(400):
        mean = averaged(mean, {"w": jnp.array(float(step % 2))}, decay=0.99, steps=jnp.array(step))
        weights.append(float(mean["w"]))
    assert abs(weights[-1] - 0.5) < 0.01
    assert abs(weights[20] - 0.5) < 0.1  # the start has lost its weight after a few steps


def step_on_quadratic(**options):
    """Returns a jitted step whose loss pulls one network of two to 3."""

    def loss_fn(learnt, state, batch):
        loss = jnp.sum((learnt["a"]["l"]["w"] - 3.0) ** 2) + 0.0 * jnp.sum(batch["x"])
        return loss, (state.batch_stats, {"loss": loss})

    learning = Learning(optax.sgd(0.25), ("a",), **options)
    step = jax.jit(jax.vmap(gradient_step(loss_fn, learning), in_axes=(None, 0), axis_name="device"))
    params = {"a": {"l": {"w": jnp.zeros(2)}}, "b": {"l": {"w": jnp.ones(2)}}}
    state = TrainState(jnp.array(5), params, {"a": {}, "b": {}}, ())
    start = state.with_optimiser(learning.optimiser, ("a",), averaged=bool(options))

    def run(state):
        return jax.tree.map(lambda x: x[0], step(state, {"x": jnp.zeros((1, 1))})[0])

    return start, run


def test_a_step_updates_the_mean_of_what_learns_and_the_next_round_begins_with_it():
    start, run = step_on_quadratic(average_decay=0.99, first_step=5)
    state = run(run(start))
    # The weights are 1.5 and 2.25; their means are 0.1 * 0 + 0.9 * 1.5, and 2 / 11 of that with 9 / 11 of 2.25.
    np.testing.assert_allclose(state.params["a"]["l"]["w"], 2.25)
    mean = 1.35 * 2 / 11 + 2.25 * 9 / 11
    np.testing.assert_allclose(state.average["params"]["a"]["l"]["w"], mean, rtol=1e-6)
    assert "b" not in state.average["params"]
    np.testing.assert_allclose(state.variables["params"]["a"]["l"]["w"], mean, rtol=1e-6)
    np.testing.assert_allclose(state.variables["params"]["b"]["l"]["w"], 1.0)
    assert state.settled().average == {}
    np.testing.assert_allclose(state.settled().params["a"]["l"]["w"], mean, rtol=1e-6)
    following = state.with_optimiser(optax.sgd(0.1), ("b",), averaged=True)
    np.testing.assert_allclose(following.params["a"]["l"]["w"], mean, rtol=1e-6)
    assert set(following.average["params"]) == {"b"}


def test_without_a_decay_no_mean_is_kept():
    start, run = step_on_quadratic()
    state = run(start)
    assert state.average == {}
    np.testing.assert_allclose(state.variables["params"]["a"]["l"]["w"], 1.5)


def test_noise_depends_on_the_step_and_the_device_alone():
    def draw(step):
        return jax.random.normal(noise_keys(step, "device")["noise"], (2,))

    drawn = jax.vmap(draw, in_axes=None, axis_size=2, axis_name="device", out_axes=0)
    one, again, other = drawn(jnp.array(3)), drawn(jnp.array(3)), drawn(jnp.array(4))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).min() > 0 and np.abs(one[0] - one[1]).min() > 0
