import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mpnet_jax.models.layers.batch_norm import EPSILON, BatchNorm, normalise

CHANNELS = 3


@jax.jit
def plain(x, scale, bias):
    """Computes batch normalisation in the textbook's form, with two passes."""
    axes = tuple(range(x.ndim - 1))
    mean = jnp.mean(x, axes)
    variance = jnp.mean((x - mean) ** 2, axes)
    return scale * (x - mean) / jnp.sqrt(variance + EPSILON) + bias


def random_case(shape=(4, 5, 2, CHANNELS)):
    rng = np.random.default_rng(0)
    x = 2.0 + 3.0 * rng.standard_normal(shape)
    return x, rng.uniform(0.5, 1.5, CHANNELS), rng.standard_normal(CHANNELS), rng.standard_normal(shape)


def variables_of(scale, bias, mean=None, variance=None):
    return {
        "params": {"scale": jnp.asarray(scale), "bias": jnp.asarray(bias)},
        "batch_stats": {
            "mean": jnp.zeros(CHANNELS) if mean is None else jnp.asarray(mean),
            "var": jnp.ones(CHANNELS) if variance is None else jnp.asarray(variance),
        },
    }


def test_forward_equals_the_textbook():
    with jax.enable_x64(True):
        x, scale, bias, _ = (jnp.asarray(a) for a in random_case())
        y, mean, variance = jax.jit(lambda *a: normalise(*a, None))(x, scale, bias)
        np.testing.assert_allclose(y, plain(x, scale, bias), atol=1e-12)
        np.testing.assert_allclose(mean, np.mean(x, (0, 1, 2)), atol=1e-12)
        np.testing.assert_allclose(variance, np.var(x, (0, 1, 2)), atol=1e-12)


def test_gradient_equals_differentiation_of_the_textbook():
    with jax.enable_x64(True):
        x, scale, bias, weight = (jnp.asarray(a) for a in random_case())

        def gradients(function):
            gradient = jax.grad(lambda *a: jnp.sum(weight * function(*a) ** 2), argnums=(0, 1, 2))
            return jax.jit(gradient)(x, scale, bias)

        ours = gradients(lambda *a: normalise(*a, None)[0])
        for one, expected in zip(ours, gradients(plain), strict=True):
            np.testing.assert_allclose(one, expected, rtol=1e-10, atol=1e-10)


def test_a_constant_channel_gives_its_bias():
    # With one pass over the data, rounding may leave a variance slightly below zero, whose root would be NaN.
    x = jnp.full((64, 7, CHANNELS), 13.8155, jnp.float32)
    y, _, variance = normalise(x, jnp.ones(CHANNELS), jnp.full(CHANNELS, 0.5), None)
    assert np.all(np.isfinite(y)) and np.all(np.asarray(variance) >= 0)
    # Rounding of the mean is enlarged by 1 / sqrt(1e-5) = 316.
    np.testing.assert_allclose(y, 0.5, atol=0.02)


def test_running_statistics_are_weighted_and_unbiased():
    x, scale, bias, _ = (a.astype(np.float32) for a in random_case())
    _, updated = BatchNorm(train=True, decay=0.75).apply(
        variables_of(scale, bias, mean=np.ones(CHANNELS), variance=np.full(CHANNELS, 4.0)),
        jnp.asarray(x),
        mutable=["batch_stats"],
    )
    expected_mean = 0.75 * 1.0 + 0.25 * x.mean((0, 1, 2))
    expected_variance = 0.75 * 4.0 + 0.25 * x.var((0, 1, 2), ddof=1)
    np.testing.assert_allclose(updated["batch_stats"]["mean"], expected_mean, rtol=1e-5)
    np.testing.assert_allclose(updated["batch_stats"]["var"], expected_variance, rtol=1e-5)


def test_initialising_leaves_the_running_statistics_at_their_start():
    x = jnp.asarray(random_case()[0], jnp.float32)
    statistics = BatchNorm(train=True).init(jax.random.key(0), x)["batch_stats"]
    np.testing.assert_array_equal(statistics["mean"], np.zeros(CHANNELS))
    np.testing.assert_array_equal(statistics["var"], np.ones(CHANNELS))


def test_evaluation_uses_the_running_statistics_alone():
    x, scale, bias, _ = (a.astype(np.float32) for a in random_case())
    mean, variance = np.array([1.0, -2.0, 0.5], np.float32), np.array([4.0, 0.25, 1.0], np.float32)
    apply = functools.partial(BatchNorm(train=False).apply, variables_of(scale, bias, mean, variance))
    y = apply(jnp.asarray(x))
    np.testing.assert_allclose(y, (x - mean) / np.sqrt(variance + EPSILON) * scale + bias, rtol=1e-4, atol=1e-5)
    # The other samples of the batch do not matter.
    np.testing.assert_array_equal(apply(jnp.asarray(x[:1])), y[:1])


@pytest.mark.parametrize("scale_std", [0.0, 0.02])
def test_initial_gain(scale_std):
    x = jnp.zeros((1, 4000))
    scale = np.asarray(BatchNorm(train=False, scale_std=scale_std).init(jax.random.key(0), x)["params"]["scale"])
    assert scale.mean() == pytest.approx(1.0, abs=2e-3)
    assert scale.std() == pytest.approx(scale_std, abs=2e-3)


def test_two_devices_equal_one_with_the_whole_batch():
    assert jax.device_count() >= 2
    with jax.enable_x64(True):
        x, scale, bias, weight = random_case()

        def split(a):
            return jnp.asarray(a.reshape(2, 2, *a.shape[1:]))

        def loss_and_statistics(x, scale, bias, weight, axis_name):
            module = BatchNorm(train=True, axis_name=axis_name)
            y, updated = module.apply(variables_of(scale, bias), x, mutable=["batch_stats"])
            return jnp.sum(weight * y**2), updated["batch_stats"]

        def on_devices(x, weight, scale, bias):
            gradients, statistics = jax.grad(loss_and_statistics, argnums=(0, 1, 2), has_aux=True)(
                x, scale, bias, weight, "device"
            )
            return gradients[0], jax.lax.psum(gradients[1:], "device"), statistics

        whole, statistics = jax.grad(loss_and_statistics, argnums=(0, 1, 2), has_aux=True)(
            *map(jnp.asarray, (x, scale, bias, weight)), None
        )
        dx, (d_scale, d_bias), shared = jax.pmap(
            on_devices, axis_name="device", in_axes=(0, 0, None, None), devices=jax.devices()[:2]
        )(split(x), split(weight), jnp.asarray(scale), jnp.asarray(bias))
        np.testing.assert_allclose(np.reshape(dx, x.shape), whole[0], atol=1e-10)
        for device in range(2):
            np.testing.assert_allclose(np.asarray(d_scale)[device], whole[1], atol=1e-10)
            np.testing.assert_allclose(np.asarray(d_bias)[device], whole[2], atol=1e-10)
            for name in ("mean", "var"):
                np.testing.assert_allclose(np.asarray(shared[name])[device], statistics[name], atol=1e-12)
