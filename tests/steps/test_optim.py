import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mpnet_jax.steps.optim import by_part, learning_rate, optimiser


def rates(name, at, **options):
    settings = {"peak": 0.1, "steps": 100, "warmup_steps": 0, "boundaries": ()} | options
    schedule = learning_rate(name, **settings)
    return [float(schedule(step)) for step in at]


def test_step_schedule_divides_by_ten_at_each_boundary():
    values = rates("steps", [0, 39, 40, 79, 80, 99], boundaries=(40, 80))
    np.testing.assert_allclose(values, [0.1, 0.1, 0.01, 0.01, 0.001, 0.001], rtol=1e-5)


def test_boundaries_include_the_warmup_steps():
    values = rates("steps", [5, 10, 39, 40], boundaries=(40,), warmup_steps=10)
    np.testing.assert_allclose(values, [0.05, 0.1, 0.1, 0.01], rtol=1e-5)


def test_cosine_ends_at_zero():
    np.testing.assert_allclose(rates("cosine", [0, 50, 100]), [0.1, 0.05, 0.0], atol=1e-7)
    np.testing.assert_allclose(
        rates("cosine", [0, 10, 20, 60, 100], warmup_steps=20), [0.0, 0.05, 0.1, 0.05, 0.0], atol=1e-7
    )


def test_constant_schedule():
    np.testing.assert_allclose(rates("constant", [0, 1, 1000]), [0.1] * 3)
    np.testing.assert_allclose(rates("constant", [0, 2, 4, 50], warmup_steps=4), [0.0, 0.05, 0.1, 0.1], rtol=1e-6)


def test_exponential_schedule_multiplies_by_the_decay():
    values = rates("exponential", [0, 19, 20, 39, 40], decay=0.94, decay_steps=20)
    np.testing.assert_allclose(values, [0.1, 0.1, 0.094, 0.094, 0.08836], rtol=1e-5)


def two_updates(name, momentum=0.9, weight_decay=0.1):
    """Returns a parameter after each of two steps from 2 with gradient 1 and learning rate 0.5."""
    transformation = optimiser(name, optax.constant_schedule(0.5), momentum=momentum, weight_decay=weight_decay)
    params, values = jnp.array(2.0), []
    state = transformation.init(params)
    for _ in range(2):
        updates, state = transformation.update(jnp.array(1.0), state, params)
        params = optax.apply_updates(params, updates)
        values.append(float(params))
    return values


def test_sgd_applies_weight_decay_before_momentum():
    # g = 1 + 0.1 * 2 = 1.2: 2 - 0.6 = 1.4. Then g = 1.14, with momentum 0.9 * 1.2 + 1.14 = 2.22: 1.4 - 1.11.
    np.testing.assert_allclose(two_updates("sgd"), [1.4, 0.29], rtol=1e-5)


def test_adam_has_no_weight_decay_and_adamw_decouples_it():
    np.testing.assert_allclose(two_updates("adam"), [1.5, 1.0], rtol=1e-4)
    # The learning rate times the sum of Adam's unit step and 0.1 times the parameter.
    np.testing.assert_allclose(two_updates("adamw"), [2 - 0.5 * 1.2, 1.4 - 0.5 * 1.14], rtol=1e-4)


def test_adam_l2_adds_weight_decay_to_the_gradient():
    # g = 1.2 gives a unit step. Then g = 1.15: m / sqrt(v), m = 0.223 / 0.19, v = (0.999 * 1.44 + 1.3225) / 1.999.
    np.testing.assert_allclose(two_updates("adam_l2"), [1.5, 1.5 - 0.5 * 0.998665], rtol=1e-4)


def test_unknown_names_raise_an_error_with_the_known_names():
    with pytest.raises(
        ValueError, match="schedule='linear' is unknown; use one of steps, cosine, exponential, constant"
    ):
        rates("linear", [0])
    with pytest.raises(ValueError, match="optimiser='lion' is unknown; use one of sgd, adam, adam_l2, adamw, muon"):
        two_updates("lion")


def test_each_part_has_its_own_learning_rate():
    scales = {"frame_trunk": 0.1, "frame_head": 1.0, "minus_net": 0.5, "plus_net": 0.0}
    transformation = by_part("sgd", optax.constant_schedule(0.5), scales=scales, momentum=0.9, weight_decay=0.0)
    # This round does not train the Plus-Net.
    params = {"frame_net": {"conv_in": jnp.zeros(1), "conv_out": jnp.zeros(1)}, "minus_net": {"down_0": jnp.zeros(1)}}
    gradients = jax.tree.map(jnp.ones_like, params)
    updates, state = transformation.update(gradients, transformation.init(params), params)
    assert jax.tree.map(lambda x: float(x[0]), updates) == {
        "frame_net": {"conv_in": pytest.approx(-0.05), "conv_out": pytest.approx(-0.5)},
        "minus_net": {"down_0": pytest.approx(-0.25)},
    }
    # Each part has its own momentum.
    updates, _ = transformation.update(gradients, state, params)
    assert float(updates["minus_net"]["down_0"][0]) == pytest.approx(-0.25 * 1.9)


def test_muon_makes_orthogonal_updates_of_hidden_kernels_and_adam_all_others():
    rng = np.random.default_rng(0)
    shapes = {
        "minus_net": {
            "down_0": {"kernel": (4, 4, 1, 8)},
            "down_1": {"kernel": (2, 2, 4, 8)},
            "up_norm_1": {"scale": (8,)},
            "up_0": {"kernel": (3, 3, 8, 4), "bias": (4,)},
        },
        "frame_net": {"conv_out": {"kernel": (12, 4)}, "trunk": {"depthwise": {"kernel": (3, 3, 1, 8)}}},
    }
    is_shape = lambda x: isinstance(x, tuple)  # noqa: E731
    params = jax.tree.map(lambda shape: jnp.zeros(shape), shapes, is_leaf=is_shape)
    gradients = jax.tree.map(lambda shape: jnp.asarray(rng.standard_normal(shape)), shapes, is_leaf=is_shape)
    muon = optimiser("muon", optax.constant_schedule(0.5), momentum=0.0, weight_decay=0.0)
    adam = optax.adam(0.5, nesterov=True)
    updates, _ = muon.update(gradients, muon.init(params), params)
    expected, _ = adam.update(gradients, adam.init(params), params)
    matrix = np.asarray(updates["minus_net"]["down_1"].pop("kernel")).reshape(16, 8)
    expected["minus_net"]["down_1"].pop("kernel")
    # Newton's iteration brings all singular values near one; the scale makes their root mean square that of Adam.
    values = np.linalg.svd(matrix / (0.5 * 0.2 * np.sqrt(16)), compute_uv=False)
    assert values.min() > 0.6 and values.max() < 1.3
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0.02), updates, expected)


def test_muon_decays_weights_in_proportion_to_the_rate():
    muon = optimiser("muon", optax.constant_schedule(0.5), momentum=0.0, weight_decay=0.1)
    params = {"net": {"down_1": {"kernel": jnp.ones((4, 4))}, "norm": {"scale": jnp.ones(4)}}}
    updates, _ = muon.update(jax.tree.map(jnp.zeros_like, params), muon.init(params), params)
    jax.tree.map(lambda x: np.testing.assert_allclose(x, -0.05, atol=1e-6), updates)
